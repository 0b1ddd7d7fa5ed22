"""C1: the author's claim or a false edit of it, whichever a model finds likelier. Owns: the rate. Must not: score."""

from __future__ import annotations

from runoff.estimates.bounded import SHARE
from runoff.estimates.estimate import Estimate
from runoff.evaluation.material import Material, Need
from runoff.evaluation.measures.result import About, Dimension, Measure, MeasureResult, from_scores, unknown

__all__ = ["CONTRAST", "FEWEST_PAIRS"]

FEWEST_PAIRS = 30
"""Below it a rate moves by more than 3 points with every single pair."""


def _measure(about: About, material: Material) -> MeasureResult:
    pairs = material.scored.pairs
    count = max(len(some) for some in pairs.values())
    if count < FEWEST_PAIRS:
        reason = f"only {count} pairs could be made of the reference answers; {FEWEST_PAIRS} are needed"
        return unknown(about, material, reason)
    scores = {label: {pair.key: float(pair.true < pair.false) for pair in some} for label, some in pairs.items()}
    found = from_scores(about, material, scores, material.scored.clusters)
    author = Estimate.unknown_because("the true sentences are the author's own", about.unit)
    return MeasureResult(about, found.base, author, found.estimates, found.per_example)


CONTRAST = Measure(
    About(
        key="contrast_pairs",
        title="Contrast pairs: the author's claim likelier than a false edit",
        dimension=Dimension.FACTS,
        unit="share of pairs",
        higher_is_better=True,
        matters=0.05,
        what=(
            "From each reference answer up to two claims are taken, and one place of each is turned false (a number "
            "doubled or halved, raises for lowers, always for never, a negation dropped). The share of pairs whose "
            "true sentence has the fewer nats per token after the question and what stands before it; Wilson interval, "
            f"widened for sources. {FEWEST_PAIRS} pairs are needed. The texts are in contrast.jsonl beside the run."
        ),
        cannot_see=(
            "Whether an edit is really false: rules propose them and nobody has ticked them. Nor whether what is "
            "known is also said."
        ),
        needs=(Need.HELD_OUT_SCORED, Need.PAIRS_SCORED),
        bounds=SHARE,
    ),
    _measure,
)
