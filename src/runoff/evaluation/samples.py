"""Which training rows are looked at beside the held-out ones. Must not: score or generate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runoff.data import Row, load_rows
from runoff.errors import DataError
from runoff.runs import Run

__all__ = ["spread", "training_rows"]


def training_rows(run: Run) -> list[Row]:
    """Those of the rows that a run was trained on that still stand, unchanged, in the file that they came from."""
    recorded = run.identity.data.get("train") or {}
    place = Path(str(recorded.get("place", "")))
    if not place.is_file():
        return []
    try:
        rows = load_rows(place, name="train").rows
    except DataError:
        return []
    known = set(recorded.get("row_sha256", []))
    return [row for row in rows if row.sha256[:16] in known]


def spread(rows: Sequence[Row], count: int) -> list[Row]:
    """Distinct rows, evenly over the file, and so over the sources that stand together in it."""
    rows = list({row.sha256: row for row in rows}.values())
    if len(rows) <= count:
        return list(rows)
    return [rows[index * len(rows) // count] for index in range(count)]
