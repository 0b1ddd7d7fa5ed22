"""C1's pairs: a claim of the author and a minimal false edit of it. Owns: proposing them, the same every time.

Must not: score them (that takes a model), or promise that an edit is false: a person ticks the valid ones once.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from runoff.evaluation.answers import Answer
from runoff.evaluation.measures.claims import NUMBER_WORDS

__all__ = ["ContrastPair", "propose_pairs"]

Edit = Literal["number", "direction", "frequency", "negation"]

_SENTENCE = re.compile(r"\S[^\n]*?(?:[.!?](?=[\"'”’)*_]*(?:\s|$))[\"'”’)*_]*|(?=\n|\Z))")
_FEWEST_WORDS, _MOST_WORDS = 5, 40


@dataclass(frozen=True, slots=True)
class ContrastPair:
    """One claim and its false edit, which differ in one place.

    before: the author's answer up to the claim, which is scored as context. true, false: the two sentences.
    """

    example: str
    source: str | None
    question: str
    before: str
    true: str
    false: str
    edit: Edit


def propose_pairs(references: Iterable[Answer], *, most_per_answer: int = 2) -> tuple[ContrastPair, ...]:
    """Pairs from the author's answers (`Material.author`): at most one a sentence, in the order of the answer."""
    return tuple(pair for answer in references for pair in list(_pairs(answer))[:most_per_answer])


def _pairs(answer: Answer) -> Iterator[ContrastPair]:
    for match in _SENTENCE.finditer(answer.text):
        sentence = match.group().strip()
        if sentence.endswith("?") or not _FEWEST_WORDS <= len(sentence.split()) <= _MOST_WORDS:
            continue
        for edit, change in _EDITS:
            false = change(sentence)
            if false is not None and false != sentence:
                before = answer.text[: match.start()]
                yield ContrastPair(answer.example, answer.source, answer.question, before, sentence, false, edit)
                break


# Words with one meaning each, so that the swap turns the claim around: not "up", "fast", "good" or "last".
_OPPOSITES = (
    "raises/lowers raise/lower raised/lowered raising/lowering increases/decreases increase/decrease "
    "increased/decreased increasing/decreasing higher/lower faster/slower warmer/colder hotter/cooler "
    "larger/smaller bigger/smaller longer/shorter thicker/thinner heavier/lighter stronger/weaker "
    "better/worse above/below before/after inside/outside upward/downward hot/cold warm/cool wet/dry early/late "
    "quickly/slowly thick/thin strong/weak gains/loses gain/lose adds/removes add/remove expands/shrinks helps/harms "
    "safe/dangerous cheapest/dearest more_than/less_than at_least/at_most"
)
_FREQUENCIES = "always/never often/rarely usually/seldom everybody/nobody everyone/no_one everything/nothing"
_EVERY = "every/no all_of/none_of"
_NEGATIONS = (
    "is_not/is are_not/are does_not/does do_not/do cannot/can can_not/can will_not/will should_not/should "
    "isn't/is aren't/are doesn't/does can't/can won't/will shouldn't/should"
)


def _swaps(pairs: str, *, both_ways: bool) -> dict[str, str]:
    """A table from "one/other" pairs, where _ stands for a space; the first entry of a word counts."""
    table: dict[str, str] = {}
    for pair in pairs.replace("’", "'").split():
        one, other = pair.replace("_", " ").split("/")
        table.setdefault(one, other)
        if both_ways:
            table.setdefault(other, one)
    return table


def _swapping(table: dict[str, str]) -> Callable[[str], str | None]:
    """Replaces the first word of the table in a sentence, keeping its capital."""
    spellings = sorted(table, key=len, reverse=True)
    pattern = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, spellings))})(?![\w-])", re.IGNORECASE)

    def change(sentence: str) -> str | None:
        match = pattern.search(sentence)
        if match is None:
            return None
        other = table[match.group().lower()]
        return sentence[: match.start()] + _like(match.group(), other) + sentence[match.end() :]

    return change


def _like(model: str, word: str) -> str:
    return word[0].upper() + word[1:] if model[0].isupper() else word


_SPELT = {number: word for word, number in NUMBER_WORDS.items()}
_SPELLED = "|".join(word for word in NUMBER_WORDS if word not in ("zero", "one", "hundred", "thousand"))
_NUMBER = re.compile(rf"(?<![\w.,/-])(?:\d[\d,]*(?:\.\d+)?|(?:{_SPELLED})\b)(?![\w/-]|[.,]\d)", re.IGNORECASE)
_ANY_NUMBER = rf"(?:\d[\d,.]*|{'|'.join(NUMBER_WORDS)})"
_JOINED_BEFORE = re.compile(rf"\b{_ANY_NUMBER}(?: \w+)? (?:to|or|and|by) $", re.IGNORECASE)
_JOINED_AFTER = re.compile(rf"(?: \w+)? (?:to|or|and|by) {_ANY_NUMBER}\b", re.IGNORECASE)


def _other_number(sentence: str) -> str | None:
    """The first number doubled or halved: which of the two is the sentence's own fate, so that neither is a tell.

    Numbers that are joined ("10 to 15", "three or four") are left alone: one of them alone makes no sense.
    """
    doubled = hashlib.sha256(sentence.encode()).digest()[0] % 2 == 0
    match = next((match for match in _NUMBER.finditer(sentence) if not _is_joined(sentence, match)), None)
    if match is None:
        return None
    written = match.group()
    other = _other_figure(written, doubled) if written[0].isdigit() else _other_word(written, doubled)
    return sentence[: match.start()] + other + sentence[match.end() :]


def _is_joined(sentence: str, match: re.Match[str]) -> bool:
    return bool(_JOINED_BEFORE.search(sentence[: match.start()]) or _JOINED_AFTER.match(sentence[match.end() :]))


def _other_word(written: str, doubled: bool) -> str:
    value = NUMBER_WORDS[written.lower()]
    double, half = _SPELT.get(2 * value), _SPELT[max(2, value // 2)]
    return _like(written, double if double and (doubled or value < 4) else half)


def _other_figure(written: str, doubled: bool) -> str:
    """As many decimals as before, a comma where there was one; a year moves back by 20."""
    plain = written.replace(",", "")
    decimals = len(plain.partition(".")[2])
    value = float(plain)
    if not decimals and "," not in written and 1500 <= value <= 2100:
        return str(int(value) - 20)
    if not decimals and value < 2:
        return str(int(value) + 2)
    halves = round(value / 2, decimals) * 2 == value
    other = value / 2 if halves and not doubled else value * 2
    return f"{other:{',' if ',' in written else ''}.{decimals}f}"


_EDITS: tuple[tuple[Edit, Callable[[str], str | None]], ...] = (
    ("number", _other_number),
    ("frequency", _swapping(_swaps(_FREQUENCIES, both_ways=True) | _swaps(_EVERY, both_ways=False))),
    ("direction", _swapping(_swaps(_OPPOSITES, both_ways=True))),
    ("negation", _swapping(_swaps(_NEGATIONS, both_ways=False))),
)
