"""B3: what fits the training rows alone. Owns: the gap to held-out rows, and the loss by nearness of question.

Shown, never ranked by: runs of different length differ in it whatever their worth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from runoff.data import Row
from runoff.engines.scoring import HELD_OUT_UNIT, ScoredRow, cluster_of
from runoff.estimates.clusters import Clusters, robust_ratio
from runoff.estimates.estimate import Estimate, t_estimate
from runoff.evaluation.material import AUTHOR, BASE, Material, Need
from runoff.evaluation.measures.nearest import nearest_cosines
from runoff.evaluation.measures.result import About, Dimension, Measure, MeasureResult, from_scores, result, unknown
from runoff.evaluation.measures.texts import words

__all__ = ["BY_NEARNESS", "MEMORIZATION", "nearness"]

_FEWEST_ROWS = 9  # three in a third
_THIRDS = ("far from", "half-way to", "near to")
_METHOD = "difference of two ratios of sums, cluster-robust t with the smaller number of sources"


def nearness(held_out: Sequence[Row], training: Sequence[Row]) -> Mapping[str, float]:
    """For each held-out row the largest cosine of its question's TF-IDF words to a training question's."""
    asked = {row.sha256[:16]: row.question for row in held_out if words(row.question)}
    known = [row.question for row in training if words(row.question)]
    if not asked or not known:
        return {}
    return dict(zip(asked, nearest_cosines(list(asked.values()), known), strict=True))


def _gap(about: About, material: Material) -> MeasureResult:
    held_out, training = material.scored.held_out, material.scored.training
    gaps = {label: _difference(rows, training[label], about.unit) for label, rows in held_out.items() if rows}
    mine = Estimate.unknown_because("it is the author's own text that is scored", about.unit)
    flags = {label: _flags(about, material, label) for label in gaps if label != BASE and BASE in gaps}
    return result(about, material, gaps | {AUTHOR: mine}, flags=flags)


def _difference(held_out: Sequence[ScoredRow], training: Sequence[ScoredRow], unit: str) -> Estimate:
    if not training:
        return Estimate.unknown_because(Need.TRAINING_SCORED.value, unit, n=len(held_out))
    nats = [[row.nats for row in rows] for rows in (held_out, training)]
    return _apart(held_out, training, nats, unit)


def _apart(
    held_out: Sequence[ScoredRow], training: Sequence[ScoredRow], nats: Sequence[Sequence[float]], unit: str
) -> Estimate:
    """Nats per target token of the first rows minus those of the second."""
    (a, error_a, k), (b, error_b, m) = (_loss(rows, of) for rows, of in zip((held_out, training), nats, strict=True))
    error = None if error_a is None or error_b is None else math.hypot(error_a, error_b)
    return t_estimate(
        a - b, error, unit=unit, level=0.95, n=len(held_out) + len(training), clusters=min(k, m), method=_METHOD
    )


def _loss(rows: Sequence[ScoredRow], nats: Sequence[float]) -> tuple[float, float | None, int]:
    """Nats per target token, its standard error, and how many sources."""
    groups = Clusters.of([cluster_of(row) for row in rows], len(rows))
    tokens = np.array([float(row.target_tokens) for row in rows])
    return (*robust_ratio(groups.totals(np.array(nats)), groups.totals(tokens)), len(groups))


def _flags(about: About, material: Material, label: str) -> tuple[str, ...]:
    """Said where the gap beyond the base's own, which is paired row by row and so far surer, is above what matters."""
    sets = material.scored.held_out, material.scored.training
    if not all(some.get(label) and len(some[label]) == len(some[BASE]) for some in sets):
        return ()
    paired = [[one.nats - two.nats for one, two in zip(some[label], some[BASE], strict=True)] for some in sets]
    beyond = _apart(sets[0][label], sets[1][label], paired, about.unit)
    if beyond.low is None or beyond.low <= about.matters:
        return ()
    return (
        f"Fits its training rows better than new ones: beyond the base's own gap, its loss on them is "
        f"{beyond.value:.2f} nats per token ({beyond.low:.2f} to {beyond.high:.2f}) lower than on held-out rows.",
    )


def _by_nearness(about: About, material: Material, third: int) -> MeasureResult:
    near = material.scored.nearness
    if len(near) < _FEWEST_ROWS:
        reason = (
            f"only {len(near)} held-out questions can be set beside the training questions; {_FEWEST_ROWS} are needed"
        )
        return unknown(about, material, reason)
    order = sorted(near, key=lambda example: (near[example], example))
    chosen = set(order[third * len(order) // 3 : (third + 1) * len(order) // 3])
    scores = {
        label: {row.sha256[:16]: row.nats / row.target_tokens for row in rows if row.sha256[:16] in chosen}
        for label, rows in material.scored.held_out.items()
    }
    return from_scores(about, material, scores, material.scored.clusters)


MEMORIZATION = Measure(
    About(
        key="memorization_gap",
        title="Memorization gap: held-out loss minus training loss",
        dimension=Dimension.GENERALIZATION,
        unit=HELD_OUT_UNIT,
        higher_is_better=None,
        matters=0.1,
        what=(
            "Held-out loss minus the loss on as many training rows, both as nats per target token of the answers. The "
            "base has seen neither, so its gap is how much harder the held-out rows are; what a run has beyond that "
            "it learnt of its training rows alone."
        ),
        cannot_see="Whether that does harm. It grows with every epoch, so it ranks nothing.",
        needs=(Need.HELD_OUT_SCORED, Need.TRAINING_SCORED),
    ),
    _gap,
)

BY_NEARNESS = tuple(
    Measure(
        About(
            key=f"loss_{place.split()[0].replace('-', '_')}",
            title=f"Held-out loss, the third of the questions {place} training questions",
            dimension=Dimension.GENERALIZATION,
            unit=f"{HELD_OUT_UNIT}, mean over answers",
            higher_is_better=False,
            matters=0.02,
            what=(
                "Mean over answers of the nats per target token, for a third of the test questions. They are sorted by "
                "the cosine of their TF-IDF words to the nearest training question."
            ),
            cannot_see="That two questions mean the same in other words.",
            needs=(Need.HELD_OUT_SCORED, Need.TRAINING_SCORED),
        ),
        lambda about, material, third=third: _by_nearness(about, material, third),  # type: ignore[misc]
    )
    for third, place in enumerate(_THIRDS)
)
