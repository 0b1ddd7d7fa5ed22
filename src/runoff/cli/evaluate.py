"""`runoff evaluate`: held-out measures of any number of runs and their base, in one pass."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["command"]


def command(
    runs: Annotated[list[str], typer.Argument(help="Run names, or paths of run folders.")],
    test: Annotated[
        Path | None,
        typer.Option("--test", help="JSONL of held-out rows; default: test.jsonl beside the training data."),
    ] = None,
    root: Annotated[
        Path | None, typer.Option("--runs", help="Folder of the runs; default $RUNOFF_DIR or ./runs.")
    ] = None,
) -> None:
    """Score runs and their base on a held-out test set; what is stored already is not computed again."""
    from runoff.cli.output import say, show_evaluations
    from runoff.evaluation import evaluate
    from runoff.runs import load_run

    show_evaluations(evaluate([load_run(run, root) for run in runs], test, say=say))
