"""What differs between the runs, as it took effect, and what follows from each difference.

Owns: which settings differ, which matter most, and that several at once forbid a cause. The consequence sentences are
in comparison/consequences.py. Must not: say what is better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runoff.comparison.consequences import CONSEQUENCES
from runoff.comparison.facts import Sentence, Side, listed
from runoff.runs import Value
from runoff.words import count_of

__all__ = ["Difference", "causes", "other_rows", "setting_differences", "setting_name", "several_at_once"]


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


# They decide when to look and when to stop, not what an update does.
_WATCHING = frozenset({"steps_per_eval", "val_batches", "early_stopping"})


def setting_differences(sides: Sequence[Side]) -> tuple[Difference, ...]:
    """Settings that differ as they took effect, the most consequential first."""
    keys = list(dict.fromkeys(key for side in sides for key in side.run.plan.settings))
    rank = {key: place for place, key in enumerate(_ORDER)}
    found = []
    for key in sorted(keys, key=lambda name: (rank.get(name, len(_ORDER)), keys.index(name))):
        values = {side.label: side.setting(key) for side in sides}
        if key not in _TRIVIAL and len({_comparable(value) for value in values.values()}) > 1:
            consequence = CONSEQUENCES.get(key)
            follows = consequence(sides) if consequence else None
            found.append(Difference(key, values, _not_known(key, values) or follows))
    return tuple(found)


def _not_known(key: str, values: Mapping[str, Value]) -> Sentence | None:
    """Where all that is known agrees, a difference is not known."""
    silent = [label for label, value in values.items() if not value.known]
    if not silent or len({_comparable(value) for value in values.values() if value.known}) > 1:
        return None
    cites = tuple(f"{label}.settings.{key}" for label in silent)
    has = "has" if len(silent) == 1 else "have"
    return Sentence(f"Whether this differs is not known: {listed(silent)} {has} no record of it.", cites)


def _comparable(value: Value) -> str:
    """20 and 20.0 are the same setting."""
    inner = value.value
    return repr(float(inner)) if isinstance(inner, int | float) and not isinstance(inner, bool) else repr(inner)


def setting_name(key: str) -> str:
    """A schedule is one setting, whatever its parts."""
    return "lr_schedule" if key.startswith("lr_schedule.") else key


def causes(differences: Sequence[Difference]) -> tuple[Difference, ...]:
    """Those that can be why results differ, and are known to differ."""
    found = [
        one
        for one in differences
        if one.key not in _WATCHING and len({_comparable(value) for value in one.values.values() if value.known}) > 1
    ]
    return tuple(one for one in found if not _of_schedule(one, found))


def _of_schedule(one: Difference, found: Sequence[Difference]) -> bool:
    """A rate that is the schedule's first one differs because the schedule does."""
    scheduled = any(other.key.startswith("lr_schedule.") for other in found)
    return one.key == "learning_rate" and scheduled and any(v.origin.why == "lr_schedule" for v in one.values.values())


def several_at_once(sides: Sequence[Side], differences: Sequence[Difference]) -> Sentence | None:
    """With more than one thing changed, no cause can be told from these runs."""
    keys = list(dict.fromkeys(setting_name(found.key) for found in causes(differences)))
    data = other_rows(sides)
    if len(keys) + data < 2:
        return None
    what = f"{count_of(len(keys), 'setting')} ({listed(keys)})" if keys else ""
    what += (" and " if keys and data else "") + ("the training rows" if data else "")
    return Sentence(
        f"{what} differ at once, so no difference in the results can be put down to any one of them.", tuple(keys)
    )


def other_rows(sides: Sequence[Side]) -> bool:
    """Whether the runs are known to have been trained on different rows."""
    sets = [side.run.identity.data.get("train") or {} for side in sides]
    return any(len({found.get(key) for found in sets} - {None}) > 1 for key in ("sha256", "rows"))
