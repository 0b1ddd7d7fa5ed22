"""How fast a run went and what its validations cost, from the figures that its tool wrote.

Owns: the arithmetic; what a figure is missing for is None. Must not: guess a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from runoff.comparison.facts import Side
from runoff.runs import MetricRow

__all__ = ["Pace", "pace"]


@dataclass(frozen=True, slots=True)
class Pace:
    """Of one run's last start.

    iterations_per_second, tokens_per_second: the middle one of the reported values. tokens_per_iteration: over the run;
    in_last_window: tokens per second by iterations per second of the last report that has both. training_seconds:
    iterations by iterations per second, where the tool reports that. validation_seconds: the mean of one.
    validation_share: of training and validation together.
    """

    iterations_per_second: float | None
    tokens_per_second: float | None
    tokens: int | None
    tokens_per_iteration: float | None
    in_last_window: float | None
    training_seconds: float | None
    validation_seconds: float | None
    validation_share: float | None


def pace(side: Side) -> Pace:
    """Read from the metric rows."""
    start = max((row.segment for row in side.run.metrics), default=0)
    rows = [row for row in side.run.metrics if row.segment == start]
    iterations, validations = side.number("iterations"), side.number("validations")
    rate = _middle([row.iterations_per_second for row in rows])
    counted = [row.target_tokens for row in rows if row.target_tokens]
    tokens = max(counted) if counted else None
    reached = max((row.iteration for row in rows if row.target_tokens and row.iteration), default=None)
    training = iterations / rate if iterations and rate else None
    took = _validation_seconds(rows, printed=side.run.identity.imported is not None)
    whole = side.run.identity.result.get("seconds") or (
        training + validations * took if training and validations is not None and took is not None else None
    )
    both = [row for row in rows if row.tokens_per_second and row.iterations_per_second]
    last = both[-1] if both else None
    return Pace(
        rate,
        _middle([row.tokens_per_second for row in rows]),
        tokens or side.run.identity.result.get("target_tokens"),
        tokens / reached if tokens and reached else None,
        last.tokens_per_second / last.iterations_per_second
        if last and last.tokens_per_second and last.iterations_per_second
        else None,
        training,
        took,
        validations * took / whole if validations is not None and took is not None and whole else None,
    )


def _validation_seconds(rows: Sequence[MetricRow], *, printed: bool) -> float | None:
    """A foreign tool prints each one's; Runoff's rows carry the time since the start, and a report goes before."""
    if printed:
        took = [row.seconds for row in rows if row.kind == "validation" and row.seconds is not None]
    else:
        took = [
            row.seconds - before.seconds
            for before, row in pairwise(rows)
            if row.kind == "validation" and before.kind == "train" and before.iteration == row.iteration
            if row.seconds is not None and before.seconds is not None
        ]
    return sum(took) / len(took) if took else None


def _middle(values: Sequence[float | None]) -> float | None:
    known = sorted(value for value in values if value)
    return known[len(known) // 2] if known else None
