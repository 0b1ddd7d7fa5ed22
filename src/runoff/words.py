"""Counts and shares in words, the same in every sentence. Must not: know what is counted."""

from __future__ import annotations

__all__ = ["count_of", "percent"]


def count_of(number: int, noun: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def percent(share: float) -> str:
    """A share as per cent: two significant digits below 10 %, whole above."""
    value = 100 * share
    return f"{value:.0f} %" if abs(value) >= 10 or value == 0 else f"{value:.2g} %"
