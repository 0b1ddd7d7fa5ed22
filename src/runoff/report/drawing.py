"""Where everything in a line chart goes: the geometry that the SVG and the PNG share.

Owns: scales, ticks, positions. Must not: know a file format.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from runoff.report.model import Chart, Series
from runoff.report.palette import Shape, shape_of

__all__ = ["HEIGHT", "WIDTH", "Drawing", "Entry", "Label", "Mark", "Stroke", "corners", "draw"]

WIDTH, HEIGHT = 760, 360
LEFT, RIGHT, TOP, BOTTOM = 76, 42, 12, 48
MOST_MARKS = 12
"""Marks along one line: enough to follow it, few enough to see it."""
MOST_BOLD = 8
Scale = Callable[[float], float]
Place = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Label:
    """A text; `anchor` says which part of it lies at x. Vertical ones read upwards, turned around their middle."""

    x: float
    y: float
    text: str
    anchor: Literal["start", "middle", "end"] = "middle"
    vertical: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """A point of a series, with what a mouse shows."""

    x: float
    y: float
    radius: float
    shape: Shape
    title: str


@dataclass(frozen=True, slots=True)
class Stroke:
    """One series. lines: drawn strongly, in pieces between gaps; faint: what was reported, behind a smoothed line."""

    run: str
    number: int
    dashed: bool
    lines: tuple[tuple[Place, ...], ...]
    faint: tuple[tuple[Place, ...], ...]
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A run in the legend; `number` decides its colour."""

    run: str
    number: int
    shape: Shape


@dataclass(frozen=True, slots=True)
class Drawing:
    """Everything, in a frame of `width` x `height` with the origin at the top left. rules: y of the grid lines.

    strokes: faint lines lie below all others; of these the first lies on top.
    """

    width: int
    height: int
    left: int
    right: int
    rules: tuple[float, ...]
    labels: tuple[Label, ...]
    strokes: tuple[Stroke, ...]
    legend: tuple[Entry, ...]

    @property
    def crowded(self) -> bool:
        """Whether lines have to be thin to be told apart."""
        return len(self.legend) > MOST_BOLD


def draw(chart: Chart) -> Drawing | None:
    """Lay out a chart over its first axis; None where it has no point there."""
    points = [point for series in chart.series for piece in _pieces(series, series.y) for point in piece]
    if not points:
        return None
    xs, ys = [x for x, _ in points], [y for _, y in points]
    air = 0.0 if min(ys) < max(ys) else abs(ys[0]) / 2
    x_ticks, y_ticks = _ticks(min(xs), max(xs), 6), _ticks(min(ys) - air, max(ys) + air, 5)
    x_at = _scale(min(x_ticks[0], *xs), max(x_ticks[-1], *xs), LEFT, WIDTH - RIGHT)
    y_at = _scale(min(y_ticks[0], *ys), max(y_ticks[-1], *ys), HEIGHT - BOTTOM, TOP)
    labels = (
        *(Label(LEFT - 8, y_at(tick) + 4, f"{tick:g}", "end") for tick in y_ticks),
        *(Label(x_at(tick), HEIGHT - BOTTOM + 18, _number(tick)) for tick in x_ticks),
        Label((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 5, chart.axes[0].title),
        Label(14, (TOP + HEIGHT - BOTTOM) / 2, chart.y_label, vertical=True),
    )
    apart = len({series.part for series in chart.series}) > 1
    strokes = tuple(_stroke(series, x_at, y_at, dashed=apart and series.part == "training") for series in chart.series)
    legend = {series.number: Entry(series.run, series.number, shape_of(series.number)) for series in chart.series}
    return Drawing(
        WIDTH, HEIGHT, LEFT, WIDTH - RIGHT, tuple(map(y_at, y_ticks)), labels, strokes, tuple(legend.values())
    )


def _pieces(series: Series, values: Sequence[float | None]) -> list[list[Place]]:
    """Points between gaps; points without a place on the first axis are passed over and part nothing."""
    placed = [(x, y) for x, y in zip(series.x[0], values, strict=True) if x is not None or y is None]
    groups = groupby(placed, key=lambda point: point[1] is None)
    return [[(x, y) for x, y in group if x is not None and y is not None] for gap, group in groups if not gap]


def _scale(low: float, high: float, start: float, end: float) -> Scale:
    span = (high - low) or 1.0
    return lambda value: start + (value - low) / span * (end - start)


def _ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers that cover the range."""
    # Points that (nearly) coincide still need a range that a floating-point number can divide.
    span = max(high - low, 1e-6 * max(abs(low), abs(high)), 1e-9)
    raw = span / about
    magnitude = 10.0 ** math.floor(math.log10(raw))
    gap = next(multiple * magnitude for multiple in (1, 2, 2.5, 5, 10) if multiple * magnitude >= raw)
    return [float(f"{index * gap:.12g}") + 0.0 for index in range(math.floor(low / gap), math.ceil(high / gap) + 1)]


def _stroke(series: Series, x_at: Scale, y_at: Scale, *, dashed: bool) -> Stroke:
    def placed(values: Sequence[float | None]) -> tuple[tuple[Place, ...], ...]:
        return tuple(tuple((x_at(x), y_at(y)) for x, y in piece) for piece in _pieces(series, values))

    return Stroke(
        series.run,
        series.number,
        dashed,
        placed(series.smooth or series.y),
        placed(series.y) if series.smooth else (),
        tuple(_marks(series, x_at, y_at, 2.0 if dashed else 4.0)),
    )


def _marks(series: Series, x_at: Scale, y_at: Scale, radius: float) -> list[Mark]:
    """Evenly spread over the points, those of the next run a little further on, so that they do not hide each other."""
    points = [point for piece in _pieces(series, series.smooth or series.y) for point in piece]
    gap = max(1, -(-len(points) // MOST_MARKS))
    start = series.number * gap // 3 % gap
    shape = shape_of(series.number)
    return [
        Mark(x_at(x), y_at(y), radius, shape, f"{series.label}: {y:.4g} at {_number(x)}") for x, y in points[start::gap]
    ]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"


def corners(mark: Mark) -> Sequence[Place]:
    """Corners of a mark that has some; a circle has none."""
    x, y, r = mark.x, mark.y, mark.radius
    t = r / 3
    return {
        "circle": (),
        "square": ((x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)),
        "triangle": ((x, y - r), (x + r, y + r), (x - r, y + r)),
        "diamond": ((x, y - r), (x + r, y), (x, y + r), (x - r, y)),
        "cross": (
            *((x - t, y - r), (x + t, y - r), (x + t, y - t), (x + r, y - t), (x + r, y + t), (x + t, y + t)),
            *((x + t, y + r), (x - t, y + r), (x - t, y + t), (x - r, y + t), (x - r, y - t), (x - t, y - t)),
        ),
    }[mark.shape]
