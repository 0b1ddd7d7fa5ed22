"""How numbers are written, the same in every rendering. Owns: rounding and units. Must not: compute."""

from __future__ import annotations

import math

from runoff.words import percent, signed

__all__ = [
    "bytes_text",
    "duration_text",
    "interval_text",
    "loss_text",
    "measured_text",
    "number_text",
    "percent_text",
    "signed_text",
]


def number_text(value: float | None) -> str:
    """Whole numbers with thousands separators, others with four significant digits."""
    if value is None:
        return "unknown"
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.4g}"


def measured_text(value: float) -> str:
    """A measure of answers: three significant digits, no powers of ten, and nothing that is not 0 written as 0."""
    if 0 < abs(value) < 0.001:
        return "< 0.001" if value > 0 else "> -0.001"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def loss_text(value: float | None) -> str:
    """Nats per target token: four decimals."""
    return "unknown" if value is None else f"{value:.4f}"


def signed_text(value: float | None) -> str:
    """A difference, with its sign."""
    return "unknown" if value is None else signed(value)


def interval_text(low: float | None, high: float | None, *, signed: bool = False) -> str:
    """Both ends, or that there is no interval."""
    if low is None or high is None:
        return "unknown"
    show = signed_text if signed else loss_text
    return f"{show(low)} to {show(high)}"


def percent_text(share: float | None) -> str:
    """A share as per cent: two significant digits below 10 %, whole above."""
    return "unknown" if share is None else percent(share)


def bytes_text(value: float | None) -> str:
    """Decimal gigabytes or megabytes."""
    if value is None:
        return "unknown"
    return f"{value / 1e9:.2f} GB" if value >= 1e9 else f"{value / 1e6:.0f} MB"


def duration_text(seconds: float | None) -> str:
    """Seconds, minutes or hours."""
    if seconds is None:
        return "unknown"
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
