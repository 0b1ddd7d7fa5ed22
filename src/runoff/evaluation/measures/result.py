"""What a measure is and what it returns. Owns: `About`, `Measure`, `MeasureResult` and the ways to fill one.

Must not: know any particular measure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from runoff.estimates.bounded import Bounds, bounded_mean
from runoff.estimates.estimate import Estimate, mean
from runoff.evaluation.answers import Answer
from runoff.evaluation.material import AUTHOR, BASE, Material, Need

__all__ = [
    "About",
    "Dimension",
    "Measure",
    "MeasureResult",
    "Scores",
    "clusters_of",
    "from_scores",
    "per_answer",
    "result",
    "unknown",
]

Scores = Mapping[str, Mapping[str, float]]


class Dimension(StrEnum):
    """Which of a reader's questions a measure speaks to."""

    GENERALIZATION = "Does it predict the author's answers to new questions?"
    STYLE = "Does it sound like the author?"
    COPYING = "Does it recite the training answers?"
    FACTS = "Does it agree with what the author says?"
    FORGETTING = "What was forgotten?"
    BROKEN = "Is the output broken?"
    OWN = "Your own measures"


@dataclass(frozen=True, slots=True)
class About:
    """What a measure says about itself; `docs/measures.md` is made of this.

    unit: of every value. higher_is_better: None where neither is better by itself. matters: the smallest
    difference worth acting on, in the unit. what: what is computed, and from whom it comes. cannot_see: a sentence.
    bounds: the least and the largest possible value of an example, where there are such.
    """

    key: str
    title: str
    dimension: Dimension
    unit: str
    higher_is_better: bool | None
    matters: float
    what: str
    cannot_see: str
    needs: tuple[Need, ...] = (Need.ANSWERS,)
    bounds: Bounds | None = None

    @property
    def looks_at_training(self) -> bool:
        """Whether a value depends on the training rows that are at hand, and so on whose they are."""
        return not {Need.TRAINING, Need.BASE_ON_TRAINING}.isdisjoint(self.needs)


@dataclass(frozen=True, slots=True)
class MeasureResult:
    """A measure of every run, between its two anchors.

    base, author: the base model and the author's own held-out answers. estimates: by run. per_example: by label (the
    two anchors' among them) and example, where the measure is a mean over examples; empty where it is not. flags: by
    run, a sentence for each thing that the number alone would hide. details: by label, further numbers by name.
    """

    about: About
    base: Estimate
    author: Estimate
    estimates: Mapping[str, Estimate]
    per_example: Scores = field(default_factory=dict)
    flags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    details: Scores = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The measure's name in files and on the command line."""
        return self.about.key


@dataclass(frozen=True, slots=True)
class Measure:
    """A callable with a description: checks its needs, then computes."""

    about: About
    compute: Callable[[About, Material], MeasureResult]

    def __call__(self, material: Material) -> MeasureResult:
        """Measure every label of the material; unknown, and why, where a need is not met."""
        reason = material.missing(self.about.needs)
        return unknown(self.about, material, reason) if reason else self.compute(self.about, material)


def unknown(about: About, material: Material, reason: str) -> MeasureResult:
    """A result without a single value; `reason` completes "unknown, because ..."."""
    nothing = Estimate.unknown_because(reason, about.unit)
    return MeasureResult(about, nothing, nothing, dict.fromkeys(material.runs, nothing))


def result(
    about: About,
    material: Material,
    estimates: Mapping[str, Estimate],
    *,
    per_example: Scores | None = None,
    flags: Mapping[str, tuple[str, ...]] | None = None,
    details: Scores | None = None,
) -> MeasureResult:
    """A result from estimates by label; whoever has none is unknown, because nothing of his was measured."""
    missing = Estimate.unknown_because("there is no answer of its to measure", about.unit)
    nobody = Estimate.unknown_because("the author did not answer these prompts", about.unit)
    return MeasureResult(
        about,
        estimates.get(BASE, missing),
        estimates.get(AUTHOR, nobody),
        {label: estimates.get(label, missing) for label in material.runs},
        per_example or {},
        flags or {},
        details or {},
    )


def from_scores(
    about: About,
    material: Material,
    scores: Scores,
    clusters: Mapping[str, str],
    *,
    details: Scores | None = None,
) -> MeasureResult:
    """The mean over each label's examples (of 0 and 1: the rate), its interval within bounds. clusters: by example."""
    estimates = {
        label: _mean(about, list(values.values()), [clusters[example] for example in values])
        for label, values in scores.items()
        if values
    }
    return result(about, material, estimates, per_example=scores, details=details)


def _mean(about: About, values: list[float], clusters: list[str]) -> Estimate:
    if about.bounds is None:
        return mean(values, clusters, unit=about.unit)
    return bounded_mean(values, clusters, unit=about.unit, bounds=about.bounds)


def per_answer(about: About, material: Material, value: Callable[[Answer], float | None]) -> MeasureResult:
    """The mean over the test answers of `value`; an answer whose value is None is left out."""
    scores: dict[str, dict[str, float]] = {}
    for label, answers in material.everyone.items():
        found = ((answer.example, value(answer)) for answer in answers)
        scores[label] = {example: number for example, number in found if number is not None}
    return from_scores(about, material, scores, clusters_of(material.everyone))


def clusters_of(answers: Mapping[str, tuple[Answer, ...]]) -> dict[str, str]:
    """The cluster of each example."""
    return {answer.example: answer.cluster for some in answers.values() for answer in some}
