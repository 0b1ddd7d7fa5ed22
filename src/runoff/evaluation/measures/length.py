"""E3: answers of an odd length. Owns: the author's range, and lengths against the reference.

Broken answers are left out: each fault is counted once.
"""

from __future__ import annotations

import math

import numpy as np

from runoff.estimates.bounded import SHARE
from runoff.evaluation.answers import Answer
from runoff.evaluation.material import AUTHOR, Material, Need
from runoff.evaluation.measures.broken import is_broken
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

__all__ = ["LENGTH_OUTSIDE", "LENGTH_RATIO", "author_range"]


def author_range(material: Material) -> tuple[float, float]:
    """Words of the 1st and the 99th percentile of the training answers."""
    low, high = np.quantile([len(words(row.answer)) for row in material.training], [0.01, 0.99])
    return float(low), float(high)


def _length(material: Material, answer: Answer) -> int | None:
    return None if is_broken(material, answer) else len(words(answer.text))


def _ratio(about: About, material: Material) -> MeasureResult:
    """Mean log of words over the reference's words; median, quartiles' distance and Wasserstein distance beside it."""
    from scipy.stats import wasserstein_distance

    author = [len(words(answer.text)) for answer in material.author]
    scores: dict[str, dict[str, float]] = {}
    details = {}
    for label, answers in material.everyone.items():
        lengths = {a.example: n for a in answers if a.reference and (n := _length(material, a))}
        asked = {answer.example: len(words(answer.reference or "")) or 1 for answer in answers}
        scores[label] = {example: math.log(n / asked[example]) for example, n in lengths.items()}
        if lengths and label != AUTHOR:
            quarter, median, three_quarters = np.quantile(list(scores[label].values()), [0.25, 0.5, 0.75])
            details[label] = {
                "median": float(median),
                "interquartile range": float(three_quarters - quarter),
                "Wasserstein distance, words": float(wasserstein_distance(list(lengths.values()), author)),
            }
    return from_scores(about, material, scores, clusters_of(material.everyone), details=details)


def _outside(about: About, material: Material) -> MeasureResult:
    low, high = author_range(material)

    def value(answer: Answer) -> float | None:
        length = _length(material, answer)
        return None if length is None else float(not low <= length <= high)

    return per_answer(about, material, value)


_BLIND = "Why an answer is long or short. Broken answers are left out, being counted already."

LENGTH_RATIO = Measure(
    About(
        key="length_ratio",
        title="Length against the author's answer",
        dimension=Dimension.BROKEN,
        unit="log of words / reference words",
        higher_is_better=None,
        matters=math.log(1.25),
        what="Mean over unbroken answers of log(words / reference words); 0 is the author's length, 0.69 twice it.",
        cannot_see=_BLIND,
        needs=(Need.ANSWERS, Need.REFERENCES),
    ),
    _ratio,
)

LENGTH_OUTSIDE = Measure(
    About(
        key="length_outside",
        title="Answers outside the author's range of lengths",
        dimension=Dimension.BROKEN,
        unit="share of answers",
        higher_is_better=False,
        matters=0.05,
        what=(
            "Share of unbroken answers with fewer words than the 1st percentile of the training answers, or more than "
            "the 99th; 2 % of the author's own are, by construction."
        ),
        cannot_see=_BLIND,
        needs=(Need.ANSWERS, Need.TRAINING),
        bounds=SHARE,
    ),
    _outside,
)
