"""`runoff runs`: the runs in a folder, one line each, filtered and sorted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["command"]


def command(
    where: Annotated[
        str | None,
        typer.Option("--where", help='Only runs that fit, e.g. "learning_rate < 1e-4 and best_val_loss < 1.6".'),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option("--sort", help="Sort by a column or setting, e.g. best_val_loss; unknown values come last."),
    ] = None,
    columns: Annotated[str | None, typer.Option("--columns", help="More columns, e.g. learning_rate,scale.")] = None,
    limit: Annotated[int, typer.Option("--limit", help="Lines shown in the terminal; 0 for all.", min=0)] = 200,
    json_output: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    root: Annotated[
        Path | None, typer.Option("--runs", help="Folder of the runs; default $RUNOFF_DIR or ./runs.")
    ] = None,
) -> None:
    """List the runs."""
    from runoff.cli.output import say, show_runs
    from runoff.runs import list_runs, runs_root

    extra = [name.strip() for name in (columns or "").split(",") if name.strip()]
    folder = root or runs_root()
    rows = list_runs(folder, where=where, sort=sort, columns=extra)
    if not rows and not json_output:
        why = (
            f"No run in {folder} fits."
            if where
            else f"No runs in {folder}. `runoff train` or `runoff import` makes one."
        )
        say(why)
        return
    show_runs(folder, rows, as_json=json_output, limit=limit)
