"""What the terminal shows: tables and sentences, plain where nobody watches.

Owns: rich, widths and colours. Must not: compute a number.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from runoff.plain_text import visible
from runoff.report.numbers import number_text

if TYPE_CHECKING:
    from runoff.plan import Plan
    from runoff.report import Report
    from runoff.runs import Run, Value

__all__ = ["console", "print_report", "say", "show_plan", "show_run", "show_runs"]


def console() -> Console:
    """Standard output; plain and wide when it is not a terminal."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 140)


def say(text: str) -> None:
    """One sentence, on one line; what it quotes can't command the terminal."""
    console().print(_plain(text), soft_wrap=True)


def _plain(text: str) -> Text:
    return Text(visible(text))


def show_plan(plan: Plan) -> None:
    """What will happen, and the findings."""
    from runoff.words import count_of

    counts = plan.counts
    table = Table(title="Plan", title_justify="left", show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    rows = {
        "rows": f"{plan.data.train.rows} train, {plan.data.valid.rows if plan.data.valid else 'no'} valid",
        "target tokens": f"{number_text(counts.target_tokens_per_epoch)} an epoch",
        "length": f"{count_of(counts.iterations, 'iteration')} of {count_of(plan.settings.batch_size, 'row')} = "
        f"{counts.epochs:.2f} epochs = {count_of(counts.optimizer_updates, 'optimizer update')} of "
        f"{count_of(counts.effective_batch_rows, 'row')}",
        "learning rate": f"{counts.first_learning_rate:g} at the first update, "
        f"{counts.last_learning_rate:g} at the last",
        "adapter": f"{plan.adapter} on {len(plan.adapter.blocks)} of {plan.model.blocks} blocks",
        "trainable": f"{number_text(plan.adapter.trainable_parameters)} of "
        f"{number_text(plan.model.parameters)} parameters",
        "validation": f"{count_of(counts.validations, 'time')} {count_of(counts.validation_rows, 'row')}"
        if counts.validations
        else "none",
    }
    for key, value in rows.items():
        table.add_row(key, value)
    out = console()
    out.print(table)
    for finding in plan.findings:
        out.print(_plain(str(finding)))


def print_report(report: Report, *, brief: bool = False) -> None:
    """The whole report, or its first section."""
    from runoff.report import terminal

    terminal.print_report(report, console(), brief=brief)


def show_runs(root: Path, rows: Sequence[dict[str, Any]], *, as_json: bool, limit: int = 0) -> None:
    """One line a run, at most `limit` of them (0: all); what is not known says so. JSON holds all."""
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    shown = rows[: limit or None]
    some = f"Showing {len(shown):,} of {len(rows):,}" if len(shown) < len(rows) else f"{len(rows):,}"
    table = Table(title=visible(f"{some} {'run' if len(rows) == 1 else 'runs'} in {root}"), title_justify="left")
    headings = list(rows[0]) if rows else ["run"]
    for heading in headings:
        table.add_column(heading.replace("_", " "))
    for row in shown:
        table.add_row(*(Text(_short(row[heading])) for heading in headings))
    console().print(table)


def _short(value: Any) -> str:
    if value is None:
        return "unknown"
    return number_text(round(value, 4)) if isinstance(value, float) else visible(str(value))


def show_run(run: Run) -> None:
    """Everything about one run, with origins."""
    out = console()
    identity = run.identity
    out.print(
        Text(
            visible(f"{run.name}: {run.status}, {identity.created}, model {identity.model.get('name') or 'unknown'}"),
            style="bold",
        )
    )
    if identity.imported:
        tool = identity.imported.get("tool") or "an unknown tool"
        out.print(_plain(f"trained by {tool} {identity.imported.get('version') or '(version unknown)'}"))
        for why in identity.imported.get("version_evidence", ()):
            out.print(_plain(f"  because: {why}"))
    for title, values in (("Settings as they take effect", run.plan.settings), ("What follows", run.plan.counts)):
        out.print(_values_table(title, values))
    for finding in run.plan.findings:
        out.print(_plain(str(finding)))
    for note in run.plan.notes:
        out.print(_plain(note))
    for change in identity.changed:
        out.print(_plain("changed after iteration {iteration}: {key}, {then} before, {now} since".format(**change)))
    for row in run.metrics:
        if row.kind in ("alarm", "event") and row.text:
            out.print(_plain(row.text if row.iteration is None else f"at iteration {row.iteration}: {row.text}"))
    for key, value in identity.result.items():
        out.print(_plain(f"{key}: {value}"))


def _values_table(title: str, values: Mapping[str, Value]) -> Table:
    """What holds, what a file asked for where that differs, and where it comes from."""
    declared = any(value.declared is not None for value in values.values())
    table = Table(title=title, title_justify="left")
    for heading in ("setting" if "Settings" in title else "count", "value", *["declared"] * declared, "origin"):
        table.add_column(heading)
    for key, value in values.items():
        shown = "unknown" if not value.known else str(value.value)
        asked = ["" if value.declared is None else str(value.declared)] * declared
        table.add_row(*map(_plain, (key, shown, *asked, str(value.origin))))
    return table
