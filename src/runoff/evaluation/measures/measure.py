"""All measures. Owns: which there are, and in which order they are shown. A new one is a line in `MEASURES`."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from runoff.evaluation.material import Material
from runoff.evaluation.measures.broken import BROKEN, LEAK, LOOP, NO_STOP
from runoff.evaluation.measures.copying import COPIED, LONGEST_COPY, NEAREST_ANSWER
from runoff.evaluation.measures.distance import BURROWS_DELTA, COSINE_DELTA, DISTINGUISHABLE
from runoff.evaluation.measures.facts import FACTS
from runoff.evaluation.measures.forgetting import PASSED, RETENTION
from runoff.evaluation.measures.length import LENGTH_OUTSIDE, LENGTH_RATIO
from runoff.evaluation.measures.persona import PERSONA_BLEED
from runoff.evaluation.measures.profile import PROFILE
from runoff.evaluation.measures.result import Measure, MeasureResult
from runoff.evaluation.measures.style import STYLE, STYLE_WITHOUT_MARKDOWN

__all__ = ["MEASURES", "PROFILE", "measure"]

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
    BROKEN,
    NO_STOP,
    LOOP,
    LEAK,
    LENGTH_RATIO,
    LENGTH_OUTSIDE,
)


def measure(
    material: Material, measures: Iterable[Callable[[Material], MeasureResult]] = MEASURES
) -> tuple[MeasureResult, ...]:
    """Every measure of the material, in order; `PROFILE` is the other tuple, and `load_measure` makes a user's own."""
    return tuple(one(material) for one in measures)
