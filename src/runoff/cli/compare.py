"""`runoff compare`: what differs between runs, what the evidence shows, and which to ship."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from runoff.comparison import Aim

__all__ = ["command"]


def command(
    runs: Annotated[
        list[str] | None,
        typer.Argument(help="Two or more run names, paths of run folders, or patterns such as 'seed-*'."),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            "--where", help='Only runs that fit, e.g. "learning_rate < 1e-4"; without names, any run in the folder.'
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="Folder for report.md, report.html, report.json; default: print only."),
    ] = None,
    tables: Annotated[
        str,
        typer.Option("--tables", help="With -o: the tables as files too, of csv and parquet, separated by a comma."),
    ] = "",
    margin: Annotated[
        float,
        typer.Option("--margin", help="Smallest difference of held-out loss that matters, in nats per target token."),
    ] = 0.02,
    aim: Annotated[
        str, typer.Option("--aim", help="What decides: generalization, style, keep-base or balanced.")
    ] = "generalization",
    gated: Annotated[
        bool,
        typer.Option(
            "--gate",
            help="Exit with 1 if a run is worse than the baseline or must not be shipped, 3 if that is open.",
        ),
    ] = False,
    baseline: Annotated[
        str | None,
        typer.Option("--baseline", help="The run to hold all others against; p is adjusted for their number."),
    ] = None,
    replicates: Annotated[
        bool,
        typer.Option("--replicates", help="Take runs that differ in nothing but their seed as one setting."),
    ] = False,
    brief: Annotated[
        bool, typer.Option("--brief", help="With -o: print the verdict alone; the report has the rest.")
    ] = False,
    root: Annotated[
        Path | None, typer.Option("--runs", help="Folder of the runs; default $RUNOFF_DIR or ./runs.")
    ] = None,
) -> None:
    """Compare runs and say which to ship.

    With the certainty, or with what is missing for a verdict.
    """
    from runoff.cli.output import print_report, say
    from runoff.comparison import compare, gate, verdict
    from runoff.errors import RunError
    from runoff.report import report, write_report
    from runoff.runs import choose_runs, load_run

    if tables and out is None:
        raise RunError("--tables: add -o FOLDER, where the tables shall go.")
    loaded = [load_run(run, root) for run in choose_runs(runs or [], where=where, root=root)]
    comparison = compare(loaded, margin=margin, replicates=replicates, baseline=baseline)
    finished = report(comparison, verdict(comparison, _aim(aim)))
    print_report(finished, brief=brief)
    if out is not None:
        paths = write_report(finished, out, tables=[name.strip() for name in tables.split(",") if name.strip()])
        say("Report: " + ", ".join(str(path) for path in paths))
    if gated:
        result = gate(comparison)
        for sentence in result.sentences:
            say(f"Gate: {sentence.text}")
        say(f"Gate: {result.answer.name.lower().replace('_', ' ')} (exit code {result.answer.value}).")
        raise typer.Exit(result.answer.value)


def _aim(name: str) -> Aim:
    from runoff.comparison import Aim
    from runoff.errors import RunError

    try:
        return Aim(name)
    except ValueError:
        raise RunError(f"--aim {name}: is none of {', '.join(aim.value for aim in Aim)}.") from None
