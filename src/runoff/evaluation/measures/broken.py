"""E1, E2, E4 and their headline: output that nobody would ship. Owns: the rules and their thresholds.

The thresholds come from 1,709 answers that a person wrote, on which the loop rules fire not once; a sentence repeated 3
times trips them. The author's own rate stands beside every run's, so a false alarm shows.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from runoff.estimates.bounded import SHARE
from runoff.evaluation.answers import Answer
from runoff.evaluation.material import Material, Need, TrainingRow
from runoff.evaluation.measures.result import About, Dimension, Measure, MeasureResult, per_answer
from runoff.evaluation.measures.texts import sentences, units, words

__all__ = ["BROKEN", "LEAK", "LOOP", "NO_STOP", "leaks", "loops", "never_stops", "repeated_tail"]

_LONGEST_PERIOD, _FEWEST_REPEATS, _FEWEST_UNITS = 60, 3, 24
_MOST_REPEATED_4GRAMS = 0.30
_MOST_REPEATED_SENTENCES = 0.10
_LEAST_ZLIB_RATIO, _ZLIB_FROM_WORDS, _ZLIB_WINDOW = 0.40, 60, 350
_SENTENCE_FROM_WORDS = 4
_ECHO_FROM_WORDS = 5
_FOREIGN_LETTERS = 4

_LEAKS = (
    re.compile(
        r"<\|[^|<>\n]{1,40}\|>|</?s>|\[/?INST\]|<</?SYS>>|</?(?:start|end)_of_turn>|<(?:bos|eos|pad|unk)>|\[PAD\]"
    ),
    re.compile(r"</?(?:think|thinking|tool_call|tool_response)>"),
    re.compile(
        r"^[ \t]*(?:#{2,3}[ \t]*)?(?:user|human|assistant|system|question|instruction|response)[ \t]*:", re.I | re.M
    ),
    re.compile("\ufffd"),
)


def never_stops(answer: Answer) -> bool:
    """E1: the answer ran into the limit, or was ended by something other than the model."""
    return answer.finish_reason == "length" or not answer.end_token_seen


def loops(answer: Answer) -> bool:
    """E2: a tail that repeats itself, or too many repeated 4-grams or sentences, or text that compresses too well."""
    pieces = units(answer.text)
    return (
        repeated_tail(answer.tokens)
        or repeated_tail(pieces)
        or _repeated([tuple(pieces[i : i + 4]) for i in range(len(pieces) - 3)]) > _MOST_REPEATED_4GRAMS
        or _repeated(_long_sentences(answer.text)) > _MOST_REPEATED_SENTENCES
        or _zlib_ratio(answer.text) < _LEAST_ZLIB_RATIO
    )


def repeated_tail(tokens: Sequence[object]) -> bool:
    """Whether at least 24 tokens at the end are 3 or more repeats of the same 1 to 60; the last may be cut short."""
    for period in range(1, min(_LONGEST_PERIOD, len(tokens) // _FEWEST_REPEATS) + 1):
        matched = 0
        while matched + period < len(tokens) and tokens[-1 - matched] == tokens[-1 - matched - period]:
            matched += 1
        if matched + period >= max(_FEWEST_REPEATS * period, _FEWEST_UNITS):
            return True
    return False


def _repeated(items: Sequence[object]) -> float:
    """1 - distinct / all: rep-n of Welleck et al. 2019; as one division, so that 3 of 10 are 0.3 and no more."""
    return (len(items) - len(set(items))) / len(items) if items else 0.0


def _long_sentences(text: str) -> list[tuple[str, ...]]:
    return [key for key in (tuple(words(one)) for one in sentences(text)) if len(key) >= _SENTENCE_FROM_WORDS]


def _zlib_ratio(text: str) -> float:
    """Compressed over plain size of the last 350 words: the ratio falls with length in any text."""
    parts = text.split()
    if len(parts) < _ZLIB_FROM_WORDS:
        return 1.0
    raw = " ".join(parts[-_ZLIB_WINDOW:]).encode()
    return len(zlib.compress(raw)) / len(raw)


def leaks(material: Material, answer: Answer) -> bool:
    """E4: nothing at all, template or thinking tokens, another speaker's turn, the question again, a foreign script.

    What the author does himself is never a leak: some open with the question, some write "Question:".
    """
    author = _author(material.training, material.author)
    return (
        not answer.text.strip()
        or any(pattern.search(answer.text) for pattern in author.never_writes)
        or any(token and token in answer.text for token in material.special_tokens)
        or (not author.echoes and _echoes(answer.question, answer.text))
        or any(
            count >= _FOREIGN_LETTERS and script not in author.scripts | _scripts([answer.question]).keys()
            for script, count in _scripts([answer.text]).items()
        )
    )


@dataclass(frozen=True, slots=True)
class _Author:
    """Which patterns he never writes, which scripts he writes in, whether he ever repeats the question."""

    never_writes: tuple[re.Pattern[str], ...]
    scripts: frozenset[str]
    echoes: bool


@lru_cache(maxsize=4)
def _author(training: tuple[TrainingRow, ...], held_out: tuple[Answer, ...]) -> _Author:
    pairs = [(row.question, row.answer) for row in training] + [(one.question, one.text) for one in held_out]
    texts = [text for _, text in pairs]
    never = tuple(pattern for pattern in _LEAKS if not any(pattern.search(text) for text in texts))
    return _Author(never, frozenset(_scripts(texts)) | {"LATIN"}, any(_echoes(*pair) for pair in pairs))


def _scripts(texts: Iterable[str]) -> Counter[str]:
    """Letters by script, from the first word of their Unicode names."""
    counts = Counter(letter for text in texts for letter in text if letter.isalpha())
    scripts: Counter[str] = Counter()
    for letter, count in counts.items():
        scripts[unicodedata.name(letter, "UNKNOWN").split()[0]] += count
    return scripts


def _echoes(question: str, text: str) -> bool:
    asked = words(question)
    return len(asked) >= _ECHO_FROM_WORDS and words(text)[: len(asked)] == asked


def is_broken(material: Material, answer: Answer) -> bool:
    """E1, E2 or E4."""
    return never_stops(answer) or loops(answer) or leaks(material, answer)


def _rate(rule: Callable[[Material, Answer], bool]) -> Callable[[About, Material], MeasureResult]:
    def compute(about: About, material: Material) -> MeasureResult:
        return per_answer(about, material, lambda answer: float(rule(material, answer)))

    return compute


def _measure(key: str, title: str, what: str, cannot_see: str, rule: Callable[[Material, Answer], bool]) -> Measure:
    about = About(
        key, title, Dimension.BROKEN, "share of answers", False, 0.03, what, cannot_see, (Need.ANSWERS,), SHARE
    )
    return Measure(about, _rate(rule))


BROKEN = _measure(
    "broken",
    "Broken answers",
    "Share of answers that never stop, loop, or leak (the three rates below); Wilson interval.",
    "Nonsense that is fluent, and answers of an odd length, which are counted apart.",
    is_broken,
)
NO_STOP = _measure(
    "no_stop",
    "Answers that never stop",
    "Share of answers that ran into the limit, or that the model itself did not end.",
    "Where the limit is set low, an answer that was only long.",
    lambda _, answer: never_stops(answer),
)
LOOP = _measure(
    "loop",
    "Answers that loop",
    (
        "Share of answers whose tail is 3 or more repeats of up to 60 tokens (24 at least), or with more than 30 % "
        "repeated 4-grams (Welleck et al. 2019), more than 10 % repeated sentences, or a zlib ratio under 0.40."
    ),
    "The same thought in other words. A repetition penalty hides loops: decode without one as well.",
    lambda _, answer: loops(answer),
)
LEAK = _measure(
    "leak",
    "Answers that leak",
    (
        "Share of answers that are empty, repeat the question, or hold template tokens, thinking tags, another "
        "speaker's turn, broken characters or a script that the author does not use."
    ),
    "Leaks in plain words, such as a system prompt recited.",
    leaks,
)
