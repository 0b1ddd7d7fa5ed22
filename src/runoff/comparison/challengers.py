"""Every other run against one baseline, with p-values adjusted for their number.

Owns: the adjusted outcomes. Must not: rank the challengers among themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from runoff.comparison.statistics import Outcome, PairedDifference, max_t
from runoff.comparison.yardstick import SEED, Yardstick
from runoff.engines.scoring import ScoredRow
from runoff.errors import RunError

__all__ = ["Challenge", "challenges"]

LEVEL = 0.05


@dataclass(frozen=True)
class Challenge:
    """One challenger minus the baseline; p_adjusted: single-step max-T over all challengers (statistics.max_t)."""

    label: str
    baseline: str
    pair: PairedDifference
    p_adjusted: float
    outcome: Outcome


def challenges(
    loss: Yardstick, rows: Mapping[str, Sequence[ScoredRow]], clusters: Sequence[str], baseline: str
) -> tuple[Challenge, ...]:
    """In the order of the runs. rows: label -> the same scored rows.

    Raises:
        RunError: the baseline is not one of them.
    """
    if baseline not in rows:
        raise RunError(f"--baseline {baseline}: is not one of the compared runs ({', '.join(rows)}).")
    labels = [label for label in rows if label != baseline]
    tokens = np.array([row.target_tokens for row in rows[baseline]], dtype=np.float64)
    losses = {label: np.array([row.nats for row in rows[label]]) / tokens for label in rows}
    differences = np.array([losses[label] - losses[baseline] for label in labels])
    p_values = max_t(differences, clusters, seed=SEED, weights=tokens)
    return tuple(
        Challenge(label, baseline, loss.pairs[label, baseline], float(p), _outcome(loss, label, baseline, float(p)))
        for label, p in zip(labels, p_values, strict=True)
    )


def _outcome(loss: Yardstick, label: str, baseline: str, p: float) -> Outcome:
    """As the pair alone, but better or worse only where the adjusted p-value bears it out."""
    found = loss.between(label, baseline)
    if found in (Outcome.BETTER, Outcome.WORSE) and p > LEVEL:
        inside = loss.pairs[label, baseline].within_margin(loss.margin, 1 - 2 * LEVEL)
        return Outcome.EQUIVALENT if inside else Outcome.NOT_DETECTABLE
    return found
