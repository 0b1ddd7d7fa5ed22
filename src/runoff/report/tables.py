"""The tables of a Report as CSV and Parquet, with the numbers unrounded.

Owns: one shape for both: a column that holds numbers becomes two, the number and the text as the report shows it. All
rows, also those that a reader is not shown. Must not: write files (report/write.py does).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Any

from runoff.errors import RunoffError
from runoff.report.model import Report, Table

__all__ = ["FORMATS", "report_tables", "to_csv", "to_parquet"]

FORMATS = ("csv", "parquet")
Column = tuple[str, list[float | int | str | None]]

_FORMULA = re.compile(r"^[=+\-@\t\r]")
_PLAIN = re.compile(r"^[+-]?[\d.,]+( \S.*)?$|^[+-]$")


def report_tables(report: Report) -> Iterator[tuple[str, Table]]:
    """Each table under a name that a file can have: its section, and its number there."""
    for section in report.sections:
        tables = [block for block in section.blocks if isinstance(block, Table)]
        for number, table in enumerate(tables, start=1):
            yield f"{section.key}-{number}", table


def to_csv(table: Table) -> str:
    """CSV as RFC 4180 has it, with a heading; no cell can become a spreadsheet's formula."""
    out = io.StringIO(newline="")
    columns = _columns(table)
    writer = csv.writer(out)
    writer.writerow([_harmless(name) for name, _ in columns])
    for row in zip(*(values for _, values in columns), strict=True):
        writer.writerow([_harmless(value) for value in row])
    return out.getvalue()


def to_parquet(table: Table) -> bytes:
    """Parquet, numbers as doubles and words as strings.

    Raises:
        RunoffError: pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise RunoffError(
            'Parquet needs pyarrow, which is not installed: pip install "runoff[parquet]", or write --tables csv.'
        ) from None
    arrays = {name: _array(pyarrow, values) for name, values in _columns(table)}
    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(arrays), out)
    return out.getvalue()


def _array(pyarrow: Any, values: list[float | int | str | None]) -> Any:
    if any(isinstance(value, str) for value in values):
        return pyarrow.array(values, pyarrow.string())
    return pyarrow.array([None if value is None else float(value) for value in values], pyarrow.float64())


def _columns(table: Table) -> list[Column]:
    """Names are made distinct, since a file's columns have to be."""
    found: dict[str, list[float | int | str | None]] = {}
    for at, title in enumerate(table.columns):
        cells = [row[at] for row in table.rows]
        name = title or "what"
        while name in found:
            name += "'"
        if any(one.value is not None for one in cells):
            found[name] = [one.value for one in cells]
            name += ", as written"
        found[name] = [one.text for one in cells]
    return list(found.items())


def _harmless(value: float | int | str | None) -> float | int | str | None:
    if isinstance(value, str) and _FORMULA.match(value) and not _PLAIN.match(value):
        return f"'{value}"
    return value
