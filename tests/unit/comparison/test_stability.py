"""The shape of a curve: from how many values on, and which of them are spikes."""

from __future__ import annotations

import pytest

from runoff.comparison.stability import shape

FLAT = [2.0, 2.01] * 6


def test_twelve_values_have_a_shape_and_eleven_have_none() -> None:
    assert shape(FLAT) is not None
    assert shape(FLAT[:11]) is None


@pytest.mark.parametrize("at", [1, 5, 10])
def test_a_spike_is_found_wherever_it_has_two_neighbours(at: int) -> None:
    found = shape([*FLAT[:at], 3.0, *FLAT[at + 1 :]])
    assert found is not None
    assert found.spikes == (at,)


@pytest.mark.parametrize("hill", [[3.0, 3.0], [3.0, 2.99]])
def test_a_hill_is_no_spike(hill: list[float]) -> None:
    found = shape([*FLAT[:5], *hill, *FLAT[7:]])
    assert found is not None
    assert found.spikes == ()


def test_quarters_are_told_by_their_medians() -> None:
    found = shape([8.0, 8.0, 8.0, 7.0, 7.0, 7.0, 6.0, 6.0, 6.0, 5.0, 5.0, 5.0])
    assert found is not None
    assert (found.start, found.third, found.end) == (8.0, 6.0, 5.0)
