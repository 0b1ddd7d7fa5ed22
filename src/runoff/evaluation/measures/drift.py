"""D1: how far a run has moved from its base where nobody asked it to. Owns: the two distances, per token.

Must not: score (evaluation/drifting.py does).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from runoff.estimates.bounded import Bounds
from runoff.estimates.estimate import Estimate
from runoff.evaluation.material import Material, Need
from runoff.evaluation.measures.result import About, Dimension, Measure, MeasureResult, from_scores
from runoff.evaluation.scored import Drift

__all__ = ["DRIFT_KL", "DRIFT_NATS"]


def _measure(
    key: str, title: str, unit: str, what: str, of: Callable[[Drift], float], bounds: Bounds | None = None
) -> Measure:
    def compute(about: About, material: Material) -> MeasureResult:
        scores = {label: {one.example: of(one) / one.tokens for one in some} for label, some in material.drift.items()}
        clusters = {one.example: one.cluster for some in material.drift.values() for one in some}
        found = from_scores(about, material, scores, clusters)
        author = Estimate.unknown_because("the author did not answer these prompts", unit)
        return MeasureResult(about, found.base, author, found.estimates, found.per_example)

    cannot_see = (
        "Whether the change does harm: a manner of speaking that spreads to everything raises it as much as something "
        "forgotten. An alarm to read beside what was kept."
    )
    about = About(key, title, Dimension.FORGETTING, unit, None, 0.1, what, cannot_see, (Need.DRIFT,), bounds)
    return Measure(about, compute)


DRIFT_NATS = _measure(
    "drift_nats",
    "Drift: loss of the base's own answers, above the base's",
    "nats per token, mean over answers",
    (
        "The base answers the general prompts, greedily; the loss of these answers under the run, minus the base's "
        "own. The base against itself is exactly 0."
    ),
    lambda one: one.nats,
)
DRIFT_KL = _measure(
    "drift_kl",
    "Drift: KL(base || run) on the base's own answers",
    "nats per token, mean over answers",
    (
        "KL(base || run) over the whole vocabulary at each token of the base's own greedy answers to the general "
        "prompts. Forward KL of this kind goes with forgetting (arXiv 2509.04259). The base against itself is exactly "
        "0."
    ),
    lambda one: one.kl_nats,
    (0.0, math.inf),
)
