"""What a writer's manner looks like in numbers. Owns: the interpretable features and the matrix the classifiers use.

Must not: compare anyone with anyone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np

from runoff.estimates.clusters import FloatArray
from runoff.evaluation.measures.texts import sentences, strip_markdown, vocabulary, words

__all__ = ["FEATURES", "style_features"]

_BOLD = re.compile(r"\*\*[^*\n]+\*\*|__[^_\n]+__")
_LIST_ITEM = re.compile(r"^[ \t]*(?:[-*+•]|\d{1,2}[.)])[ \t]+\S", re.MULTILINE)
_HEADING = re.compile(r"^[ \t]*#{1,6}[ \t]+\S", re.MULTILINE)
_HEDGES = vocabulary("may might perhaps possibly maybe probably likely often generally usually typically could")
_ANALOGY = re.compile(r"\b(?:like an?|as if|as though|just like|think of it|imagine)\b", re.IGNORECASE)
_SECOND_PERSON = vocabulary("you your yours yourself yourselves you'll you're you've you'd")
_FIRST_PERSON = vocabulary("i i'm i've i'll i'd me my mine myself")
_SHORT_SENTENCE = 6
MARKS = (",", ".", ";", ":", "!", "?", "(", "—", "–", "-", "'", '"', "“", "…", "/", "%")


def _per_100_words(text: str, count: int) -> float:
    return 100 * count / max(1, len(words(text)))


def _counting(listed: frozenset[str]) -> Callable[[str], float]:
    return lambda text: _per_100_words(text, sum(word in listed for word in words(text)))


def _finding(pattern: re.Pattern[str]) -> Callable[[str], float]:
    return lambda text: _per_100_words(text, len(pattern.findall(text)))


@lru_cache(maxsize=1024)
def _sentence_lengths(text: str) -> tuple[int, ...]:
    return tuple(len(words(sentence)) for sentence in sentences(strip_markdown(text))) or (0,)


FEATURES: Mapping[str, Callable[[str], float]] = {
    "words per answer": lambda text: float(len(words(text))),
    "words per sentence": lambda text: float(np.mean(_sentence_lengths(text))),
    "share of short sentences": lambda text: float(np.mean([n < _SHORT_SENTENCE for n in _sentence_lengths(text)])),
    "letters per word": lambda text: float(np.mean([len(word) for word in words(text)] or [0])),
    "paragraphs": lambda text: float(sum(bool(part.strip()) for part in re.split(r"\n\s*\n", text))),
    "bold spans per 100 words": _finding(_BOLD),
    "opens in bold": lambda text: float(bool(re.match(r"\s*(?:\*\*|__)", text))),
    "has a list": lambda text: float(len(_LIST_ITEM.findall(text)) > 1),
    "has a heading": lambda text: float(bool(_HEADING.search(text))),
    "numbers per 100 words": _finding(re.compile(r"\d+(?:[.,]\d+)*")),
    "questions per 100 words": _finding(re.compile(r"\?")),
    "you, your per 100 words": _counting(_SECOND_PERSON),
    "I, my per 100 words": _counting(_FIRST_PERSON),
    "hedges per 100 words": _counting(_HEDGES),
    "comparisons per 100 words": _finding(_ANALOGY),
}


def style_features(texts: Sequence[str], function: Sequence[str]) -> FloatArray:
    """Rates of function words and marks, sentence length and layout; no topic words: (texts, features).

    The number of words is not among them. function: the function words, in the order of their columns.
    """
    return np.array([_row(text, function) for text in texts], dtype=np.float64)


def _row(text: str, function: Sequence[str]) -> list[float]:
    counts, size = Counter(words(text)), max(1, len(words(text)))
    lengths = _sentence_lengths(text)
    manner = [value(text) for name, value in FEATURES.items() if name != "words per answer"]
    return [
        *[100 * counts[word] / size for word in function],
        *[100 * text.count(mark) / size for mark in MARKS],
        *manner,
        float(np.std(lengths)),
        text.count("\n") / size,
    ]
