"""Whole numbers under `epoch`: which pass a row is in, or how many are over.

    keras: 0 is the row after the first pass        lightning, litgpt: every row of the first pass has the same number

Must not: read files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from runoff.errors import ImportFailed
from runoff.runs import MetricRow

__all__ = ["by_whole_epochs"]


def by_whole_epochs(
    rows: Sequence[MetricRow], name: str, steps: Sequence[str]
) -> tuple[list[MetricRow], tuple[str, ...]]:
    """The rows with epochs as far as they tell how much was trained, and a note where they were changed.

    Raises:
        ImportFailed: rows that nothing else counts share their epoch; the sentence names a column of `steps`.
    """
    epochs = [row.epoch for row in rows if row.epoch is not None]
    if not epochs or any(not epoch.is_integer() for epoch in epochs):
        return list(rows), ()
    often = Counter((row.kind, row.epoch, row.segment) for row in rows if row.epoch is not None)
    from_zero = any(row.kind == "train" and row.epoch == 0 for row in rows)
    uncounted = any(row.iteration is None and row.optimizer_updates is None for row in rows)
    if uncounted and (max(often.values()) > 1 or (0 in epochs and steps and not from_zero)):
        column = steps[0] if steps else "NAME"
        raise ImportFailed(
            f"{name}: its epochs say which pass a row is in, not how much of it is over, so what counts the rows must "
            f"be named: --column optimizer_updates={column} or --column iteration={column}."
        )
    if max(often.values()) > 1:
        note = f"{name}: its epochs say which pass a row is in, not how much of it is over, and are not read."
        return [replace(row, epoch=None) for row in rows], (note,)
    if from_zero:
        note = f"{name}: its epochs count from 0 (a training loss stands at 0), so each is one more here."
        return [replace(row, epoch=None if row.epoch is None else row.epoch + 1) for row in rows], (note,)
    return list(rows), ()
