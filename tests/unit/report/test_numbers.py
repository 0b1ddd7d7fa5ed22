"""How numbers are written."""

from __future__ import annotations

import pytest

from runoff.report import numbers


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (numbers.number_text, 1234567, "1,234,567"),
        (numbers.number_text, 0.000123456, "0.0001235"),
        (numbers.number_text, None, "unknown"),
        (numbers.loss_text, 2.5, "2.5000"),
        (numbers.loss_text, None, "unknown"),
        (numbers.signed_text, 0.02, "+0.0200"),
        (numbers.signed_text, -0.00001, "0.0000"),
        (numbers.measured_text, 0.0, "0"),
        (numbers.measured_text, 1e-7, "< 0.001"),
        (numbers.measured_text, -1e-7, "> -0.001"),
        (numbers.measured_text, 0.12345, "0.123"),
        (numbers.measured_text, 1_924_000.4, "1,924,000"),
        (numbers.percent_text, 0.5, "50 %"),
        (numbers.percent_text, 0.015, "1.5 %"),
        (numbers.bytes_text, 1_500_000_000, "1.50 GB"),
        (numbers.bytes_text, 12_000_000, "12 MB"),
        (numbers.duration_text, 42.4, "42 s"),
        (numbers.duration_text, 600, "10 min"),
        (numbers.duration_text, 7200, "2.0 h"),
    ],
)
def test_written(write: object, value: float | None, text: str) -> None:
    assert callable(write)
    assert write(value) == text


def test_an_interval_needs_both_ends() -> None:
    assert numbers.interval_text(None, 1.0) == "unknown"
    assert numbers.interval_text(-0.1, 0.2, signed=True) == "-0.1000 to +0.2000"
