"""`runoff runs`: the runs in a folder, one line each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["command"]


def command(
    root: Annotated[
        Path | None, typer.Option("--runs", help="Folder of the runs; default $RUNOFF_DIR or ./runs.")
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="The same as JSON.")] = False,
) -> None:
    """List the runs."""
    from runoff.cli.output import show_runs
    from runoff.runs import find_runs, runs_root

    show_runs(root or runs_root(), find_runs(root), as_json=json_output)
