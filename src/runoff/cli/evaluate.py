"""`runoff evaluate`: held-out measures of any number of runs and their base, in one pass."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["command"]


def command(
    context: typer.Context,
    runs: Annotated[list[str], typer.Argument(help="Run names, or paths of run folders.")],
    test: Annotated[
        Path | None,
        typer.Option("--test", help="JSONL of held-out rows; default: test.jsonl beside the training data."),
    ] = None,
    answers: Annotated[
        bool,
        typer.Option(
            "--generate", help="Also generate answers and measure style, facts, forgetting and broken output."
        ),
    ] = False,
    questions: Annotated[
        int, typer.Option("--questions", min=1, help="Test questions to answer at most, with --generate.")
    ] = 100,
    prompts: Annotated[
        Path | None, typer.Option("--prompts", help="YAML of your own prompts with checks, with --generate.")
    ] = None,
    measures: Annotated[
        list[str] | None,
        typer.Option(
            "--measure",
            help="Your own measure of answers, with --generate: module:function or file.py:function; may be repeated.",
        ),
    ] = None,
    temperature: Annotated[
        float,
        typer.Option(
            "--temperature", min=0.0, help="Temperature of the answers; 0 takes the likeliest token each time."
        ),
    ] = 0.0,
    sampled: Annotated[
        float | None,
        typer.Option(
            "--sampled",
            min=0.0,
            help="Answer the test questions a second time, drawn at this temperature; default: not.",
        ),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option("--judge", help="Address of an OpenAI-compatible server whose model judges pairs of answers."),
    ] = None,
    judge_model: Annotated[str, typer.Option("--judge-model", help="Name of the judge's model on that server.")] = "",
    judge_questions: Annotated[
        int, typer.Option("--judge-questions", min=1, help="Test questions that the judge reads at most.")
    ] = 50,
    judge_offline: Annotated[
        bool, typer.Option("--judge-offline", help="Use only what the judge has said before; ask nothing.")
    ] = False,
    harness: Annotated[
        str | None,
        typer.Option("--harness", help="Tasks of lm-evaluation-harness, or task files, separated by commas."),
    ] = None,
    harness_limit: Annotated[
        int | None, typer.Option("--harness-limit", min=1, help="Questions of each harness task at most; default: all.")
    ] = None,
    root: Annotated[
        Path | None, typer.Option("--runs", help="Folder of the runs; default $RUNOFF_DIR or ./runs.")
    ] = None,
) -> None:
    """Score runs and their base on held-out rows.

    What is stored already is not computed again. A run that can't be measured is named and left out, and
    the exit code is 1.
    """
    from runoff.cli.evaluation_tables import show_evaluations
    from runoff.cli.idle import refuse_idle
    from runoff.cli.loading import loaded_runs
    from runoff.cli.output import say
    from runoff.evaluation import Answering, evaluate

    for given, needed, names in (
        (answers, "--generate", ("questions", "prompts", "measures", "temperature", "sampled")),
        (judge, "--judge", ("judge_model", "judge_questions", "judge_offline")),
        (harness, "--harness", ("harness_limit",)),
    ):
        if not given:
            refuse_idle(context, needed, names)
    wanted = Answering(
        questions,
        temperature=temperature,
        sampled_temperature=sampled,
        prompts=prompts,
        own_measures=tuple(measures or ()),
    )
    loaded = loaded_runs(runs, root, say)
    found = evaluate(loaded, test, answering=wanted if answers else None, say=say)
    show_evaluations(found)
    measured = [run for run in loaded if run.name in {one.run for one in found}]
    if judge:
        from runoff.evaluation.judge import Judging, judge_runs

        key = os.environ.get("RUNOFF_JUDGE_KEY")
        judging = Judging(judge, judge_model, judge_offline, judge_questions)
        judge_runs(measured, found, judging, say=say, key=key)
    if harness:
        from runoff.evaluation.harness import run_harness

        tasks = [task.strip() for task in harness.split(",") if task.strip()]
        run_harness(measured, found, tasks, limit=harness_limit, say=say)
    if len(found) < len(set(runs)):
        raise typer.Exit(1)
