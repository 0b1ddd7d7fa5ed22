"""What each run is after: how much it can adapt, how far it goes, what holds it back; and what that usually trades.

Owns: the three measures, on one scale for all runs, and the literature's expectation, kept apart from what was
measured. Must not: enter the verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runoff.comparison.facts import Sentence, Side, listed

__all__ = ["Intent", "expectations", "intents"]


@dataclass(frozen=True)
class Intent:
    """One run's capacity, budget and restraint; None where the record can't tell.

    capacity: trainable parameters as a share of the base's. blocks: share of the base's blocks that are adapted.
    budget: learning rate summed over the optimizer updates, times the adapter's scale. passes: epochs. restraint: what
    the settings hold back with, in words; empty if nothing. Budgets of different optimizers are on different scales.
    """

    label: str
    capacity: float | None
    blocks: float | None
    budget: float | None
    passes: float | None
    restraint: tuple[str, ...] | None
    optimizer: str | None


def intents(sides: Sequence[Side]) -> tuple[Intent, ...]:
    """One for each run."""
    return tuple(_intent(side) for side in sides)


def _intent(side: Side) -> Intent:
    def ratio(part: str, whole: str) -> float | None:
        a, b = side.number(part), side.number(whole)
        return a / b if a is not None and b else None

    rates, scale = side.number("learning_rate_sum"), side.setting("lora_parameters.scale").value
    return Intent(
        side.label,
        capacity=ratio("trainable_parameters", "base_parameters"),
        blocks=ratio("adapted_blocks", "blocks"),
        budget=rates * scale if rates is not None and isinstance(scale, int | float) else None,
        passes=side.number("epochs"),
        restraint=tuple(_restraints(side)) if _recorded(side) else None,
        optimizer=side.setting("optimizer").value,
    )


def _recorded(side: Side) -> bool:
    """Whether the record says what would hold back; a setting of Runoff's own alone need not be there."""
    return all(side.setting(key).known for key in ("lora_parameters.dropout", "optimizer"))


def _restraints(side: Side) -> list[str]:
    found = []
    dropout = side.setting("lora_parameters.dropout").value
    if dropout:
        found.append(f"dropout {dropout:g}")
    optimizer = side.setting("optimizer").value
    given = (side.setting("optimizer_config").value or {}).get(optimizer) or {}
    decay = given.get("weight_decay", 0.01 if optimizer in ("adamw", "muon") else 0.0)
    if decay:
        found.append(f"weight decay {decay:g}")
    if side.setting("max_grad_norm").value:
        found.append(f"gradient norm clipped at {side.setting('max_grad_norm').value:g}")
    if side.setting("early_stopping").value:
        found.append("early stopping")
    return found


def expectations(found: Sequence[Intent]) -> tuple[Sentence, ...]:
    """What the literature leads one to expect; each only where the runs differ in it."""
    sentences = []
    widest, narrowest = _extremes(found, "capacity")
    if widest and narrowest:
        sentences.append(
            Sentence(
                f"Expectation, not measured here: the larger adapter ({widest}) usually learns more and forgets more "
                f"than the smaller ({narrowest}) (Biderman et al. 2024, arXiv 2405.09673).",
                tuple(f"{one.label}.counts.trainable_parameters" for one in found),
            )
        )
    longest, shortest = _extremes(found, "budget")
    if len({one.optimizer for one in found}) == 1 and longest and shortest:
        sentences.append(
            Sentence(
                f"Expectation, not measured here: {longest} can move furthest from the base and {shortest} least, so "
                f"{longest} is the likelier to fit the training answers and to forget.",
                tuple(f"{one.label}.counts.learning_rate_sum" for one in found),
            )
        )
    return tuple(sentences)


def _extremes(found: Sequence[Intent], name: str) -> tuple[str | None, str | None]:
    """Labels of the largest and the smallest, where all are known and they differ by a tenth or more."""
    values = {one.label: getattr(one, name) for one in found}
    if None in values.values():
        return None, None
    top, bottom = max(values.values()), min(values.values())
    if top < 1.1 * bottom:
        return None, None
    largest = [label for label, value in values.items() if value == top]
    smallest = [label for label, value in values.items() if value == bottom]
    return listed(largest), listed(smallest)
