"""The drawing of charts for the page."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from runoff.report.drawing import HEIGHT, WIDTH
from runoff.report.model import Chart, Series
from runoff.report.svg import to_svg

FINITE = st.floats(-1e6, 1e6, allow_nan=False)


def chart(*series: Series) -> Chart:
    return Chart("loss", "caption", "tokens", "nats", series, "a & b <chart>")


@given(st.lists(st.tuples(FINITE, FINITE), min_size=1, max_size=30))
def test_any_points_stay_inside_the_frame(points: list[tuple[float, float]]) -> None:
    xs, ys = zip(*points, strict=True)
    drawn = to_svg(chart(Series("a, training", tuple(xs), tuple(ys))))
    for x, y in re.findall(r'cx="([\d.e+-]+)" cy="([\d.e+-]+)"', drawn):
        assert 0 <= float(x) <= WIDTH
        assert 0 <= float(y) <= HEIGHT


def test_labels_are_escaped_and_the_whole_is_well_formed() -> None:
    drawn = to_svg(chart(Series("<b>, training", (0.0, 1.0), (1.0, 2.0), dashed=True)))
    tree = ET.fromstring(f"<div>{drawn}</div>")
    assert "<b>" in "".join(tree.itertext())
    assert 'stroke-dasharray="5 4"' in drawn


def test_runs_differ_by_more_than_colour() -> None:
    drawn = to_svg(chart(Series("a, validation", (0.0,), (1.0,)), Series("b, validation", (0.0,), (2.0,))))
    assert "<circle" in drawn
    assert "<polygon" in drawn
