"""Counts, shares and p-values in words, the same in every sentence. Must not: know what is counted."""

from __future__ import annotations

__all__ = ["chance_text", "count_of", "owned", "p_text", "p_words", "percent", "signed"]

_LEAST = 0.001


def count_of(number: int, noun: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def owned(name: str) -> str:
    """`long's`; of a name that is a plural already, `long's settings'`."""
    return f"{name}'" if name.endswith(" settings") else f"{name}'s"


def percent(share: float) -> str:
    """A share as per cent: two significant digits below 10 %, whole above."""
    value = 100 * share
    return f"{value:.0f} %" if abs(value) >= 10 or value == 0 else f"{value:.2g} %"


def signed(value: float, decimals: int = 4) -> str:
    """A difference with its sign; what rounds to 0 has none."""
    text = f"{value:+.{decimals}f}"
    return text if float(text) else text[1:]


def p_text(value: float | None) -> str:
    """A p-value to two significant digits, never 0."""
    if value is None:
        return "unknown"
    return "< 0.0001" if value < 0.0001 else f"{value:.2g}"


def p_words(value: float | None) -> str:
    """A p-value as it stands in a sentence."""
    if value is None:
        return "no p-value"
    return f"p {p_text(value)}" if value < 0.0001 else f"p = {p_text(value)}"


def chance_text(value: float) -> str:
    """A probability with two decimals, near 0 and 1 with three digits: neither is written unless it is that."""
    if 0 < value < _LEAST:
        return f"below {_LEAST:g}"
    if 1 - _LEAST < value < 1:
        return f"above {1 - _LEAST:g}"
    return f"{value:.2f}" if 0.01 <= value <= 0.99 else f"{value:.3g}"
