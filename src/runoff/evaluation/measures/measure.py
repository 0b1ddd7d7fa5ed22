"""All measures. Owns: which there are, and in which order they are shown. A new one is a line in `MEASURES`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from runoff.evaluation.material import Material
from runoff.evaluation.measures.broken import BROKEN, LEAK, LOOP, NO_STOP
from runoff.evaluation.measures.contrast_rate import CONTRAST
from runoff.evaluation.measures.copying import COPIED, LONGEST_COPY, NEAREST_ANSWER
from runoff.evaluation.measures.distance import BURROWS_DELTA, COSINE_DELTA, DISTINGUISHABLE
from runoff.evaluation.measures.drift import DRIFT_KL, DRIFT_NATS
from runoff.evaluation.measures.ending import END_CHANCE, END_FIRST, END_PLACE
from runoff.evaluation.measures.facts import FACTS
from runoff.evaluation.measures.forgetting import PASSED, RETENTION
from runoff.evaluation.measures.length import LENGTH_OUTSIDE, LENGTH_RATIO
from runoff.evaluation.measures.memorization import BY_NEARNESS, MEMORIZATION
from runoff.evaluation.measures.persona import PERSONA_BLEED
from runoff.evaluation.measures.profile import PROFILE
from runoff.evaluation.measures.result import Measure, MeasureResult
from runoff.evaluation.measures.style import STYLE, STYLE_WITHOUT_MARKDOWN

__all__ = ["MEASURES", "PROFILE", "SAMPLED_MEASURES", "SCORED_MEASURES", "measure"]

SCORED_MEASURES: tuple[Measure, ...] = (MEMORIZATION, *BY_NEARNESS, CONTRAST, END_CHANCE, END_FIRST, END_PLACE)
"""Of likelihoods: they need no generated answer."""

MEASURES: tuple[Measure, ...] = (
    STYLE,
    STYLE_WITHOUT_MARKDOWN,
    DISTINGUISHABLE,
    BURROWS_DELTA,
    COSINE_DELTA,
    COPIED,
    LONGEST_COPY,
    NEAREST_ANSWER,
    *FACTS,
    RETENTION,
    PASSED,
    PERSONA_BLEED,
    DRIFT_NATS,
    DRIFT_KL,
    BROKEN,
    NO_STOP,
    LOOP,
    LEAK,
    LENGTH_RATIO,
    LENGTH_OUTSIDE,
)


def _sampled(one: Measure) -> Measure:
    """The same measure of answers that were drawn at random, under a key of its own."""
    about = one.about
    return Measure(replace(about, key=f"{about.key}_sampled", title=f"{about.title}, sampled answers"), one.compute)


SAMPLED_MEASURES: tuple[Measure, ...] = tuple(map(_sampled, (STYLE, BROKEN, NO_STOP, LOOP, LEAK)))
"""Of answers that were drawn, not picked greedily: as most people use a model."""


def measure(
    material: Material, measures: Iterable[Callable[[Material], MeasureResult]] = MEASURES
) -> tuple[MeasureResult, ...]:
    """Every measure of the material, in order. There are other tuples, and `load_measure` makes a user's own."""
    return tuple(one(material) for one in measures)
