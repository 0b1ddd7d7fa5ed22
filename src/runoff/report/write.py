"""Writing a report to a folder. Owns: the file names. Must not: change the report."""

from __future__ import annotations

from pathlib import Path

from runoff.files import write_bytes, write_json, write_text
from runoff.report.html import to_html
from runoff.report.json_report import to_json
from runoff.report.markdown import to_markdown
from runoff.report.model import Chart, Report
from runoff.report.png import to_png

__all__ = ["write_report"]


def write_report(report: Report, folder: Path, name: str = "report") -> tuple[Path, ...]:
    """Write report.md (with its PNG charts), report.html and report.json, or by another name; returns their paths.

    Raises:
        RunError: the folder can't be written.
    """
    paths = tuple(folder / f"{name}.{ending}" for ending in ("md", "html", "json"))
    for section in report.sections:
        for block in section.blocks:
            if isinstance(block, Chart):
                write_bytes(folder / f"{block.name}.png", to_png(block))
    write_text(paths[0], to_markdown(report))
    write_text(paths[1], to_html(report))
    write_json(paths[2], to_json(report))
    return paths
