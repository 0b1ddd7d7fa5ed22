"""`runoff generate`: the base and any number of runs answer the same prompts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runoff.evaluation.answers import Answer

__all__ = ["command"]


def command(
    context: typer.Context,
    runs: Annotated[list[str], typer.Argument(help="Run names, or paths of run folders.")],
    prompts: Annotated[
        str, typer.Option("--prompts", "-p", help="A .jsonl file of rows, a .yaml file of prompts, or one question.")
    ],
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=1, help="Longest answer, in tokens.")] = 256,
    temperature: Annotated[
        float,
        typer.Option(
            "--temperature", min=0.0, help="Temperature of the answers; 0 takes the likeliest token each time."
        ),
    ] = 0.0,
    top_p: Annotated[
        float,
        typer.Option(
            "--top-p",
            min=0.0,
            max=1.0,
            help="Draw only from the likeliest tokens that hold this share of the chance; no effect at temperature 0.",
        ),
    ] = 1.0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of what is drawn; no effect at temperature 0.")] = 0,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write the answers to this JSONL file, too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answers as JSON, and nothing else.")] = False,
    root: Annotated[
        Path | None, typer.Option("--runs", help="Folder of the runs; default $RUNOFF_DIR or ./runs.")
    ] = None,
) -> None:
    """Let the base and every run answer the same prompts.

    All answer in the same batches; what is kept is not generated again.
    """
    import json

    from runoff.cli.evaluation_tables import show_answers
    from runoff.cli.idle import refuse_idle
    from runoff.cli.loading import loaded_runs
    from runoff.cli.output import say
    from runoff.engines.generation import Sampling
    from runoff.evaluation import generate_answers
    from runoff.files import jsonl, write_bytes

    if temperature == 0:
        refuse_idle(context, "--temperature above 0", ("top_p", "seed"))
    speak = _to_stderr if as_json else say
    loaded = loaded_runs(runs, root, speak)
    answers = generate_answers(loaded, prompts, Sampling(max_tokens, temperature, top_p, seed), say=speak)
    if out is not None:
        write_bytes(out, jsonl(_rows(answers)))
    if as_json:
        print(json.dumps(_rows(answers), indent=1, ensure_ascii=False))
    else:
        show_answers(answers)
    if len(answers) - 1 < len(set(runs)):
        raise typer.Exit(1)


def _rows(answers: Mapping[str, Sequence[Answer]]) -> list[dict[str, Any]]:
    """One row for each prompt and each model."""
    return [{"run": label, **answer.to_json()} for label, some in answers.items() for answer in some]


def _to_stderr(text: str) -> None:
    typer.echo(text, err=True)
