"""Words of an answer, and which of them to look at. Owns: the word-level difference, where copied spans lie in a text.

Must not: decide what is good. Case and the marks around a word don't make it another word.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from runoff.evaluation.measures.copying import TrainingSpans
from runoff.evaluation.measures.texts import word_places

__all__ = ["Word", "disagreement", "marked_words"]

_PIECE = re.compile(r"\S+\s*")
_AROUND = re.compile(r"^\W+|\W+$")


@dataclass(frozen=True, slots=True)
class Word:
    """A piece of the text up to the next word, white space included: all pieces together are the text again.

    differs: the text that it is held against has no such word at this place. copied: it lies in a span of 8 or more
    words that a training answer holds too.
    """

    text: str
    differs: bool = False
    copied: bool = False


def marked_words(text: str, against: str | None, training: TrainingSpans | None) -> tuple[Word, ...]:
    """The words of `text`, marked against another text (None: nothing differs) and the training answers."""
    pieces = list(_PIECE.finditer(text.strip()))
    differing = _differing(_keys(text), _keys(against)) if against is not None else set()
    copied = _copied(text.strip(), training) if training else []
    return tuple(
        Word(piece.group(), at in differing, any(piece.start() < end and begin < piece.end() for begin, end in copied))
        for at, piece in enumerate(pieces)
    )


def disagreement(texts: Sequence[str]) -> float:
    """1 - the share of words that two texts have in common, in order; the mean over all pairs. 0 for one text."""
    keys = [_keys(text) for text in texts]
    pairs = [(keys[i], keys[j]) for i in range(len(keys)) for j in range(i + 1, len(keys))]
    return sum(1 - _matcher(*pair).ratio() for pair in pairs) / len(pairs) if pairs else 0.0


def _keys(text: str) -> list[str]:
    return [_AROUND.sub("", word).lower() or word for word in text.split()]


def _matcher(one: list[str], other: list[str]) -> SequenceMatcher[str]:
    return SequenceMatcher(None, one, other, autojunk=False)


def _differing(own: list[str], other: list[str]) -> set[int]:
    blocks = _matcher(other, own).get_matching_blocks()
    return set(range(len(own))) - {at for block in blocks for at in range(block.b, block.b + block.size)}


def _copied(text: str, training: TrainingSpans) -> list[tuple[int, int]]:
    """Where in the text the copied spans begin and end, in characters."""
    places = word_places(text)
    return [(places[span.first][0], places[span.first + span.words - 1][1]) for span in training.shared(text)]
