"""Tables that hold several runs: W&B's export of a panel (a column for each run), and a table with a row for each run.

    "train/global_step","run3 - train/loss","run3 - train/loss__MIN","run3 - train/loss__MAX","run4 - train/loss",...
    "Name","State","train/global_step","train/loss","eval/loss"                 W&B's runs; MLflow's have Status

Every run of the table becomes one. W&B's `Step` counts calls of its log(), which is neither iterations nor updates
unless the tool passes its own (mlx-lm does, Hugging Face's Trainer does not), so it wants `--column`. Must not: guess a
unit, or read a number otherwise than columns.py does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from runoff.errors import ImportFailed
from runoff.importers.columns import check_columns, losses_among, position_among, read_table, values_of
from runoff.importers.facts import Facts, Importer, Reading, SourceFile, Tally
from runoff.importers.separated import cells_of, separated_rows
from runoff.runs import MetricRow

__all__ = ["PANEL", "RUNS_TABLE"]

BETWEEN = " - "
_RANGE = ("__MIN", "__MAX")
_OWN = ("_step", "_runtime", "_timestamp")
_NAME = "Name"
_OF_A_RUN = ("State", "Status", "Run ID", "ID")
_SHOWN = 8
Row = tuple[int, str, Mapping[str, Any]]


def _read_panel(source: SourceFile) -> Reading:
    check_columns(source.columns)
    cells = cells_of(source)
    runs: dict[str, dict[str, str]] = {}
    for cell in cells:
        run, between, metric = cell.rpartition(BETWEEN)
        if between and not metric.endswith(_RANGE) and metric not in _OWN:
            runs.setdefault(run, {})[metric] = cell
    along = [cell for cell in cells if BETWEEN not in cell]
    _refuse(source, along, runs)
    rows = list(separated_rows(source))
    readings = [
        read_table(source, _of_one(rows, along, metrics)) for metrics in runs.values() if losses_among(metrics, source)
    ]
    named = [run for run, metrics in runs.items() if losses_among(metrics, source)]
    notes = _without_loss(source, [run for run in runs if run not in named]) + _averaged(source, rows, cells)
    tally = Tally(len(rows), 0, sum(each.tally.not_understood for each in readings))
    tally.samples = [sample for each in readings for sample in each.tally.samples][:5]
    found = [replace(facts, labels=(run,)) for run, each in zip(named, readings, strict=True) for facts in each.facts]
    return Reading(tuple(replace(facts, notes=(*facts.notes, *notes)) for facts in found), tally)


def _refuse(source: SourceFile, along: Sequence[str], runs: Mapping[str, Mapping[str, str]]) -> None:
    """What the table counts by, and that it holds a loss, must be known."""
    if not runs:
        raise ImportFailed(f"{source.name}: holds no curve of a run (a column such as `run3 - train/loss`).")
    if not position_among(along, source):
        by = along[0] if along else "NAME"
        raise ImportFailed(
            f"{source.name}: its curves are counted by {_few(along) or 'nothing'}, which may be iterations or "
            "optimizer updates; export the panel with train/global_step as its x axis, or say which it is with "
            f"--column iteration={by} or --column optimizer_updates={by}."
        )
    if not any(losses_among(metrics, source) for metrics in runs.values()):
        metrics = list(dict.fromkeys(metric for each in runs.values() for metric in each))
        raise ImportFailed(
            f"{source.name}: none of its curves has the name of a loss ({_few(metrics)}); name the one that is, for "
            f"every run, with --column train_loss={metrics[0]} or --column validation_loss={metrics[0]}."
        )


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _of_one(rows: Sequence[Row], along: Sequence[str], metrics: Mapping[str, str]) -> Iterator[Row]:
    """One run's cells, in the rows where it has any."""
    for line, _, row in rows:
        own = {metric: row.get(cell) for metric, cell in metrics.items()}
        if any(own.values()):
            body = {name: row.get(name) for name in along} | own
            yield line, str(body), body


def _without_loss(source: SourceFile, runs: Sequence[str]) -> tuple[str, ...]:
    return (f"{source.name}: no loss under a known name for {_few(runs)}.",) if runs else ()


def _averaged(source: SourceFile, rows: Sequence[Row], cells: Sequence[str]) -> tuple[str, ...]:
    """W&B puts several reports into one point where there are many; their least and greatest then differ."""
    pairs = [(cell, cell.removesuffix(_RANGE[0]) + _RANGE[1]) for cell in cells if cell.endswith(_RANGE[0])]
    unlike = sum(any(row.get(low) != row.get(high) for low, high in pairs) for _, _, row in rows)
    if not unlike:
        return ()
    return (f"{source.name}: W&B averaged several reports into one in {unlike} of {len(rows)} rows of this export.",)


def _read_runs(source: SourceFile) -> Reading:
    check_columns(source.columns)
    rows, facts, tally = list(separated_rows(source)), [], Tally()
    often = Counter(str(row.get(_NAME)) for _, _, row in rows)
    for line, text, row in rows:
        tally.read += 1
        name, place = str(row.get(_NAME)), f"{source.name}:{line}"
        values, unread = values_of(row, source.columns)
        made = tuple(_last_values(values, place))
        if unread or not made:
            tally.puzzle(place, ", ".join(f"{key} {value!r}" for key, value in unread.items()) or text)
        if made:
            label = name if often[name] == 1 else f"{name}-{line}"
            note = f"{source.name}: it holds the last values of each run, no curve."
            facts.append(Facts("summary", (label,), rows=made, notes=(note,)))
    if not facts:
        raise ImportFailed(
            f"{source.name}: it is a table of runs, but none of its columns is a loss under a known name "
            f"({_few(cells_of(source))}); name one with --column train_loss=NAME."
        )
    return Reading(tuple(facts), tally)


def _last_values(values: Mapping[str, float], place: str) -> Iterator[MetricRow]:
    iteration, updates = (round(values[key]) if key in values else None for key in ("iteration", "optimizer_updates"))
    kinds: tuple[tuple[Literal["train", "validation"], str], ...]
    kinds = (("train", "train_loss"), ("validation", "validation_loss"))
    for kind, key in kinds:
        if key in values:
            yield MetricRow(
                kind,
                iteration,
                optimizer_updates=updates,
                epoch=values.get("epoch"),
                nats_per_target_token=values[key],
                place=place,
            )


def _is_panel(source: SourceFile) -> bool:
    if source.is_binary or source.path.suffix not in (".csv", ".tsv"):
        return False
    cells = cells_of(source)
    return len(cells) > 1 and any(BETWEEN in cell for cell in cells) and not set(cells) & set(_mapped(source))


def _mapped(source: SourceFile) -> list[str]:
    """Cells that a person names in full: then the table is read as one run's."""
    return [name for name in source.columns.values() if BETWEEN in name]


def _is_runs(source: SourceFile) -> bool:
    if source.is_binary or source.path.suffix not in (".csv", ".tsv"):
        return False
    cells = cells_of(source)
    return _NAME in cells and any(cell in cells for cell in _OF_A_RUN)


PANEL = Importer("W&B panel", _is_panel, _read_panel, a_run_each=True)
RUNS_TABLE = Importer("table of runs", _is_runs, _read_runs, a_run_each=True)
