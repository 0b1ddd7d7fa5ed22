"""Charts as PNG, by Pillow, for Markdown. A plotting library would cost more to import than the whole comparison takes.

Owns: the painting. Must not: place anything (report/drawing.py does), or be imported before a chart is wanted.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

from runoff.report.drawing import Drawing, Label, Mark, Stroke, corners, draw
from runoff.report.model import Chart

__all__ = ["to_png"]

ZOOM = 3
"""Painted three times as large and shrunk once, which smooths every edge."""
INK, SOFT, GRID, PAPER = "#1c2024", "#5b636b", "#d9dde1", "#ffffff"
LEGEND_ROW, LEGEND_COLUMNS = 20, 3
DASH, GAP = 5.0, 4.0


def to_png(chart: Chart) -> bytes:
    """Paint a chart; runs differ by colour and mark, training from validation by dashes."""
    from PIL import Image, ImageDraw, ImageFont

    drawing = draw(chart)
    rows = 0 if drawing is None else -(-len(drawing.strokes) // LEGEND_COLUMNS)
    width, height = (760, 360) if drawing is None else (drawing.width, drawing.height)
    picture = Image.new("RGB", (width * ZOOM, (height + rows * LEGEND_ROW + 8) * ZOOM), PAPER)
    if drawing is not None:
        font: Any = ImageFont.load_default(12 * ZOOM)
        _paint(picture, ImageDraw.Draw(picture), font, drawing)
    buffer = io.BytesIO()
    whole = picture.size
    picture.resize((whole[0] * 2 // ZOOM, whole[1] * 2 // ZOOM), Image.Resampling.LANCZOS).save(
        buffer, "PNG", optimize=True
    )
    return buffer.getvalue()


def _paint(picture: Any, pen: Any, font: Any, drawing: Drawing) -> None:
    for y in drawing.rules:
        pen.line([(drawing.left * ZOOM, y * ZOOM), (drawing.right * ZOOM, y * ZOOM)], fill=GRID, width=ZOOM)
    for label in drawing.labels:
        _text(picture, pen, font, label)
    for stroke in drawing.strokes:
        _line(pen, stroke, list(stroke.points))
        for mark in stroke.marks:
            _mark(pen, mark)
    step = drawing.width / LEGEND_COLUMNS
    for index, stroke in enumerate(drawing.strokes):
        row, column = divmod(index, LEGEND_COLUMNS)
        x, y = 12 + column * step, drawing.height + row * LEGEND_ROW + 8
        _line(pen, stroke, [(x, y), (x + 30, y)])
        if stroke.marks:
            _mark(pen, replace(stroke.marks[0], x=x + 15, y=y))
        pen.text(((x + 38) * ZOOM, y * ZOOM), stroke.label, fill=INK, font=font, anchor="lm")


def _line(pen: Any, stroke: Stroke, points: list[tuple[float, float]]) -> None:
    width = round((1.3 if stroke.dashed else 2) * ZOOM)
    for start, end in _dashes(points) if stroke.dashed else pairwise(points):
        pen.line([_zoomed(start), _zoomed(end)], fill=stroke.colour, width=width)


def _dashes(points: list[tuple[float, float]]) -> Iterator[tuple[tuple[float, float], tuple[float, float]]]:
    """Cut a line into dashes that go on around its corners."""
    travelled = 0.0
    for (x1, y1), (x2, y2) in pairwise(points):
        length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
        at = 0.0
        while at < length:
            phase = travelled % (DASH + GAP)
            drawn = phase < DASH
            step = min((DASH if drawn else DASH + GAP) - phase, length - at) or length - at
            if drawn:
                a, b = at / length, (at + step) / length
                yield (x1 + a * (x2 - x1), y1 + a * (y2 - y1)), (x1 + b * (x2 - x1), y1 + b * (y2 - y1))
            at, travelled = at + step, travelled + step


def _mark(pen: Any, mark: Mark) -> None:
    if mark.shape == "circle":
        left, top = _zoomed((mark.x - mark.radius, mark.y - mark.radius))
        right, bottom = _zoomed((mark.x + mark.radius, mark.y + mark.radius))
        pen.ellipse([left, top, right, bottom], fill=mark.colour)
    else:
        pen.polygon([_zoomed(corner) for corner in corners(mark)], fill=mark.colour)


def _text(picture: Any, pen: Any, font: Any, label: Label) -> None:
    if not label.vertical:
        anchor = {"start": "ls", "middle": "ms", "end": "rs"}[label.anchor]
        pen.text(_zoomed((label.x, label.y)), label.text, fill=SOFT, font=font, anchor=anchor)
        return
    from PIL import Image, ImageDraw

    left, top, right, bottom = font.getbbox(label.text)
    strip = Image.new("RGB", (int(right - left) + 4, int(bottom - top) + 8), PAPER)
    ImageDraw.Draw(strip).text((2 - left, 4 - top), label.text, fill=SOFT, font=font)
    turned = strip.rotate(90, expand=True)
    x, y = _zoomed((label.x, label.y))
    picture.paste(turned, (round(x - turned.width / 2), round(y - turned.height / 2)))


def _zoomed(point: tuple[float, float]) -> tuple[float, float]:
    return point[0] * ZOOM, point[1] * ZOOM
