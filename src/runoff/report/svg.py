"""Charts as inline SVG for the HTML report: no script, no network, both colour schemes.

Owns: scales, ticks and paths. Must not: trust labels (they are escaped).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

from runoff.report.model import Chart, Series
from runoff.report.palette import COLOURS

__all__ = ["to_svg"]

WIDTH, HEIGHT = 760, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 12, 48
Scale = Callable[[float], float]
_SHAPES = ("circle", "square", "triangle", "diamond")


def to_svg(chart: Chart) -> str:
    """One `<svg>` with a legend below it; points have titles that a mouse shows."""
    xs = [value for series in chart.series for value in series.x]
    ys = [value for series in chart.series for value in series.y]
    if not xs:
        return "<p>No points to draw.</p>"
    x_ticks, y_ticks = _ticks(min(xs), max(xs), 6), _ticks(min(ys), max(ys), 5)
    x_at = _scale(min(x_ticks[0], *xs), max(x_ticks[-1], *xs), LEFT, WIDTH - RIGHT)
    y_at = _scale(min(y_ticks[0], *ys), max(y_ticks[-1], *ys), HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(chart.alt)}" class="chart">',
        *(_grid_y(tick, y_at(tick)) for tick in y_ticks),
        *(_grid_x(tick, x_at(tick)) for tick in x_ticks),
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(chart.x_label)}</text>',
        f'<text x="14" y="{(TOP + HEIGHT - BOTTOM) / 2}" text-anchor="middle" '
        f'transform="rotate(-90 14 {(TOP + HEIGHT - BOTTOM) / 2})">{escape(chart.y_label)}</text>',
    ]
    names = _names(chart.series)
    for series in chart.series:
        parts.append(_line(series, names.index(_name(series)), x_at, y_at))
    return "".join([*parts, "</svg>", _legend(chart.series, names)])


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
    first = math.floor(low / gap)
    return [round(index * gap, 10) for index in range(first, math.ceil(high / gap) + 1)]


def _grid_y(tick: float, y: float) -> str:
    return (
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
        f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>'
    )


def _grid_x(tick: float, x: float) -> str:
    shown = f"{tick:,.0f}" if tick == int(tick) else f"{tick:g}"
    return f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{shown}</text>'


def _line(series: Series, index: int, x_at: Scale, y_at: Scale) -> str:
    colour = COLOURS[index % len(COLOURS)]
    points = [(x_at(x), y_at(y), x, y) for x, y in zip(series.x, series.y, strict=True)]
    path = " ".join(f"{'L' if at else 'M'}{x:.1f} {y:.1f}" for at, (x, y, _, _) in enumerate(points))
    dash = ' stroke-dasharray="5 4"' if series.dashed else ""
    marks = "".join(
        f"<g><title>{escape(series.label)}: {value:.4f} at {x_value:,.0f}</title>"
        f"{_mark(index, x, y, colour, small=series.dashed)}</g>"
        for x, y, x_value, value in points
    )
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{1.3 if series.dashed else 2}"{dash}/>{marks}'


def _mark(index: int, x: float, y: float, colour: str, *, small: bool) -> str:
    r = 2.0 if small else 4.0
    shape = _SHAPES[index % len(_SHAPES)]
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r}" fill="{colour}"/>'
    if shape == "square":
        return f'<rect x="{x - r:.1f}" y="{y - r:.1f}" width="{2 * r}" height="{2 * r}" fill="{colour}"/>'
    tip = f"{x:.1f},{y - r:.1f} {x + r:.1f},{y + r:.1f} {x - r:.1f},{y + r:.1f}"
    if shape == "diamond":
        tip = f"{x:.1f},{y - r:.1f} {x + r:.1f},{y:.1f} {x:.1f},{y + r:.1f} {x - r:.1f},{y:.1f}"
    return f'<polygon points="{tip}" fill="{colour}"/>'


def _legend(series: Sequence[Series], names: list[str]) -> str:
    items = []
    for one in series:
        index = names.index(_name(one))
        colour = COLOURS[index % len(COLOURS)]
        dash = ' stroke-dasharray="5 4"' if one.dashed else ""
        items.append(
            f'<li><svg viewBox="0 0 34 12" width="34" height="12" aria-hidden="true">'
            f'<path d="M2 6 L32 6" stroke="{colour}" stroke-width="2"{dash}/>'
            f"{_mark(index, 17, 6, colour, small=one.dashed)}</svg> {escape(one.label)}</li>"
        )
    return f'<ul class="legend">{"".join(items)}</ul>'


def _name(series: Series) -> str:
    return series.label.rpartition(",")[0] or series.label


def _names(series: Sequence[Series]) -> list[str]:
    return list(dict.fromkeys(_name(one) for one in series))
