"""`runoff side-by-side`: the same prompts with the answers of the base and of every run next to each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["command"]


def command(
    runs: Annotated[list[str], typer.Argument(help="Run names, or paths of run folders.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder for side-by-side.md, .html and .json.")
    ] = None,
    against: Annotated[
        str, typer.Option("--against", help="What the word marks refer to: reference, base or a run.")
    ] = "reference",
    show: Annotated[int, typer.Option("--show", help="Prompts to print at most; the files hold all of them.")] = 5,
    root: Annotated[
        Path | None, typer.Option("--runs", help="Folder of the runs; default $RUNOFF_DIR or ./runs.")
    ] = None,
) -> None:
    """Show what runoff evaluate --generate stored, the most disagreeing answers first."""
    from runoff.cli.output import print_report, say
    from runoff.evaluation.side_by_side import gather_stored, side_by_side
    from runoff.report import write_report
    from runoff.report.side_by_side import side_by_side_report
    from runoff.runs import load_run

    loaded = [load_run(run, root) for run in runs]
    gathered = gather_stored(loaded)
    found = side_by_side(gathered.material, place=gathered.place, against=against, notes=gathered.notes)
    print_report(side_by_side_report(found, most=show))
    if out is not None:
        paths = write_report(side_by_side_report(found), out, name="side-by-side")
        say("Side by side: " + ", ".join(str(path) for path in paths))
    elif show < len(found.prompts):
        say(f"{len(found.prompts) - show} more prompts: add -o DIR to write them all, or --show.")
