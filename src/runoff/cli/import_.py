"""`runoff import`: runs trained elsewhere, from the files that their tools left behind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from runoff.importers import FileReport, ImportedRun

__all__ = ["command"]

SHOWN = 10


def command(
    paths: Annotated[
        list[Path], typer.Argument(help="Logs, adapter folders, output folders, metrics files; any mixture.")
    ],
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the run; says that all files are one run's.")
    ] = None,
    tool: Annotated[
        str | None,
        typer.Option("--tool", metavar="TOOL@VERSION", help="What trained it, e.g. mlx-lm@0.28.3; default: inferred."),
    ] = None,
    assignment: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="What a person remembers, e.g. data=FOLDER or train_rows=1367; may be repeated.",
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column", metavar="OURS=THEIRS", help="A column of a CSV or JSONL, e.g. iteration=step; may be repeated."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be read; write nothing.")] = False,
    runs: Annotated[
        Path | None, typer.Option("--runs", help="Folder of the runs; default $RUNOFF_DIR or ./runs.")
    ] = None,
) -> None:
    """Import runs trained elsewhere."""
    from runoff.importers import import_runs

    _refuse_own(paths)
    report = import_runs(
        paths,
        name=name,
        root=runs,
        tool=tool,
        assignments=assignment or (),
        columns=_columns(column or ()),
        dry_run=dry_run,
    )
    _show_files(report.files, everything=dry_run)
    for imported in report.imported:
        _show_run(imported)


def _refuse_own(paths: Sequence[Path]) -> None:
    """A run of Runoff's, or a folder of them, read as another tool's would lose all but its adapter.

    Raises:
        ImportFailed: one of the paths is that.
    """
    from runoff.errors import ImportFailed
    from runoff.runs import RunFolder, find_runs

    for path in paths:
        if RunFolder(path).identity.is_file():
            raise ImportFailed(f"{path}: is a run already. To see it: runoff show {path}.")
        if path.is_dir() and find_runs(path):
            raise ImportFailed(f"{path}: holds runs already. To see them: runoff runs --runs {path}.")


def _columns(given: list[str] | tuple[()]) -> dict[str, str]:
    from runoff.errors import ImportFailed

    columns = {}
    for text in given:
        ours, equals, theirs = text.partition("=")
        if not equals or not ours or not theirs:
            raise ImportFailed(f"--column {text}: write it as ours=theirs, e.g. --column iteration=step.")
        columns[ours] = theirs
    return columns


def _show_files(files: Sequence[FileReport], *, everything: bool) -> None:
    """Files that gave something; the others by number, or one by one with --dry-run."""
    silent = [file for file in files if file.why_not]
    for file in files:
        if everything or not file.why_not or len(silent) <= SHOWN:
            _show_file(file, samples=everything or len(files) <= SHOWN)
    if len(silent) > SHOWN and not everything:
        typer.echo(f"{len(silent)} other files hold nothing to import (see why with --dry-run)")


def _show_file(file: FileReport, *, samples: bool) -> None:
    tally = file.tally
    lines = (
        f"{tally.read} read, {tally.skipped} of no concern, {tally.not_understood} not understood" if tally.read else ""
    )
    text = "; ".join(part for part in (file.kind or "", lines, file.why_not.removeprefix(f"{file.name}: ")) if part)
    typer.echo(f"{file.name}: {text}")
    for sample in tally.samples if samples else ():
        typer.echo(f"  not understood: {sample}")


def _show_run(imported: ImportedRun) -> None:
    from runoff.words import count_of

    merged = imported.merged
    tool = f"{merged.tool} {merged.version or '(version unknown)'}" if merged.tool else "an unknown tool"
    verb = (
        "would be imported"
        if imported.run is None
        else "imported"
        if imported.new
        else "was imported before; nothing changed"
    )
    name = imported.run.name if imported.run else merged.name
    files, rows = count_of(len(imported.files), "file"), count_of(len(merged.rows), "row")
    typer.echo(f"\n{name}: {verb}, from {files}, {rows} of metrics; trained by {tool}")
    for why in merged.evidence:
        typer.echo(f"  because: {why}")
    for finding in merged.plan.findings:
        typer.echo(f"  {finding}")
    for note in merged.plan.notes:
        typer.echo(f"  {note}")
    if imported.run:
        typer.echo(f"  see it with: runoff show {imported.run.name}")
