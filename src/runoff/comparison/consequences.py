"""What follows from a setting that differs, in numbers.

Owns: the consequence sentences. A consequence is a function of the sides that returns a sentence, or None where its
numbers are not known; adding one touches `CONSEQUENCES`. Ratios go from the larger to the smaller, so that the order of
the runs changes no number. Must not: say what is better.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from runoff.comparison.facts import Sentence, Side, both, listed
from runoff.words import count_of, percent

__all__ = ["CONSEQUENCES"]


def _blocks(sides: Sequence[Side]) -> Sentence | None:
    adapted = _numbers(sides, "adapted_blocks")
    total = {side.number("blocks") for side in sides}
    if adapted is None or None in total or len(total) != 1:
        return None
    blocks = total.pop() or 0.0
    parts = [
        f"{label} adapts {count:.0f} and leaves {blocks - count:.0f} untouched" for label, count in adapted.items()
    ]
    text = f"Of the base's {blocks:.0f} blocks {', '.join(parts)}."
    if len(sides) == 2 and len(set(adapted.values())) == 2 and blocks > max(adapted.values()):
        most, least = sorted(adapted, key=lambda label: -adapted[label])
        fewer = percent(1 - adapted[least] / adapted[most])
        more = percent((blocks - adapted[least]) / (blocks - adapted[most]) - 1)
        text += f" {least} adapts {fewer} fewer than {most} and leaves {more} more untouched."
    if all(side.setting("fine_tune_type").value in ("lora", "dora") for side in sides):
        text += f" The base's own weights change in {'neither' if len(sides) == 2 else 'none'}."
    text += _whole(sides)
    params = _numbers(sides, "trainable_parameters")
    if params is not None:
        text += f" Trainable parameters: {_each(params)}."
    return Sentence(text, _cites(sides, "counts.adapted_blocks", "counts.trainable_parameters"))


def _whole(sides: Sequence[Side]) -> str:
    whole = [side.label for side in sides if side.setting("fine_tune_type").value == "full"]
    return (
        f" {listed(whole)} {'changes' if len(whole) == 1 else 'change'} the base's own weights there." if whole else ""
    )


def _length(sides: Sequence[Side]) -> Sentence | None:
    updates = _numbers(sides, "optimizer_updates")
    if updates is None:
        return None
    parts = []
    for side in sides:
        epochs, batch = side.number("epochs"), side.number("effective_batch_rows")
        of = f" of {count_of(int(batch), 'row')}" if batch else ""
        seen = f" ({epochs:.2f} epochs)" if epochs is not None else ""
        parts.append(f"{side.label} makes {count_of(int(updates[side.label]), 'optimizer update')}{of}{seen}")
    text = f"{listed(parts)}."
    if len(sides) == 2:
        text += _fewer(_numbers(sides, "iterations"), "iterations") + _fewer(updates, "optimizer updates")
    rates = {side.setting("learning_rate").value for side in sides}
    sums = _numbers(sides, "learning_rate_sum")
    if len(rates) == 1 and sums is not None and len(set(sums.values())) > 1:
        rate = rates.pop()
        if isinstance(rate, int | float) and all(math.isclose(sums[x], rate * updates[x], rel_tol=1e-6) for x in sums):
            text += (
                f" The learning rate is the same constant {rate:g} in {both(len(sides))}, so summed over the updates "
                f"it differs as their number does ({_each(sums, '.3g')})."
            )
    return Sentence(text, _cites(sides, "counts.iterations", "counts.optimizer_updates", "counts.epochs"))


def _fewer(values: dict[str, float] | None, what: str) -> str:
    """How much smaller the smaller of two is; nothing where they are equal."""
    if values is None or len(set(values.values())) < 2 or not all(values.values()):
        return ""
    most, least = sorted(values, key=lambda label: -values[label])
    if values[most] >= 2 * values[least]:
        return f" {most} makes {values[most] / values[least]:.3g} times as many {what} as {least}."
    return f" {least} makes {percent(1 - values[least] / values[most])} fewer {what} than {most}."


def _travel(sides: Sequence[Side]) -> Sentence | None:
    sums = _numbers(sides, "learning_rate_sum")
    if sums is None or not all(sums.values()):
        return None
    text = f"Summed over the updates the learning rate is {_each(sums, '.3g')}"
    if max(sums.values()) > min(sums.values()):
        text += f": the longest way is {max(sums.values()) / min(sums.values()):.3g} times the shortest"
    return Sentence(f"{text}.", _cites(sides, "counts.learning_rate_sum"))


def _dropout(sides: Sequence[Side]) -> Sentence | None:
    values = {side.label: side.setting("lora_parameters.dropout").value for side in sides}
    if None in values.values():
        return None
    parts = [f"{label} {percent(value) if value else 'none'}" for label, value in values.items()]
    return Sentence(
        f"Share of the adapter's inputs dropped while training: {', '.join(parts)}. In use nothing is dropped.",
        _cites(sides, "settings.lora_parameters.dropout"),
    )


def _scale(sides: Sequence[Side]) -> Sentence | None:
    parts = []
    for side in sides:
        scale, rank = side.setting("lora_parameters.scale").value, side.setting("lora_parameters.rank").value
        if scale is None or rank is None:
            return None
        parts.append(f"{side.label} scale {scale:g} (alpha {scale * rank:g} at rank {rank})")
    return Sentence(
        f"The adapter's output is multiplied by its scale: {', '.join(parts)}.",
        _cites(sides, "settings.lora_parameters"),
    )


def _truncation(sides: Sequence[Side]) -> Sentence | None:
    rows_cut, cites = _numbers(sides, "train_rows_cut"), _cites(sides, "counts.train_rows_cut")
    longest = {side.number("longest_row_tokens") for side in sides}
    known = longest.pop() if len(longest) == 1 else None
    if rows_cut is None:
        limits = {side.label: side.setting("max_seq_length").value for side in sides}
        if known is None or not all(isinstance(limit, int) for limit in limits.values()):
            text = "Longer rows lose their end, and with it the end token; how many were cut is not recorded."
            return Sentence(text, cites)
        short = [label for label, limit in limits.items() if limit < known]
        if not short:
            text = f"The longest row has {known:.0f} tokens, so no training row is cut in {both(len(sides))} runs."
        else:
            cut = "cuts" if len(short) == 1 else "cut"
            text = f"The longest row has {known:.0f} tokens: {listed(short)} {cut} it, and its end token is lost."
        return Sentence(text, _cites(sides, "counts.longest_row_tokens", "settings.max_seq_length"))
    if not any(rows_cut.values()):
        tail = f": the longest has {known:.0f} tokens" if known is not None else ""
        return Sentence(f"No training row is cut in {both(len(sides))} runs{tail}.", cites)
    return Sentence(f"Training rows that lost their end, and with it the end token: {_each(rows_cut)}.", cites)


def _seed(sides: Sequence[Side]) -> Sentence | None:
    if len({side.setting("seed").value for side in sides if side.setting("seed").known}) < 2:
        return None
    return Sentence(
        "The adapters start from other numbers and see the rows in another order; part of any difference is that.",
        _cites(sides, "settings.seed"),
    )


def _validations(sides: Sequence[Side]) -> Sentence | None:
    times = _numbers(sides, "validations")
    if times is None:
        return None
    rows = _numbers(sides, "validation_rows") or {}
    parts = [
        f"{label} {count:,.0f}" + (f" times {count_of(int(rows[label]), 'row')}" if label in rows else "")
        for label, count in times.items()
    ]
    tools = {(side.run.identity.imported or {}).get("tool") for side in sides}
    text = f"Validations: {', '.join(parts)}."
    if tools == {None}:
        text += " They change no weight."
    return Sentence(text, _cites(sides, "counts.validations"))


def _mask(sides: Sequence[Side]) -> Sentence | None:
    on = [side.label for side in sides if side.setting("mask_prompt").value is True]
    off = [side.label for side in sides if side.setting("mask_prompt").value is False]
    if not on or not off:
        return None
    return Sentence(
        f"{_learns(on)} the answers alone, {_learns(off)} the prompts too: "
        "their training losses are of different tokens.",
        _cites(sides, "settings.mask_prompt"),
    )


def _learns(labels: Sequence[str]) -> str:
    return f"{listed(labels)} {'learns' if len(labels) == 1 else 'learn'}"


CONSEQUENCES: dict[str, Callable[[Sequence[Side]], Sentence | None]] = {
    "num_layers": _blocks,
    "fine_tune_type": _blocks,
    "iters": _length,
    "epochs": _length,
    "grad_accumulation_steps": _length,
    "batch_size": _length,
    "learning_rate": _travel,
    "lr_schedule.name": _travel,
    "lr_schedule.arguments": _travel,
    "lr_schedule.warmup": _travel,
    "lora_parameters.dropout": _dropout,
    "lora_parameters.scale": _scale,
    "lora_parameters.rank": _scale,
    "max_seq_length": _truncation,
    "seed": _seed,
    "steps_per_eval": _validations,
    "val_batches": _validations,
    "mask_prompt": _mask,
}


def _numbers(sides: Sequence[Side], key: str) -> dict[str, float] | None:
    """A count of every side; None unless all are known."""
    found = {side.label: side.number(key) for side in sides}
    known = {label: value for label, value in found.items() if value is not None}
    return known if len(known) == len(found) else None


def _each(values: dict[str, float], form: str = ",.0f") -> str:
    return ", ".join(f"{label} {value:{form}}" for label, value in values.items())


def _cites(sides: Sequence[Side], *facts: str) -> tuple[str, ...]:
    return tuple(f"{side.label}.{fact}" for side in sides for fact in facts)
