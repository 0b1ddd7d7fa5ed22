"""Writing a report to a folder. Owns: the file names. Must not: change the report."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from runoff.errors import RunoffError
from runoff.files import json_bytes, text_bytes, write_files
from runoff.report.html import to_html
from runoff.report.json_report import to_json
from runoff.report.markdown import to_markdown
from runoff.report.model import Chart, Report
from runoff.report.png import to_png
from runoff.report.tables import FORMATS, report_tables, to_csv, to_parquet

__all__ = ["write_report"]


def write_report(
    report: Report, folder: Path, name: str = "report", *, tables: Collection[str] = ()
) -> tuple[Path, ...]:
    """Write report.md (with its PNG charts), report.html and report.json, or by another name; returns their paths.

    tables: of `csv` and `parquet`; the tables are written so too, to the folder tables/, which is returned last.

    Raises:
        RunError: the folder can't be written.
        RunoffError: a format is neither, or Parquet is wanted without pyarrow.
    """
    # Everything is made before anything is written: a missing library or a full disk leaves no half of a report.
    tables_made = {folder / "tables" / file: content for file, content in _tables(report, tables)}
    paths = tuple(folder / f"{name}.{ending}" for ending in ("md", "html", "json"))
    made: dict[Path, bytes] = {}
    for section in report.sections:
        for block in section.blocks:
            if isinstance(block, Chart):
                made[folder / f"{block.name}.png"] = to_png(block)
    made[paths[0]] = text_bytes(to_markdown(report))
    made[paths[1]] = text_bytes(to_html(report))
    made[paths[2]] = json_bytes(to_json(report), indent=None)
    write_files(made | tables_made)
    return (*paths, folder / "tables") if tables_made else paths


def _tables(report: Report, formats: Collection[str]) -> list[tuple[str, bytes]]:
    for unknown in set(formats) - set(FORMATS):
        raise RunoffError(f"tables can be written as {' or '.join(FORMATS)}, not as {unknown!r}.")
    found = []
    for name, table in report_tables(report):
        if "csv" in formats:
            found.append((f"{name}.csv", to_csv(table).encode("utf-8")))
        if "parquet" in formats:
            found.append((f"{name}.parquet", to_parquet(table)))
    return found
