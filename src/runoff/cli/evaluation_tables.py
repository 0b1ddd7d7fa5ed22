"""How `runoff evaluate` and `runoff generate` look on a terminal. Owns: their tables. Must not: compute a number."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from runoff.report.numbers import loss_text

if TYPE_CHECKING:
    from runoff.evaluation import Estimate, Evaluation
    from runoff.evaluation.answers import Answer
    from runoff.evaluation.stored import StoredMeasure

__all__ = ["show_answers", "show_evaluations"]


def show_evaluations(evaluations: Sequence[Evaluation]) -> None:
    """Held-out loss of every run and the base, then every measure between its anchors, then what is unknown and why."""
    from runoff.evaluation import held_out_loss

    table = Table(title="Held-out loss (nats per target token, lower is better)", title_justify="left")
    for heading in ("run", "loss", "95 % interval", "answers", "sources"):
        table.add_column(heading, justify="left" if heading == "run" else "right")
    table.add_row("base", *_estimate_cells(held_out_loss(evaluations[0].base_rows)))
    for evaluation in evaluations:
        table.add_row(Text(evaluation.run), *_estimate_cells(held_out_loss(evaluation.rows)))
    out = _console()
    out.print(table)
    first = evaluations[0].measures
    shared = [key for key in first if all(key in one.measures for one in evaluations)]
    for dimension in dict.fromkeys(first[key].dimension for key in shared):
        found = [key for key in shared if first[key].dimension == dimension]
        known = [key for key in found if any(one.measures[key].run.value is not None for one in evaluations)]
        if known:
            out.print(_measures_table(dimension, known, evaluations))
        for key in found:
            if key not in known:
                out.print(Text(f"unknown: {first[key].title}, because {first[key].run.unknown}.", style="dim"))
        for name, style in (("flags", "yellow"), ("remarks", "")):
            for line in _said(name, found, evaluations):
                out.print(Text(line, style=style))


def _measures_table(dimension: str, keys: Sequence[str], evaluations: Sequence[Evaluation]) -> Table:
    table = Table(title=dimension, title_justify="left")
    for heading in ("measure", "better", "base", *(one.run for one in evaluations), "author"):
        table.add_column(Text(heading), justify="left" if heading in ("measure", "better") else "right")
    for key in keys:
        one = evaluations[0].measures[key]
        runs = [_value(evaluation.measures[key].run) for evaluation in evaluations]
        table.add_row(Text(f"{one.title} ({one.unit})"), _better(one), _anchor(one.base), *runs, _anchor(one.author))
    return table


def _better(one: StoredMeasure) -> str:
    return {True: "higher", False: "lower", None: "not ranked"}[one.higher_is_better]


def _said(name: str, keys: Sequence[str], evaluations: Sequence[Evaluation]) -> Iterator[str]:
    """The flags, or the remarks, of these measures."""
    for key in keys:
        for one in evaluations:
            yield from (f"{one.run}: {text}" for text in getattr(one.measures[key], name))


def _value(estimate: Estimate) -> str:
    if estimate.value is None:
        return "unknown"
    ends = "" if estimate.low is None or estimate.high is None else f" ({estimate.low:.3g} to {estimate.high:.3g})"
    return f"{estimate.value:.3g}{ends}"


def _anchor(estimate: Estimate) -> str:
    return "" if estimate.value is None else f"{estimate.value:.3g}"


def _estimate_cells(estimate: Estimate) -> tuple[str, str, str, str]:
    interval = "unknown" if estimate.low is None else f"{loss_text(estimate.low)} to {loss_text(estimate.high)}"
    return loss_text(estimate.value), interval, str(estimate.n), str(estimate.clusters)


def show_answers(answers: Mapping[str, Sequence[Answer]]) -> None:
    """Each prompt with everyone's answer below it; how it ended, where that was not by itself."""
    out = _console()
    for index, asked in enumerate(next(iter(answers.values()))):
        out.print(Rule(Text(asked.example), align="left"))
        out.print(Text(asked.question, style="bold"))
        if asked.reference:
            out.print(Text("\nreference", style="cyan"))
            out.print(Text(asked.reference))
        for label, some in answers.items():
            out.print(Text(f"\n{label}, {_length(some[index])}", style="cyan"))
            out.print(Text(some[index].text))
        out.print()


def _length(answer: Answer) -> str:
    ended = "" if answer.finish_reason == "stop" else ", cut off at the limit"
    return f"{len(answer.tokens)} tokens{ended}"


def _console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else 140)
