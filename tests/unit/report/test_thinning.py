"""Fewer points that look the same, and smoothing for the eye."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runoff.report.thinning import kept, smoothed

VALUES = st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6, allow_nan=False)), max_size=300)


@given(VALUES, st.integers(1, 80))
def test_the_extremes_and_the_ends_survive(values: list[float | None], most: int) -> None:
    indices = kept(values, most)
    assert indices == sorted(set(indices))
    known = [value for value in values if value is not None]
    left = [value for index in indices if (value := values[index]) is not None]
    assert bool(known) == bool(left)
    if known:
        assert (left[0], left[-1], min(left), max(left)) == (known[0], known[-1], min(known), max(known))


@given(VALUES, st.integers(1, 80))
def test_no_line_is_drawn_across_a_gap(values: list[float | None], most: int) -> None:
    for a, b in pairwise(kept(values, most)):
        if values[a] is not None and values[b] is not None:
            assert None not in values[a:b]


def test_every_bucket_keeps_its_own_extremes() -> None:
    values = [float(at % 10 == 3) - float(at % 10 == 7) for at in range(1000)]
    indices = kept(values, 400)
    assert len(indices) <= 400
    for start in range(0, 1000, 10):
        assert {start + 3, start + 7} <= set(indices)


def test_few_points_all_stay() -> None:
    assert kept([3.0, None, 1.0], 4) == [0, 1, 2]


def test_the_average_is_that_of_the_formula() -> None:
    x, y, length = [0.0, 10.0, 15.0, 40.0], [1.0, 5.0, 3.0, 7.0], 8.0
    weights = [[math.exp(-(x[i] - x[j]) / length) for j in range(i + 1)] for i in range(4)]
    wanted = [sum(w * v for w, v in zip(ws, y, strict=False)) / sum(ws) for ws in weights]
    assert smoothed(x, y, length) == pytest.approx(wanted)


def test_a_gap_begins_the_average_anew_and_a_value_without_a_place_has_none() -> None:
    found = smoothed([0.0, 1.0, 2.0, 3.0, None], [9.0, None, 1.0, 1.0, 4.0], 5.0)
    assert found == [9.0, None, 1.0, 1.0, None]
