"""Counts, shares, p-values and chances in words: nothing that is small is written as 0."""

from __future__ import annotations

import pytest

from runoff import words


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (words.p_text, 0.0, "< 0.0001"),
        (words.p_text, 0.034567, "0.035"),
        (words.p_text, None, "unknown"),
        (words.p_words, 0.00001, "p < 0.0001"),
        (words.p_words, 0.034567, "p = 0.035"),
        (words.p_words, None, "no p-value"),
        (words.chance_text, 0.0, "0"),
        (words.chance_text, 1e-7, "below 0.001"),
        (words.chance_text, 0.001, "0.001"),
        (words.chance_text, 0.0043, "0.0043"),
        (words.chance_text, 0.049, "0.05"),
        (words.chance_text, 0.996, "0.996"),
        (words.chance_text, 0.6, "0.60"),
        (words.chance_text, 0.99999, "above 0.999"),
        (words.chance_text, 1.0, "1"),
        (words.signed, 0.02, "+0.0200"),
        (words.signed, -0.02, "-0.0200"),
        (words.signed, -0.00001, "0.0000"),
        (words.signed, 0.00001, "0.0000"),
        (words.owned, "long", "long's"),
        (words.owned, "long's settings", "long's settings'"),
    ],
)
def test_written(write: object, value: object, text: str) -> None:
    assert callable(write)
    assert write(value) == text


def test_decimals_can_be_asked_for() -> None:
    assert words.signed(0.0004, 3) == "0.000"
    assert words.signed(-0.0006, 3) == "-0.001"
