"""Which of several equivalent runs is the cheaper one to have: fewer training rows, else the smaller adapter.

Owns: the choice and its sentence. Must not: call a run cheaper whose cost is not recorded.
"""

from __future__ import annotations

from collections.abc import Sequence

from runoff.comparison.facts import Side, listed

__all__ = ["cheaper"]

_COSTS = (("rows_seen", "training rows seen"), ("trainable_parameters", "trainable parameters"))


def cheaper(sides: Sequence[Side]) -> str:
    """Advice on which of these to keep."""
    known = False
    for key, what in _COSTS:
        costs = {side.label: side.number(key) for side in sides}
        values = {label: cost for label, cost in costs.items() if cost is not None}
        if len(values) < len(sides):
            continue
        known = True
        least = min(values.values())
        cheapest = [label for label, cost in values.items() if cost == least]
        if len(cheapest) == 1:
            others = listed([f"{label} {cost:,.0f}" for label, cost in values.items() if label != cheapest[0]])
            return f"Keep the cheaper one, {cheapest[0]} ({what}: {least:,.0f}, {others})."
    return "Keep either: they cost the same." if known else "Which of them was cheaper is not recorded."
