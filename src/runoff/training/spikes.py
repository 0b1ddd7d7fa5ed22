"""Updates that would do harm: a loss or gradient that is not a number, or a spike of both.

Owns: the rule. Pure. Must not: decide what is done about it (the loop does, as on_bad_loss says).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

__all__ = ["MOST_IN_A_ROW", "WINDOW", "why_bad"]

WINDOW = 50
"""Good updates looked back on."""

FEWEST = 20
"""Before so many good updates there is no spike: the first ones move a lot by themselves."""

LOSS_FACTOR = 3.0
NORM_FACTOR = 10.0
MOST_IN_A_ROW = 10
"""More bad updates than this in a row end the run whatever on_bad_loss says: skipping all of them is not training."""


def why_bad(nats_per_target_token: float, gradient_norm: float, losses: Sequence[float], norms: Sequence[float]) -> str:
    """What is wrong with an update, or an empty string.

    A spike has a loss above LOSS_FACTOR times the median of the last good updates *and* a gradient norm (before
    clipping) above NORM_FACTOR times the median of theirs: a hard row has the one, a short row the other.

    losses, norms: of the last good updates, oldest first; at most WINDOW of them count.
    """
    if not math.isfinite(nats_per_target_token):
        return f"the loss is {nats_per_target_token}"
    if not math.isfinite(gradient_norm):
        return f"the gradient is not made of numbers (norm {gradient_norm})"
    if len(losses) < FEWEST:
        return ""
    loss, norm = statistics.median(losses[-WINDOW:]), statistics.median(norms[-WINDOW:])
    if nats_per_target_token > LOSS_FACTOR * loss and gradient_norm > NORM_FACTOR * norm:
        return (
            f"the loss jumped to {nats_per_target_token:.3g} and the gradient norm to {gradient_norm:.3g} (medians of "
            f"the last {len(losses[-WINDOW:])} updates: {loss:.3g} and {norm:.3g})"
        )
    return ""
