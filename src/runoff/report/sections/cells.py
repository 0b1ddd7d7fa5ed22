"""Cells from values. Owns: how an unknown, a declared or a missing value is written. Must not: know a section."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from runoff.report.model import Cell, cell
from runoff.report.numbers import loss_text, number_text
from runoff.runs import Value

__all__ = [
    "known_rows",
    "known_text",
    "logged_cell",
    "loss_cell",
    "number_cell",
    "plain_text",
    "shown_cell",
    "value_cell",
]


def value_cell(value: Value) -> Cell:
    """A remembered value; where a file says otherwise than what took effect, that too."""
    declared = (
        "" if value.declared is None or value.declared == value.value else f" (declared: {_text(value.declared)})"
    )
    if not value.known:
        return cell(f"unknown: {value.origin.why}{declared}")
    shown = value.value
    is_number = isinstance(shown, int | float) and not isinstance(shown, bool)
    return cell(_text(shown) + declared, shown if is_number else None)


def _text(value: Any) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return number_text(value) if is_number else plain_text(value)


def known_rows(rows: Iterable[tuple[Cell, ...]]) -> tuple[tuple[Cell, ...], ...]:
    """Rows of which at least one cell after the first says something."""
    return tuple(row for row in rows if any(not one.text.startswith("unknown") for one in row[1:]))


def plain_text(value: Any) -> str:
    """Words for what is not a number."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def loss_cell(value: float | None) -> Cell:
    """Nats per target token."""
    return cell(loss_text(value), value)


def logged_cell(value: float | None) -> Cell:
    """A loss from a log: no more digits than it was printed with."""
    short = value is not None and round(value, 3) == value
    return cell(f"{value:.3f}" if short else loss_text(value), value)


def number_cell(value: float | None) -> Cell:
    """Any number."""
    return cell(number_text(value), value)


def shown_cell(value: float | None, write: Callable[[float | None], str]) -> Cell:
    """A number in a unit of its own."""
    return cell(write(value), value)


def known_text(value: Any) -> str:
    """Words for something that may not be recorded."""
    return "unknown" if value is None else str(value)
