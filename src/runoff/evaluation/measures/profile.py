"""The feature profile: what makes the style score what it is. Owns: one measure for each interpretable feature."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from runoff.evaluation.material import Material, Need
from runoff.evaluation.measures.features import FEATURES
from runoff.evaluation.measures.result import (
    About,
    Dimension,
    Measure,
    MeasureResult,
    clusters_of,
    from_scores,
    unknown,
)

__all__ = ["PROFILE"]


def _measure(about: About, material: Material, value: Callable[[str], float]) -> MeasureResult:
    """z of each answer against the author's training answers; where his never vary, in the base's spread."""
    author = np.array([value(row.answer) for row in material.training])
    base = [value(answer.text) for answer in material.base_on_training]
    spread = author.std() or float(np.std(base or [0.0]))
    if spread == 0:
        return unknown(about, material, "it never varies, in the author's training answers or the base's")
    raw = {label: {a.example: value(a.text) for a in answers} for label, answers in material.everyone.items()}
    scores = {
        label: {example: float((number - author.mean()) / spread) for example, number in values.items()}
        for label, values in raw.items()
    }
    details = {label: {"plain mean": float(np.mean(list(values.values())))} for label, values in raw.items() if values}
    return from_scores(about, material, scores, clusters_of(material.everyone), details=details)


def _feature(name: str, value: Callable[[str], float]) -> Measure:
    about = About(
        key="profile_" + "_".join(name.lower().replace(",", "").split()),
        title=name[0].upper() + name[1:],
        dimension=Dimension.STYLE,
        unit="standard deviations of the author's answers",
        higher_is_better=None,
        matters=0.25,
        what=f"{name[0].upper() + name[1:]}, as a z-score against the author's training answers.",
        cannot_see="Anything but itself: it explains the style score, it does not replace it.",
        needs=(Need.ANSWERS, Need.TRAINING),
    )
    return Measure(about, lambda about, material: _measure(about, material, value))


PROFILE: tuple[Measure, ...] = tuple(_feature(name, value) for name, value in FEATURES.items())
