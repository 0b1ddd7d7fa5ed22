"""How many target tokens a run saw and how long it took, as far as its rows of metrics tell.

Must not: guess where a row lacks a number, or count a row of an earlier start of the run.
"""

from __future__ import annotations

from collections.abc import Sequence

from runoff.config import Origin
from runoff.importers.counts import derived
from runoff.runs import MetricRow, Value

__all__ = ["pace_counts"]

NOTHING = Value.unknown("no row of metrics tells it")


def pace_counts(rows: Sequence[MetricRow], iterations: int | None) -> dict[str, Value]:
    """Tokens in all and per iteration, tokens per iteration of the last report, and seconds of training.

    The last two are of the last report's own rates; the seconds hold if it was as fast throughout.
    """
    counts = dict.fromkeys(
        ("target_tokens", "target_tokens_per_iteration", "target_tokens_per_iteration_at_last", "training_seconds"),
        NOTHING,
    )
    segment = max((row.segment for row in rows), default=0)
    trained = [row for row in rows if row.kind == "train" and row.segment == segment]
    counted = next((row for row in reversed(trained) if row.target_tokens), None)
    if counted is not None:
        width = counted.rounding.get("target_tokens")
        why = f"printed rounded, +-{width:g}" if width else None
        counts["target_tokens"] = Value(counted.target_tokens, Origin("imported", counted.place, why))
        if counted.iteration:
            each = (counted.target_tokens or 0) / counted.iteration
            why = f"{counted.target_tokens} target tokens in {counted.iteration} iterations"
            counts["target_tokens_per_iteration"] = derived(round(each, 1), why)
    timed = next((row for row in reversed(trained) if row.iterations_per_second), None)
    if timed is not None and timed.iterations_per_second:
        rate, tokens = timed.iterations_per_second, timed.tokens_per_second
        if tokens:
            why = f"{tokens:g} target tokens/s / {rate:g} iterations/s ({timed.place})"
            counts["target_tokens_per_iteration_at_last"] = derived(round(tokens / rate, 1), why)
        if iterations:
            why = f"{iterations} iterations at {rate:g} a second, as in {timed.place}; validations not included"
            counts["training_seconds"] = derived(round(iterations / rate), why)
    return counts
