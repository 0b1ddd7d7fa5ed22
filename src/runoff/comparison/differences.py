"""What differs between the runs, as it took effect, and what follows from each difference.

Owns: which settings matter most, and the consequence sentences. A consequence is a function of the sides that returns a
sentence with its numbers, or None where the numbers are not known. Must not: say what is better.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runoff.comparison.facts import Sentence, Side, both, listed
from runoff.runs import Value

__all__ = ["CONSEQUENCES", "Difference", "setting_differences", "several_at_once"]


@dataclass(frozen=True)
class Difference:
    """One setting or count that is not the same in all runs. `values`: by label."""

    key: str
    values: dict[str, Value]
    consequence: Sentence | None


# Most consequential first; what is not listed comes after, in the order of the option table.
_ORDER = (
    "num_layers",
    "lora_parameters.rank",
    "lora_parameters.scale",
    "lora_parameters.keys",
    "fine_tune_type",
    "learning_rate",
    "lr_schedule.name",
    "lr_schedule.arguments",
    "iters",
    "epochs",
    "grad_accumulation_steps",
    "batch_size",
    "lora_parameters.dropout",
    "optimizer",
    "optimizer_config",
    "max_grad_norm",
    "mask_prompt",
    "max_seq_length",
    "seed",
    "early_stopping",
)
# Names, places and habits of reporting: they change no weight.
_TRIVIAL = frozenset(
    {"data", "model", "steps_per_report", "save_every", "trunk_cache", "grad_checkpoint", "test", "train"}
)


def setting_differences(sides: Sequence[Side]) -> tuple[Difference, ...]:
    """Settings that differ as they took effect, or that a file declares otherwise than they took effect."""
    keys = list(dict.fromkeys(key for side in sides for key in side.run.plan.settings))
    rank = {key: place for place, key in enumerate(_ORDER)}
    found = []
    for key in sorted(keys, key=lambda name: (rank.get(name, len(_ORDER)), keys.index(name))):
        values = {side.label: side.setting(key) for side in sides}
        shown = {repr(value.value) for value in values.values()}
        declared = any(value.declared is not None and value.declared != value.value for value in values.values())
        if key not in _TRIVIAL and (len(shown) > 1 or declared):
            consequence = CONSEQUENCES.get(key)
            found.append(Difference(key, values, consequence(sides) if consequence else None))
    return tuple(found)


def several_at_once(differences: Sequence[Difference]) -> Sentence | None:
    """With more than one setting changed, no cause can be told from two runs."""
    keys = [found.key for found in differences if len({repr(value.value) for value in found.values.values()}) > 1]
    causes = [key for key in keys if key not in ("steps_per_eval", "val_batches", "early_stopping")]
    if len(causes) < 2:
        return None
    return Sentence(
        f"{len(causes)} settings differ at once ({listed(causes)}), so no difference in the results can be put down to "
        "any one of them.",
        tuple(causes),
    )


def _blocks(sides: Sequence[Side]) -> Sentence | None:
    adapted = {side.label: side.number("adapted_blocks") for side in sides}
    total = {side.number("blocks") for side in sides}
    if None in adapted.values() or None in total or len(total) != 1:
        return None
    blocks = total.pop() or 0.0
    parts = [
        f"{label} adapts {count:.0f} and leaves {blocks - count:.0f} untouched"
        for label, count in adapted.items()
        if count is not None
    ]
    params = {side.label: side.number("trainable_parameters") for side in sides}
    text = f"Of the base's {blocks:.0f} blocks {', '.join(parts)}."
    if None not in params.values():
        text += f" Trainable parameters: {_each(params)}."
    return Sentence(text, _cites(sides, "counts.adapted_blocks", "counts.trainable_parameters"))


def _length(sides: Sequence[Side]) -> Sentence | None:
    parts = []
    for side in sides:
        updates, epochs, batch = (side.number(key) for key in ("optimizer_updates", "epochs", "effective_batch_rows"))
        if updates is None:
            return None
        seen = f", {epochs:.2f} epochs" if epochs is not None else ""
        parts.append(
            f"{side.label} makes {updates:,.0f} optimizer updates" + (f" of {batch:.0f} rows{seen}" if batch else seen)
        )
    return Sentence(f"{listed(parts)}.", _cites(sides, "counts.optimizer_updates", "counts.epochs"))


def _travel(sides: Sequence[Side]) -> Sentence | None:
    sums = {side.label: side.number("learning_rate_sum") for side in sides}
    known = [value for value in sums.values() if value]
    if len(known) < len(sums):
        return None
    text = f"Summed over the updates the learning rate is {_each(sums, '.3g')}"
    if max(known) > min(known):
        text += f": the longest way is {max(known) / min(known):.2g} times the shortest"
    return Sentence(f"{text}.", _cites(sides, "counts.learning_rate_sum"))


def _dropout(sides: Sequence[Side]) -> Sentence | None:
    values = {side.label: side.setting("lora_parameters.dropout").value for side in sides}
    if None in values.values():
        return None
    parts = [f"{label} {f'{value:.0%}'.replace('%', ' %') if value else 'none'}" for label, value in values.items()]
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
    cut = {side.label: side.number("train_rows_cut") for side in sides}
    longest = {side.number("longest_row_tokens") for side in sides}
    if None in cut.values():
        return None
    if not any(cut.values()):
        known = next(iter(longest)) if len(longest) == 1 and None not in longest else None
        tail = f": the longest has {known:.0f} tokens" if known is not None else ""
        return Sentence(
            f"No training row is cut in {both(len(sides))} runs{tail}.", _cites(sides, "counts.train_rows_cut")
        )
    return Sentence(
        f"Training rows that lost their end, and with it the end token: {_each(cut)}.",
        _cites(sides, "counts.train_rows_cut"),
    )


def _seed(sides: Sequence[Side]) -> Sentence | None:
    return Sentence(
        "The adapters start from other numbers and see the rows in another order; part of any difference is that.",
        _cites(sides, "settings.seed"),
    )


def _validations(sides: Sequence[Side]) -> Sentence | None:
    times = {side.label: side.number("validations") for side in sides}
    if None in times.values():
        return None
    return Sentence(f"Validations: {_each(times)}. They change no weight.", _cites(sides, "counts.validations"))


def _mask(sides: Sequence[Side]) -> Sentence | None:
    on = [side.label for side in sides if side.setting("mask_prompt").value is True]
    off = [side.label for side in sides if side.setting("mask_prompt").value is False]
    if not on or not off:
        return None
    return Sentence(
        f"{listed(on)} learns the answers alone, {listed(off)} the prompts too: "
        "their training losses are of different tokens.",
        _cites(sides, "settings.mask_prompt"),
    )


CONSEQUENCES: dict[str, Callable[[Sequence[Side]], Sentence | None]] = {
    "num_layers": _blocks,
    "iters": _length,
    "epochs": _length,
    "grad_accumulation_steps": _length,
    "batch_size": _length,
    "learning_rate": _travel,
    "lr_schedule.arguments": _travel,
    "lora_parameters.dropout": _dropout,
    "lora_parameters.scale": _scale,
    "lora_parameters.rank": _scale,
    "max_seq_length": _truncation,
    "seed": _seed,
    "steps_per_eval": _validations,
    "mask_prompt": _mask,
}


def _each(values: dict[str, float | None], form: str = ",.0f") -> str:
    return ", ".join(f"{label} {value:{form}}" for label, value in values.items() if value is not None)


def _cites(sides: Sequence[Side], *facts: str) -> tuple[str, ...]:
    return tuple(f"{side.label}.{fact}" for side in sides for fact in facts)
