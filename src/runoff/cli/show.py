"""`runoff show`: one run, whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["command"]


def command(
    run: Annotated[str, typer.Argument(help="Run name, or path of a run folder.")],
    root: Annotated[
        Path | None, typer.Option("--runs", help="Folder of the runs; default $RUNOFF_DIR or ./runs.")
    ] = None,
) -> None:
    """Show what one run was, with the origin of every value."""
    from runoff.cli.output import show_run
    from runoff.runs import load_run

    show_run(load_run(run, root))
