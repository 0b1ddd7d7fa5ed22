"""E1b: whether a model knows when to stop, without generating a token. Owns: the end token's chance and its place."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from runoff.engines.scoring import ScoredRow
from runoff.estimates.bounded import SHARE, Bounds
from runoff.estimates.estimate import Estimate
from runoff.evaluation.material import BASE, Material, Need
from runoff.evaluation.measures.result import About, Dimension, Measure, MeasureResult, from_scores, unknown
from runoff.words import chance_text

__all__ = ["END_CHANCE", "END_FIRST", "END_PLACE"]

_NOWHERE = "no reference answer ends with the model's end token"
_NO_RANKS = "the scores are older than ranks are; delete this evaluation's folder and evaluate anew"
_BLIND = "Whether the model gets to such a last word by itself, and answers that end too early."


def _at_ends(about: About, material: Material, value: Callable[[ScoredRow], float | None]) -> MeasureResult:
    """The mean of a value over the rows that end with the end token; rows without one are left out."""
    scored = material.scored
    if not scored.ended:
        return unknown(about, material, _NOWHERE)
    found = {
        label: {row.sha256[:16]: value(row) for row in rows if row.sha256[:16] in scored.ended}
        for label, rows in scored.held_out.items()
    }
    known = {label: {key: one for key, one in each.items() if one is not None} for label, each in found.items()}
    made = from_scores(about, material, known, scored.clusters)
    none = Estimate.unknown_because(_NO_RANKS, about.unit)
    old = {label for label, each in found.items() if each and not known[label]}
    estimates = {label: none if label in old else estimate for label, estimate in made.estimates.items()}
    return replace(made, base=none if BASE in old else made.base, estimates=estimates)


def _chance(about: About, material: Material) -> MeasureResult:
    found = _at_ends(about, material, lambda row: math.exp(-max(row.end_nats, 0.0)))  # rounding may leave it below 0
    cut = material.scored.training_rows_cut
    flags = {label: _flags(estimate, found.base, cut.get(label, 0)) for label, estimate in found.estimates.items()}
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
    chances = [chance_text(one.value or 0.0) for one in (run, base)]
    return (f"Less ready to stop than the base: a chance of {' against '.join(chances)}.{why}",)


def _place(row: ScoredRow) -> float | None:
    return None if row.end_rank is None else math.log10(row.end_rank)


def _first(row: ScoredRow) -> float | None:
    return None if row.end_rank is None else float(row.end_rank == 1)


def _of(
    value: Callable[[ScoredRow], float | None], *, key: str, title: str, unit: str, better: bool, matters: float,
    bounds: Bounds, what: str,
) -> Measure:  # fmt: skip
    about = About(key, title, Dimension.BROKEN, unit, better, matters, what, _BLIND, (Need.HELD_OUT_SCORED,), bounds)
    return Measure(about, lambda about, material: _at_ends(about, material, value))


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
        cannot_see=_BLIND,
        needs=(Need.HELD_OUT_SCORED,),
        bounds=SHARE,
    ),
    _chance,
)

END_FIRST = _of(
    _first,
    key="end_first",
    title="Answers where the end token is the likeliest after the author's last word",
    unit="share of answers",
    better=True,
    matters=0.05,
    bounds=SHARE,
    what=(
        "Share of the reference answers after whose last word no token is likelier than the end token: a model that "
        "is asked greedily stops there. An equal one counts as no likelier."
    ),
)

END_PLACE = _of(
    _place,
    key="end_place",
    title="Place of the end token among all tokens where the author ended",
    unit="a power of ten: 0 is the 1st place, 1 the 10th, 2 the 100th",
    better=False,
    matters=0.1,
    bounds=(0.0, math.inf),
    what=(
        "Mean over the reference answers of log10 of the end token's place among all tokens by their chance, after the "
        "author's last word: 0 where it is the likeliest, 1 where it is the tenth, 3 where it is the thousandth. It "
        "tells a model that nearly stops from one that has never seen an end, where the chance is near 0 for both."
    ),
)
