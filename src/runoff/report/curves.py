"""The curves that runs left behind, as charts: losses, learning rate, speed and memory over any axis they recorded.

Owns: which rows make a curve, gaps, the axes, how many runs a chart takes. Must not: rank, or draw (report/drawing.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from runoff.comparison.facts import Side, listed
from runoff.report.model import Axis, Chart, Series
from runoff.report.numbers import bytes_text, loss_text, number_text
from runoff.report.thinning import kept, smoothed
from runoff.runs import MetricRow
from runoff.words import count_of

__all__ = ["curve_charts"]

AXES = (
    Axis("target_tokens", "target tokens trained on"),
    Axis("optimizer_updates", "optimizer updates"),
    Axis("iteration", "iterations"),
    Axis("epoch", "epochs"),
    Axis("seconds", "seconds since the start"),
)
MOST_RUNS = 50
"""Runs that a chart draws; no eye can follow more."""
TOGETHER = 6
"""Runs up to which training and validation loss share a chart."""
ALL_POINTS, MOST_POINTS, FEWEST_POINTS = 8_000, 600, 60
"""Of a chart, and of one of its lines; what is left out never is a minimum or maximum of its neighbourhood."""
SMOOTHED_SHARE, SMOOTHED_FROM = 0.03, 40

Part = Literal["training", "validation"]
Kinds: dict[str, Part] = {"train": "training", "validation": "validation"}


@dataclass(frozen=True)
class _Quantity:
    """Something that rows report. noisy: smoothed for the eye. flat: drawn although it never changes."""

    name: str
    title: str
    unit: str
    read: Callable[[MetricRow], float | None]
    parts: tuple[Part, ...]
    noisy: bool
    write: Callable[[float | None], str] = number_text
    flat: bool = True


def _loss(row: MetricRow) -> float | None:
    return row.nats_per_target_token


_TRAINING: tuple[Part, ...] = ("training",)
BOTH_LOSSES = _Quantity(
    "loss",
    "Training loss (dashed) and validation loss (solid)",
    "nats per target token",
    _loss,
    ("training", "validation"),
    True,
    loss_text,
)
SEPARATE_LOSSES = (
    _Quantity("loss-validation", "Validation loss", "nats per target token", _loss, ("validation",), False, loss_text),
    _Quantity("loss-training", "Training loss", "nats per target token", _loss, _TRAINING, True, loss_text),
)
OTHERS = (
    _Quantity(
        "learning-rate",
        "Learning rate",
        "rate of an update",
        lambda row: row.learning_rate,
        _TRAINING,
        False,
        flat=False,  # the settings say it in one number
    ),
    _Quantity("speed", "Speed", "target tokens per second", lambda row: row.tokens_per_second, _TRAINING, True),
    _Quantity(
        "memory",
        "Peak memory",
        "gigabytes",
        lambda row: None if row.peak_memory_bytes is None else row.peak_memory_bytes / 1e9,
        _TRAINING,
        False,
        lambda value: bytes_text(None if value is None else value * 1e9),
    ),
)


@dataclass(frozen=True)
class _Reported:
    """One run's rows of one part. rows: a None parts a restarted run. x: a column for each of AXES."""

    side: Side
    number: int
    part: Part
    rows: Sequence[MetricRow | None]
    x: Sequence[Sequence[float | None]]


@dataclass(frozen=True)
class _Line:
    """One quantity of them, before thinning; `bad` are the rows whose value is no number."""

    of: _Reported
    x: Sequence[Sequence[float | None]]
    y: Sequence[float | None]
    bad: Sequence[MetricRow]

    @property
    def label(self) -> str:
        """Of the run."""
        return self.of.side.label

    @property
    def known(self) -> list[float]:
        """The values that are numbers."""
        return [value for value in self.y if value is not None]


def curve_charts(sides: Sequence[Side]) -> Iterator[Chart]:
    """A chart for each quantity that a run reported more than once; its note counts the runs it has no room for.

    sides: the runs worth looking at first come first.
    """
    reported = [found for number, side in enumerate(sides) for found in _reported(side, number)]
    losses = (BOTH_LOSSES,) if len(sides) <= TOGETHER else SEPARATE_LOSSES
    for quantity in (*losses, *OTHERS):
        lines = [line for found in reported if found.part in quantity.parts for line in _lines(found, quantity)]
        if any(len(line.known if quantity.flat else {*line.known}) > 1 for line in lines):
            yield _chart(quantity, lines)


def _reported(side: Side, number: int) -> Iterator[_Reported]:
    for kind, part in Kinds.items():
        rows: list[MetricRow | None] = []
        for row in side.run.metrics:
            if row.kind == kind:
                before = rows[-1] if rows else None
                rows += [row] if before is None or before.segment == row.segment else [None, row]
        yield _Reported(side, number, part, rows, [_positions(side, rows, axis) for axis in AXES])


def _positions(side: Side, rows: Sequence[MetricRow | None], axis: Axis) -> list[float | None]:
    """Where the rows lie; an imported run's seconds are durations of single validations, no clock."""
    if axis.key == "seconds" and side.run.identity.imported is not None:
        return [None] * len(rows)
    return [None if row is None else getattr(row, axis.key) for row in rows]


def _lines(found: _Reported, quantity: _Quantity) -> Iterator[_Line]:
    values = [None if row is None else quantity.read(row) for row in found.rows]
    stay = [at for at, row in enumerate(found.rows) if row is None or values[at] is not None]
    y = [value if (value := values[at]) is not None and math.isfinite(value) else None for at in stay]
    if any(value is not None for value in y):
        x = found.x if len(stay) == len(values) else [[column[at] for at in stay] for column in found.x]
        bad = [row for at, value in zip(stay, y, strict=True) if value is None and (row := found.rows[at]) is not None]
        yield _Line(found, x, y, bad)


def _chart(quantity: _Quantity, lines: list[_Line]) -> Chart:
    runs = list(dict.fromkeys(line.label for line in lines))
    shown = set(runs[:MOST_RUNS])
    drawn = [line for line in lines if line.label in shown]
    order = _axes(drawn)
    axis = AXES[order[0]]
    reach = max((value for line in drawn for value in line.x[order[0]] if value is not None), default=0.0)
    length = float(f"{SMOOTHED_SHARE * reach:.2g}")
    most = min(MOST_POINTS, max(FEWEST_POINTS, ALL_POINTS // len(drawn)))
    series = tuple(_series(line, order, quantity, length, most) for line in drawn)
    words = [_words(line, quantity) for line in drawn[:8]]
    notes = [_left_out(runs), *_absent(drawn, order[0]), _smoothing(series, axis, length), *_gaps(drawn)]
    return Chart(
        quantity.name,
        f"{quantity.title}, {quantity.unit}, over {axis.title}",
        tuple(AXES[at] for at in order),
        quantity.unit,
        series,
        f"Line chart of {count_of(len(shown), 'run')}. {'; '.join(words)}{'; and others' if len(drawn) > 8 else ''}.",
        " ".join(note for note in notes if note),
    )


def _axes(lines: Sequence[_Line]) -> tuple[int, ...]:
    """Places in AXES that a run recorded; in front the first of them on which the most points lie."""
    counts = [sum(len(line.x[at]) - line.x[at].count(None) for line in lines) for at in range(len(AXES))]
    first = counts.index(max(counts))
    return (first, *(at for at, count in enumerate(counts) if count and at != first))


def _series(line: _Line, axes: Sequence[int], quantity: _Quantity, length: float, most: int) -> Series:
    indices = kept(line.y, most)
    smooth: tuple[float | None, ...] = ()
    if quantity.noisy and line.of.part == "training" and len(line.known) >= SMOOTHED_FROM and length > 0:
        found = smoothed(line.x[axes[0]], line.y, length)
        smooth = tuple(None if (value := found[at]) is None else float(f"{value:.6g}") for at in indices)
    return Series(
        line.label,
        line.of.part,
        line.of.number,
        tuple(tuple(line.x[axis][at] for at in indices) for axis in axes),
        tuple(line.y[at] for at in indices),
        smooth,
    )


def _words(line: _Line, quantity: _Quantity) -> str:
    values = line.known
    ends = f"from {quantity.write(values[0])} to {quantity.write(values[-1])}"
    return f"{line.label}, {line.of.part}: {ends}, lowest {quantity.write(min(values))}"


def _left_out(runs: Sequence[str]) -> str:
    return f"Showing the curves of {MOST_RUNS} of {len(runs):,} runs." if len(runs) > MOST_RUNS else ""


def _absent(lines: Sequence[_Line], axis: int) -> Iterator[str]:
    absent = [line.label for line in lines if all(value is None for value in line.x[axis])]
    if absent:
        yield f"Not drawn here, as {AXES[axis].title} were not recorded: {listed(list(dict.fromkeys(absent)))}."


def _smoothing(series: Sequence[Series], axis: Axis, length: float) -> str:
    if not any(one.smooth for one in series):
        return ""
    return (
        "Training is smoothed for the eye alone; the faint line is what was reported: s(x) = sum w y / sum w over the "
        f"points up to x, w = exp(-distance / L), L = {length:,.15g} {axis.title}."
    )


def _gaps(lines: Sequence[_Line]) -> Iterator[str]:
    for line in lines:
        if line.bad:
            first = line.bad[0].iteration
            at = "" if first is None else f", the first after iteration {first:,}"
            word = "value is no number" if len(line.bad) == 1 else "values are no numbers"
            yield f"{line.label}, {line.of.part}: {len(line.bad):,} {word} (nan or inf) and left as a gap{at}."
        restarts = sum(row is None for row in line.of.rows)
        if restarts:
            times = "once" if restarts == 1 else f"{restarts} times"
            yield f"{line.label}, {line.of.part}: restarted {times}; its parts are not joined."
