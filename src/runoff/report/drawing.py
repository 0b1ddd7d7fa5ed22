"""Where everything in a line chart goes: the geometry that the SVG and the PNG share.

Owns: scales, ticks, positions. Must not: know a file format.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from runoff.report.model import Chart, Series
from runoff.report.palette import COLOURS

__all__ = ["Drawing", "Label", "Mark", "Stroke", "corners", "draw"]

WIDTH, HEIGHT = 760, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 30, 12, 48
SHAPES: tuple[Literal["circle", "square", "triangle", "diamond"], ...] = ("circle", "square", "triangle", "diamond")
Scale = Callable[[float], float]


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
    shape: Literal["circle", "square", "triangle", "diamond"]
    colour: str
    title: str


@dataclass(frozen=True, slots=True)
class Stroke:
    """One series."""

    label: str
    colour: str
    dashed: bool
    points: tuple[tuple[float, float], ...]
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """Everything, in a frame of `width` x `height` with the origin at the top left. rules: y of the grid lines."""

    width: int
    height: int
    left: int
    right: int
    rules: tuple[float, ...]
    labels: tuple[Label, ...]
    strokes: tuple[Stroke, ...]


def draw(chart: Chart) -> Drawing | None:
    """Lay out a chart; None where it has no point."""
    xs = [value for series in chart.series for value in series.x]
    ys = [value for series in chart.series for value in series.y]
    if not xs:
        return None
    x_ticks, y_ticks = _ticks(min(xs), max(xs), 6), _ticks(min(ys), max(ys), 5)
    x_at = _scale(min(x_ticks[0], *xs), max(x_ticks[-1], *xs), LEFT, WIDTH - RIGHT)
    y_at = _scale(min(y_ticks[0], *ys), max(y_ticks[-1], *ys), HEIGHT - BOTTOM, TOP)
    labels = [
        *(Label(LEFT - 8, y_at(tick) + 4, f"{tick:g}", "end") for tick in y_ticks),
        *(Label(x_at(tick), HEIGHT - BOTTOM + 18, _number(tick)) for tick in x_ticks),
        Label((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, chart.x_label),
        Label(14, (TOP + HEIGHT - BOTTOM) / 2, chart.y_label, vertical=True),
    ]
    names = list(dict.fromkeys(_name(series) for series in chart.series))
    strokes = tuple(_stroke(series, names.index(_name(series)), x_at, y_at) for series in chart.series)
    return Drawing(WIDTH, HEIGHT, LEFT, WIDTH - RIGHT, tuple(map(y_at, y_ticks)), tuple(labels), strokes)


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
    return [round(index * gap, 10) for index in range(math.floor(low / gap), math.ceil(high / gap) + 1)]


def _stroke(series: Series, index: int, x_at: Scale, y_at: Scale) -> Stroke:
    colour, shape = COLOURS[index % len(COLOURS)], SHAPES[index % len(SHAPES)]
    radius = 2.0 if series.dashed else 4.0
    marks = tuple(
        Mark(x_at(x), y_at(y), radius, shape, colour, f"{series.label}: {y:.4f} at {_number(x)}")
        for x, y in zip(series.x, series.y, strict=True)
    )
    return Stroke(series.label, colour, series.dashed, tuple((mark.x, mark.y) for mark in marks), marks)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"


def _name(series: Series) -> str:
    """The run, whose curves share a colour and a shape."""
    return series.label.rpartition(",")[0] or series.label


def corners(mark: Mark) -> Sequence[tuple[float, float]]:
    """Corners of a mark that has some; a circle has none."""
    x, y, r = mark.x, mark.y, mark.radius
    return {
        "circle": (),
        "square": ((x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)),
        "triangle": ((x, y - r), (x + r, y + r), (x - r, y + r)),
        "diamond": ((x, y - r), (x + r, y), (x, y + r), (x - r, y)),
    }[mark.shape]
