"""`runoff data`: making data that can be trained on and compared by."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(help="Make data that can be trained on and compared by.", no_args_is_help=True)


@app.callback()
def _data() -> None:
    """Make data that can be trained on and compared by."""


@app.command("split")
def split(
    files: Annotated[list[Path], typer.Argument(help="JSONL, JSON, CSV or Markdown files of questions and answers.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for train.jsonl, valid.jsonl, test.jsonl, manifest.json.")],
    valid: Annotated[
        float, typer.Option("--valid", min=0.0, max=1.0, help="Share of the rows for validation, 0 to 1.")
    ] = 0.1,
    test: Annotated[
        float, typer.Option("--test", min=0.0, max=1.0, help="Share of the rows for the test, 0 to 1.")
    ] = 0.1,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the draw that decides which groups are held out.")] = 0,
    source: Annotated[
        str | None, typer.Option("--source", help="Field that names a row's source; default: source, group, video, ...")
    ] = None,
) -> None:
    """Split rows so that no source crosses a border.

    Nor does any group of near-duplicates.
    """
    from runoff.data.split import split_files
    from runoff.words import count_of

    done = split_files(files, out, valid=valid, test=test, seed=seed, source_key=source)
    for name, rows in done.splits.items():
        print(f"{name}: {count_of(len(rows), 'row')} of {count_of(len(done.sources(name)), 'source')}")
    print(
        f"{done.groups} groups that belong together; {done.pairs_of_near_duplicates} pairs of near-duplicates; "
        f"{done.rows_without_source} rows name no source."
    )
    print(f"Written to {out}, with their hashes in manifest.json.")
    print(f"What the rows show: runoff check --data {shlex.quote(str(out))}")
