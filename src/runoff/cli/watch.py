"""`runoff watch`: a training as its own terminal shows it, from another terminal or another machine's folder."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from runoff.cli.progress import TrainingView
    from runoff.runs import MetricRow, Run

__all__ = ["command"]

QUIET_SECONDS = 600.0
"""Without a new row for so long, a run of another machine may have been killed: its process can't be asked for."""


def command(
    run: Annotated[str, typer.Argument(help="Run name, or path of a run folder.")],
    root: Annotated[
        Path | None, typer.Option("--runs", help="Folder of the runs; default $RUNOFF_DIR or ./runs.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Show where the run is, and end.")] = False,
    every: Annotated[float, typer.Option("--every", min=0.05, help="Seconds between two looks at the folder.")] = 1.0,
) -> None:
    """Show a training while it runs, from another terminal.

    Reads the run's folder; ends when the run ends.
    """
    from runoff.cli.output import say
    from runoff.cli.progress import TrainingView
    from runoff.runs import load_run

    if once:
        _show_once(load_run(run, root))
        return
    with TrainingView() as view:
        heard = time.monotonic()
        for found in _looks(run, root, every):
            heard = time.monotonic() if _show_new(view, found) else heard
            if found.folder.writer_lives is None and time.monotonic() - heard > QUIET_SECONDS:
                view.say(_quiet(found))
                heard = time.monotonic()
    say(_ending(load_run(run, root)))


def _looks(name: str, root: Path | None, every: float) -> Iterator[Run]:
    """The run, read again and again until nobody writes it any more."""
    from runoff.runs import load_run

    while True:
        run = load_run(name, root)
        if run.status != "running":
            yield load_run(name, root)  # what was written before it ended has been read then
            return
        yield run
        time.sleep(every)


def _show_new(view: TrainingView, run: Run) -> bool:
    """The rows that were not shown yet, if any; rows that a resume took back are said to be gone."""
    view.standing.total, view.standing.in_updates = _length(run)
    shown, rows = view.shown, run.metrics
    same = 0
    while same < min(len(shown), len(rows)) and shown[same] == rows[same]:
        same += 1
    if same < len(shown):
        view.say(f"Resumed: {len(shown) - same} rows after its checkpoint were taken back.")
        del shown[same:]
    for row in rows[same:]:
        view.listen(row)
    return same < len(rows)


def _show_once(run: Run) -> None:
    from runoff.cli.output import say
    from runoff.cli.progress import Standing, metric_line

    standing = Standing(*_length(run))
    for row in run.metrics:
        standing.take(row)
        if row.kind == "alarm":
            say(metric_line(row))
    if run.status != "running":
        standing.seconds_left = None
    say(f"{run.name}: {standing.text}")
    if standing.validation:
        say(metric_line(standing.validation))
    say(_ending(run))


def _length(run: Run) -> tuple[int | None, bool]:
    """What the run counts up to, and whether those are updates."""
    counts = run.plan.counts
    rows: tuple[MetricRow, ...] = run.metrics
    if not rows or any(row.iteration is not None for row in rows):
        value = counts["iterations"] if "iterations" in counts else run.plan.settings.get("iters")
        return (value.value if value is not None else None), False
    updates = counts.get("optimizer_updates")
    return (updates.value if updates is not None else None), True


def _ending(run: Run) -> str:
    status, reason = run.status, run.identity.result.get("reason")
    if status not in ("running", "killed"):
        return f"{run.name}: {status}" + (f", {reason.removesuffix('.')}." if reason else ".")
    if status == "killed":
        cure = "" if run.identity.imported else " Go on with runoff train ... --resume."
        return f"{run.name}: no process trains it any more (it was killed).{cure}"
    if run.folder.writer_lives is None:
        return f"{run.name}: running, as its folder says; its process is not on this machine and can't be asked for."
    return f"{run.name}: running."


def _quiet(run: Run) -> str:
    from runoff.report.numbers import duration_text

    return (
        f"{run.name}: no new row for {duration_text(QUIET_SECONDS)}. Its process is not on this machine, so whether it "
        "still trains can't be seen here."
    )
