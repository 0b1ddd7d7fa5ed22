"""Charts as PNG, by Pillow, for Markdown. A plotting library would cost more to import than the whole comparison takes.

Owns: the painting. Must not: place anything (report/drawing.py does), or be imported before a chart is wanted.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from runoff.report.drawing import Drawing, Label, Mark, Stroke, corners, draw
from runoff.report.model import Chart
from runoff.report.palette import COLOURS, colour_index

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
    rows = 0 if drawing is None else -(-len(drawing.legend) // LEGEND_COLUMNS)
    width, height = (760, 360) if drawing is None else (drawing.width, drawing.height)
    picture = Image.new("RGB", (width * ZOOM, (height + rows * LEGEND_ROW + 8) * ZOOM), PAPER)
    if drawing is not None:
        font: Any = ImageFont.load_default(12 * ZOOM)
        _paint(picture, ImageDraw.Draw(picture), font, drawing)
    buffer = io.BytesIO()
    size = (picture.width * 2 // ZOOM, picture.height * 2 // ZOOM)
    # 256 colours of its own are all that a line chart has, and are written five times as fast as full colour.
    small = picture.resize(size, Image.Resampling.HAMMING).quantize(
        256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
    )
    small.save(buffer, "PNG")
    return buffer.getvalue()


def _paint(picture: Any, pen: Any, font: Any, drawing: Drawing) -> None:
    for y in drawing.rules:
        pen.line([(drawing.left * ZOOM, y * ZOOM), (drawing.right * ZOOM, y * ZOOM)], fill=GRID, width=ZOOM)
    for label in drawing.labels:
        _text(picture, pen, font, label)
    for stroke in drawing.strokes:
        for piece in stroke.faint:
            paper = 9 if drawing.crowded else 3
            pen.line([_zoomed(point) for point in piece], fill=_faint(_ink(stroke.number), paper), width=ZOOM)
    for stroke in reversed(drawing.strokes):
        _stroke(pen, stroke, crowded=drawing.crowded)
    step = drawing.width / LEGEND_COLUMNS
    for index, entry in enumerate(drawing.legend):
        row, column = divmod(index, LEGEND_COLUMNS)
        x, y = 12 + column * step, drawing.height + row * LEGEND_ROW + 8
        ink = _ink(entry.number)
        pen.line([_zoomed((x, y)), _zoomed((x + 30, y))], fill=ink, width=2 * ZOOM)
        _mark(pen, Mark(x + 15, y, 4.0, entry.shape, ""), ink)
        pen.text(((x + 38) * ZOOM, y * ZOOM), _cut(entry.run, font, step - 46), fill=INK, font=font, anchor="lm")


def _stroke(pen: Any, stroke: Stroke, *, crowded: bool) -> None:
    ink = _ink(stroke.number)
    for piece in stroke.lines:
        if stroke.dashed:
            for start, end in _dashes(list(piece)):
                pen.line([_zoomed(start), _zoomed(end)], fill=ink, width=round(1.5 * ZOOM))
        else:
            pen.line([_zoomed(point) for point in piece], fill=ink, width=ZOOM if crowded else 2 * ZOOM, joint="curve")
    for mark in stroke.marks:
        _mark(pen, mark, ink)


def _ink(number: int) -> str:
    return COLOURS[colour_index(number)][0]


def _faint(colour: str, paper: int) -> str:
    """So many parts paper to one part colour: Pillow's lines have no transparency."""
    parts = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    return "#" + "".join(f"{(part + paper * 255) // (paper + 1):02x}" for part in parts)


def _cut(text: str, font: Any, width: float) -> str:
    """A name that fits its column of the legend."""
    if font.getlength(text) <= width * ZOOM:
        return text
    return next(
        shorter
        for at in range(len(text) - 1, -1, -1)
        if font.getlength(shorter := text[:at] + "…") <= width * ZOOM or at == 0
    )


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


def _mark(pen: Any, mark: Mark, ink: str) -> None:
    if mark.shape == "circle":
        left, top = _zoomed((mark.x - mark.radius, mark.y - mark.radius))
        right, bottom = _zoomed((mark.x + mark.radius, mark.y + mark.radius))
        pen.ellipse([left, top, right, bottom], fill=ink)
    else:
        pen.polygon([_zoomed(corner) for corner in corners(mark)], fill=ink)


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
