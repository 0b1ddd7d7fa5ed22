"""How `runoff check` looks on a terminal. Owns: its tables. Must not: compute a number."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from runoff.plan import Checked
    from runoff.training.calibration import Calibration

__all__ = ["show_calibration", "show_checked"]

_STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def show_checked(checked: Checked) -> None:
    """Settings, counts, findings, and what could not be looked at."""
    out = _console()
    settings = [(row.key, _text(row.value), row.origin) for row in checked.settings()]
    if settings:
        out.print(_table(f"{checked.name}: settings as they take effect", ("setting", "value", "from"), settings))
    counts = [(row.name, _value(row.name, row.value), row.how) for row in checked.counts()]
    if counts:
        out.print(_table(f"{checked.name}: counts", ("count", "value", ""), counts))
    for finding in checked.looked.findings:
        out.print(
            Text(f"\n{finding.code} {finding.level} ", style=_STYLES[finding.level]).append(finding.place, "bold")
        )
        out.print(Text(f"  {finding.what} {finding.why}"))
        if finding.fix:
            out.print(Text(f"  Fix: {finding.fix}", style="green"))
    for checks in checked.looked.not_made:
        out.print(Text(f"\nNot looked at, since {checks.why}: {', '.join(checks.codes)}", style="dim"))
    out.print(Text(f"\n{_summary(checked)}"))


def show_calibration(name: str, measured: Calibration) -> None:
    """The time of a run, from a few measured iterations."""
    _console().print(Text(f"\n{name}: {measured}"))


def _console() -> Console:
    import sys

    return Console(highlight=False, width=None if sys.stdout.isatty() else 140)


def _table(title: str, headings: tuple[str, ...], rows: Iterable[tuple[str, str, str]]) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _value(name: str, value: Any) -> str:
    if name.startswith("memory: ") and isinstance(value, int):
        return f"{value / 1e9:.3f} GB"
    return _text(value, missing="unknown")


def _text(value: Any, missing: str = "-") -> str:
    if value is None:
        return missing
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)


def _summary(checked: Checked) -> str:
    from runoff.words import count_of

    counts = {level: sum(finding.level == level for finding in checked.looked.findings) for level in _STYLES}
    return ", ".join(count_of(count, level) for level, count in counts.items()) + "."
