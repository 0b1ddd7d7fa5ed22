"""`runoff side-by-side`: the same prompts with the answers of the base and of every run next to each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["command"]


def command(
    context: typer.Context,
    runs: Annotated[list[str], typer.Argument(help="Run names, or paths of run folders.")],
    prompts: Annotated[
        str | None,
        typer.Option("--prompts", "-p", help="Answer these instead: a .jsonl or .yaml file, or one question."),
    ] = None,
    max_tokens: Annotated[
        int, typer.Option("--max-tokens", min=1, help="Longest answer to --prompts, in tokens.")
    ] = 256,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="Folder for side-by-side.md, .html and .json; default: print only."),
    ] = None,
    against: Annotated[
        str, typer.Option("--against", help="What the word marks refer to: reference, base or a run.")
    ] = "reference",
    show: Annotated[int, typer.Option("--show", min=0, help="Prompts to print at most; the files hold all.")] = 5,
    root: Annotated[
        Path | None, typer.Option("--runs", help="Folder of the runs; default $RUNOFF_DIR or ./runs.")
    ] = None,
) -> None:
    """Show stored answers next to each other.

    Those of runoff evaluate --generate, or the answers to --prompts; the prompts on which the runs disagree most
    come first.
    """
    from runoff.cli.idle import refuse_idle
    from runoff.cli.loading import loaded_runs
    from runoff.cli.output import print_report, say
    from runoff.evaluation.side_by_side import gather_prompted, gather_stored, side_by_side
    from runoff.report import write_report
    from runoff.report.side_by_side import side_by_side_report

    if prompts is None:
        refuse_idle(context, "--prompts", ("max_tokens",))
    loaded = loaded_runs(runs, root, say)
    gathered = gather_prompted(loaded, prompts, max_tokens=max_tokens, say=say) if prompts else gather_stored(loaded)
    found = side_by_side(gathered, against=against)
    print_report(side_by_side_report(found, most=show))
    if out is not None:
        paths = write_report(side_by_side_report(found), out, name="side-by-side")
        say("Side by side: " + ", ".join(str(path) for path in paths))
    elif show < len(found.prompts):
        say(f"{len(found.prompts) - show} more prompts: add -o DIR to write them all, or --show.")
