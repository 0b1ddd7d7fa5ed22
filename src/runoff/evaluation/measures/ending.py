"""E1b: whether a model knows when to stop, without generating a token. Owns: the chance of the end token."""

from __future__ import annotations

import math

from runoff.estimates.estimate import Estimate
from runoff.evaluation.material import Material, Need
from runoff.evaluation.measures.result import About, Dimension, Measure, MeasureResult, from_scores, unknown

__all__ = ["END_CHANCE"]


def _measure(about: About, material: Material) -> MeasureResult:
    scored = material.scored
    if not scored.ended:
        return unknown(about, material, "no reference answer ends with the model's end token")
    chances = {
        label: {row.sha256[:16]: math.exp(-row.end_nats) for row in rows if row.sha256[:16] in scored.ended}
        for label, rows in scored.held_out.items()
    }
    found = from_scores(about, material, chances, scored.clusters)
    flags = {
        label: _flags(estimate, found.base, scored.training_rows_cut.get(label, 0))
        for label, estimate in found.estimates.items()
    }
    return MeasureResult(about, found.base, found.author, found.estimates, found.per_example, flags)


def _flags(run: Estimate, base: Estimate, cut: int) -> tuple[str, ...]:
    """Where a run ends less readily than its base, and what may be the cause."""
    if run.high is None or base.low is None or run.high >= base.low:
        return ()
    why = (
        f" {cut} of its training rows {'was' if cut == 1 else 'were'} cut, and so trained without their end."
        if cut
        else ""
    )
    return (f"Less ready to stop than the base: a chance of {run.value:.2f} against {base.value:.2f}.{why}",)


END_CHANCE = Measure(
    About(
        key="end_chance",
        title="Chance of the end token where the author ended",
        dimension=Dimension.BROKEN,
        unit="probability",
        higher_is_better=True,
        matters=0.05,
        what=(
            "Mean over the reference answers of the chance that the model gives to the end token after the author's "
            "last word. A missing end token in training shows here in one pass, without generating."
        ),
        cannot_see="Whether the model gets to such a last word by itself, and answers that end too early.",
        needs=(Need.HELD_OUT_SCORED,),
    ),
    _measure,
)
