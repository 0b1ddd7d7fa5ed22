"""The drawing of charts: inside the frame, escaped, told apart without colour."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runoff.report.drawing import HEIGHT, WIDTH, draw
from runoff.report.model import Axis, Chart, Series
from runoff.report.palette import COLOURS, colour_index, shape_of
from runoff.report.png import to_png
from runoff.report.svg import to_svg

FINITE = st.floats(-1e6, 1e6, allow_nan=False)


def chart(*series: Series) -> Chart:
    return Chart("loss", "caption", (Axis("target_tokens", "tokens"),), "nats", series, "a & b <chart>")


def line(run: str, *y: float | None, number: int = 0, part: str = "validation") -> Series:
    return Series(run, part, number, (tuple(range(len(y))),), y)


@given(st.lists(st.tuples(FINITE, FINITE), min_size=1, max_size=30))
def test_any_points_stay_inside_the_frame(points: list[tuple[float, float]]) -> None:
    xs, ys = zip(*points, strict=True)
    drawn = draw(chart(Series("a", "training", 0, (xs,), ys)))
    assert drawn is not None
    for x, y in (place for stroke in drawn.strokes for piece in stroke.lines for place in piece):
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT


def test_labels_are_escaped_and_the_whole_is_well_formed() -> None:
    drawn = to_svg(chart(line("<b>", 1.0, 2.0, part="training"), line("<b>", 1.0, 2.0)))
    tree = ET.fromstring(f"<div>{drawn}</div>")
    assert "<b>" in "".join(tree.itertext())
    assert "line dashed" in drawn


def test_a_gap_parts_the_line() -> None:
    drawn = draw(chart(line("a", 1.0, 2.0, None, 3.0, 4.0)))
    assert drawn is not None
    assert [len(piece) for piece in drawn.strokes[0].lines] == [2, 2]


def test_a_point_without_a_place_on_the_axis_parts_nothing() -> None:
    drawn = draw(chart(Series("a", "training", 0, ((0.0, None, 2.0),), (1.0, 2.0, 3.0))))
    assert drawn is not None
    assert [len(piece) for piece in drawn.strokes[0].lines] == [2]


def test_a_chart_without_a_point_says_so() -> None:
    empty = chart(Series("a", "training", 0, ((None,),), (1.0,)))
    assert to_svg(empty) == "<p>No points to draw.</p>"
    assert to_png(empty).startswith(b"\x89PNG")


def test_forty_runs_differ_by_colour_and_mark() -> None:
    assert len({(colour_index(number), shape_of(number)) for number in range(40)}) == 40
    drawn = to_svg(chart(*(line(f"run {number}", 1.0, number=number) for number in range(5))))
    assert len(set(re.findall(r"<(?:circle|polygon) [^>]*>", drawn.split("<ul")[1]))) == 5


@pytest.mark.parametrize(("paper", "scheme"), [("#ffffff", 0), ("#16191c", 1)])
def test_every_colour_can_be_seen_on_its_paper(paper: str, scheme: int) -> None:
    for colours in COLOURS:
        light, dark = sorted((brightness(colours[scheme]), brightness(paper)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3, colours[scheme]


def brightness(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
