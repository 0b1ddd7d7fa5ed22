"""Charts as inline SVG for the HTML report: no script, no network, both colour schemes.

Owns: the markup. Must not: trust labels (they are escaped), or place anything (report/drawing.py does).
"""

from __future__ import annotations

from dataclasses import replace
from html import escape

from runoff.report.drawing import Drawing, Label, Mark, Stroke, corners, draw
from runoff.report.model import Chart

__all__ = ["to_svg"]


def to_svg(chart: Chart) -> str:
    """One `<svg>` with a legend below it; points have titles that a mouse shows."""
    drawing = draw(chart)
    if drawing is None:
        return "<p>No points to draw.</p>"
    frame = f'viewBox="0 0 {drawing.width} {drawing.height}"'
    return "".join(
        [
            f'<svg {frame} role="img" aria-label="{escape(chart.alt)}" class="chart">',
            *(_rule(drawing, y) for y in drawing.rules),
            *(_label(label) for label in drawing.labels),
            *(_stroke(stroke) for stroke in drawing.strokes),
            "</svg>",
            f'<ul class="legend">{"".join(_entry(stroke) for stroke in drawing.strokes)}</ul>',
        ]
    )


def _rule(drawing: Drawing, y: float) -> str:
    return f'<line x1="{drawing.left}" x2="{drawing.right}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'


def _label(label: Label) -> str:
    turned = f' transform="rotate(-90 {label.x:.1f} {label.y:.1f})"' if label.vertical else ""
    place = f'x="{label.x:.1f}" y="{label.y:.1f}" text-anchor="{label.anchor}"'
    return f"<text {place}{turned}>{escape(label.text)}</text>"


def _stroke(stroke: Stroke) -> str:
    path = " ".join(f"{'L' if at else 'M'}{x:.1f} {y:.1f}" for at, (x, y) in enumerate(stroke.points))
    marks = "".join(f"<g><title>{escape(mark.title)}</title>{_mark(mark)}</g>" for mark in stroke.marks)
    return f'<path d="{path}" fill="none" {_line(stroke)}/>{marks}'


def _line(stroke: Stroke) -> str:
    dash = ' stroke-dasharray="5 4"' if stroke.dashed else ""
    return f'stroke="{stroke.colour}" stroke-width="{1.3 if stroke.dashed else 2}"{dash}'


def _mark(mark: Mark) -> str:
    if mark.shape == "circle":
        return f'<circle cx="{mark.x:.1f}" cy="{mark.y:.1f}" r="{mark.radius}" fill="{mark.colour}"/>'
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners(mark))
    return f'<polygon points="{points}" fill="{mark.colour}"/>'


def _entry(stroke: Stroke) -> str:
    sample = replace(stroke.marks[0], x=17.0, y=6.0) if stroke.marks else None
    mark = _mark(sample) if sample else ""
    return (
        f'<li><svg viewBox="0 0 34 12" width="34" height="12" aria-hidden="true">'
        f'<path d="M2 6 L32 6" {_line(stroke)}/>{mark}</svg> {escape(stroke.label)}</li>'
    )
