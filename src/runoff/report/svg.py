"""Charts as inline SVG for the HTML report: whole without a script, in both colour schemes.

Owns: the markup. Colours are classes (`k0` ...) that the page defines. Must not: trust labels (they are escaped), or
place anything (report/drawing.py does).
"""

from __future__ import annotations

from html import escape

from runoff.report.drawing import Drawing, Entry, Label, Mark, Place, Stroke, corners, draw
from runoff.report.model import Chart
from runoff.report.palette import colour_index

__all__ = ["to_svg"]


def to_svg(chart: Chart) -> str:
    """One `<svg>` with a legend of runs below it; marks have titles that a mouse shows."""
    drawing = draw(chart)
    if drawing is None:
        return "<p>No points to draw.</p>"
    frame = f'viewBox="0 0 {drawing.width} {drawing.height}"'
    kind = "chart crowded" if drawing.crowded else "chart"
    return "".join(
        [
            f'<svg {frame} role="img" aria-label="{escape(chart.alt)}" class="{kind}">',
            *(_rule(drawing, y) for y in drawing.rules),
            *(_label(label) for label in drawing.labels),
            *(_faint(stroke) for stroke in drawing.strokes if stroke.faint),
            *(_stroke(stroke) for stroke in reversed(drawing.strokes)),
            "</svg>",
            f'<ul class="legend" aria-label="Runs">{"".join(map(_entry, drawing.legend))}</ul>',
        ]
    )


def _rule(drawing: Drawing, y: float) -> str:
    return f'<line x1="{drawing.left}" x2="{drawing.right}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'


def _label(label: Label) -> str:
    turned = f' class="unit" transform="rotate(-90 {label.x:.1f} {label.y:.1f})"' if label.vertical else ""
    place = f'x="{label.x:.1f}" y="{label.y:.1f}" text-anchor="{label.anchor}"'
    return f"<text {place}{turned}>{escape(label.text)}</text>"


def _faint(stroke: Stroke) -> str:
    return f'<path d="{_path(stroke.faint)}" class="faint k{colour_index(stroke.number)}"/>'


def _stroke(stroke: Stroke) -> str:
    kind = "line dashed" if stroke.dashed else "line"
    marks = "".join(_mark(mark) for mark in stroke.marks)
    group = f'<g class="k{colour_index(stroke.number)}">'
    return f'{group}<path d="{_path(stroke.lines)}" class="{kind}"/>{marks}</g>'


def _path(pieces: tuple[tuple[Place, ...], ...]) -> str:
    return "".join(
        f"M{piece[0][0]:.1f} {piece[0][1]:.1f}" + "".join(f"L{x:.1f} {y:.1f}" for x, y in piece[1:]) for piece in pieces
    )


def _mark(mark: Mark) -> str:
    title = f"<title>{escape(mark.title)}</title>" if mark.title else ""
    if mark.shape == "circle":
        return f'<circle cx="{mark.x:.1f}" cy="{mark.y:.1f}" r="{mark.radius}">{title}</circle>'
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners(mark))
    return f'<polygon points="{points}">{title}</polygon>'


def _entry(entry: Entry) -> str:
    mark = _mark(Mark(17.0, 6.0, 4.0, entry.shape, ""))
    return (
        f'<li data-run="{entry.number}"><svg viewBox="0 0 34 12" width="34" height="12" aria-hidden="true" '
        f'class="k{colour_index(entry.number)}"><path d="M2 6 L32 6" class="line"/>{mark}</svg> '
        f"<span>{escape(entry.run)}</span></li>"
    )
