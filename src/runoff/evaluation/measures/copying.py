"""B2: recited training answers. Owns: shared 8-grams, the longest shared span, the nearest training answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from runoff.estimates.bounded import SHARE
from runoff.evaluation.answers import Answer
from runoff.evaluation.material import Material, Need, TrainingRow
from runoff.evaluation.measures.nearest import grams, nearest_cosines
from runoff.evaluation.measures.result import (
    About,
    Dimension,
    Measure,
    MeasureResult,
    clusters_of,
    from_scores,
    per_answer,
)
from runoff.evaluation.measures.texts import words

__all__ = ["COPIED", "LONGEST_COPY", "NEAREST_ANSWER", "SharedSpan", "TrainingSpans", "training_spans"]

_COPY = 8  # words in a row that count as copied
_SEED = 4  # words in a row that a search for spans starts from


@dataclass(frozen=True, eq=False)
class TrainingSpans:
    """The training answers' words, and where each run of 4 of them stands: (row, position)."""

    rows: tuple[tuple[str, ...], ...]
    places: Mapping[tuple[str, ...], list[tuple[int, int]]]

    def shared(self, text: str, least: int = _COPY) -> list[SharedSpan]:
        """Stretches of at least `least` (4 or more) words that also stand in one training answer.

        Each as long as possible, in order and without overlap.
        """
        tokens, spans, start = words(text), [], 0
        while start <= len(tokens) - least:
            found = [
                SharedSpan(start, _common(tokens[start:], self.rows[row][at:]), row)
                for row, at in self.places.get(tokens[start : start + _SEED], ())
            ]
            best = max(found, key=lambda span: span.words, default=None)
            if best and best.words >= least:
                spans.append(best)
                start += best.words
            else:
                start += 1
        return spans


@dataclass(frozen=True, slots=True)
class SharedSpan:
    """Words of an answer, counted from 0, that stand in a training row as well."""

    first: int
    words: int
    training_row: int


@lru_cache(maxsize=4)
def training_spans(training: tuple[TrainingRow, ...]) -> TrainingSpans:
    """Made once for the same training rows."""
    rows = tuple(words(row.answer) for row in training)
    places: dict[tuple[str, ...], list[tuple[int, int]]] = {}
    for row, tokens in enumerate(rows):
        for position, seed in enumerate(grams(tokens, _SEED)):
            places.setdefault(seed, []).append((row, position))
    return TrainingSpans(rows, places)


def _common(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the common beginning."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(first), len(second)))


def _copied_share(spans: TrainingSpans, answer: Answer) -> float | None:
    total = len(words(answer.text))
    return sum(span.words for span in spans.shared(answer.text)) / total if total else None


def _longest(spans: TrainingSpans, answer: Answer) -> float:
    return float(max((span.words for span in spans.shared(answer.text, _SEED)), default=0))


def _per_answer(value: Callable[[TrainingSpans, Answer], float | None]) -> Callable[[About, Material], MeasureResult]:
    def compute(about: About, material: Material) -> MeasureResult:
        spans = training_spans(material.training)
        return per_answer(about, material, lambda answer: value(spans, answer))

    return compute


def _nearest(about: About, material: Material) -> MeasureResult:
    """Cosine of word 1- to 3-gram TF-IDF to the most similar training answer."""
    training = [row.answer for row in material.training]
    scores = {}
    for label, answers in material.everyone.items():
        kept = [answer for answer in answers if words(answer.text)]
        nearest = nearest_cosines([answer.text for answer in kept], training, longest=3)
        scores[label] = {answer.example: value for answer, value in zip(kept, nearest, strict=True)}
    return from_scores(about, material, scores, clusters_of(material.everyone))


_NEEDS = (Need.ANSWERS, Need.TRAINING)
_BLIND = (
    "Training answers that are paraphrased. What the author himself repeats from answer to answer is his own value."
)

COPIED = Measure(
    About(
        key="copied",
        title="Words copied from the training answers",
        dimension=Dimension.COPYING,
        unit="share of words",
        higher_is_better=False,
        matters=0.02,
        what=(
            "Share of an answer's words that lie in a run of 8 or more words that one training answer holds too; to be "
            "read against the same share of the author's own held-out answers. The training answers are those of all "
            "runs that were evaluated together, so that all are held against the same text."
        ),
        cannot_see=_BLIND,
        needs=_NEEDS,
        bounds=SHARE,
    ),
    _per_answer(_copied_share),
)

LONGEST_COPY = Measure(
    About(
        key="longest_copy",
        title="Longest span shared with a training answer",
        dimension=Dimension.COPYING,
        unit="words",
        higher_is_better=False,
        matters=2.0,
        what=(
            "The longest run of words (4 or more, else 0) that an answer shares with a training answer of any of "
            "the runs evaluated together; mean."
        ),
        cannot_see=_BLIND,
        needs=_NEEDS,
        bounds=(0.0, math.inf),
    ),
    _per_answer(_longest),
)

NEAREST_ANSWER = Measure(
    About(
        key="nearest_training_answer",
        title="Similarity to the nearest training answer",
        dimension=Dimension.COPYING,
        unit="cosine",
        higher_is_better=False,
        matters=0.05,
        what=(
            "Cosine of TF-IDF over runs of 1 to 3 words to the most similar training answer of any of the runs "
            "evaluated together, where words that no training answer holds count as the rarest; mean over answers."
        ),
        cannot_see="Whether the likeness is one of topic or of wording: above the author's own value it is wording.",
        needs=_NEEDS,
        bounds=SHARE,
    ),
    _nearest,
)
