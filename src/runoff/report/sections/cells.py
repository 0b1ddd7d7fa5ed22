"""Cells from values. Owns: how an unknown, a declared or a missing value is written. Must not: know a section."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runoff.comparison.statistics import PairedDifference
from runoff.report.model import Cell, cell
from runoff.report.numbers import loss_text, number_text, p_text
from runoff.runs import Value

__all__ = ["known_text", "loss_cell", "number_cell", "pair_p_text", "plain_text", "shown_cell", "value_cell"]


def value_cell(value: Value) -> Cell:
    """A remembered value; where a file says otherwise than what took effect, that too."""
    if not value.known:
        return cell(f"unknown: {value.origin.why}")
    shown = value.value
    is_number = isinstance(shown, int | float) and not isinstance(shown, bool)
    text = number_text(shown) if is_number else plain_text(shown)
    if value.declared is not None and value.declared != shown:
        text += f" (the file says {value.declared})"
    return cell(text, shown if is_number else None)


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


def number_cell(value: float | None) -> Cell:
    """Any number."""
    return cell(number_text(value), value)


def shown_cell(value: float | None, write: Callable[[float | None], str]) -> Cell:
    """A number in a unit of its own."""
    return cell(write(value), value)


def pair_p_text(pair: PairedDifference) -> str:
    """A paired difference's p-value."""
    return "unknown" if pair.p_value is None else p_text(pair.p_value)


def known_text(value: Any) -> str:
    """Words for something that may not be recorded."""
    return "unknown" if value is None else str(value)
