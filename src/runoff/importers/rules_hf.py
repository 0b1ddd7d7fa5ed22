"""What Hugging Face's Trainer, TRL, PEFT, LLaMA-Factory and axolotl make of their settings.

They read the keys that their configurations name, so declared and effective differ less than with mlx-lm; what differs
is the unit (optimizer updates, not iterations) and alpha, which is divided by the rank. Source: peft/tuners/lora/
config.py, transformers/training_args.py. Must not: read files or count anything.
"""

from __future__ import annotations

import math
from typing import Any

from runoff.config import Origin
from runoff.importers.effective import Effective, Sources
from runoff.importers.facts import Told
from runoff.importers.versions import Range
from runoff.runs import Value

__all__ = ["hugging_face_rules"]

_NAMES = {
    "r": "lora_parameters.rank",
    "lora_r": "lora_parameters.rank",
    "lora_rank": "lora_parameters.rank",
    "lora_dropout": "lora_parameters.dropout",
    "target_modules": "lora_parameters.keys",
    "lora_target": "lora_parameters.keys",
    "lora_target_modules": "lora_parameters.keys",
    "base_model_name_or_path": "model",
    "base_model": "model",
    "model_name_or_path": "model",
    "dataset": "data",
    "per_device_train_batch_size": "batch_size",
    "train_batch_size": "batch_size",
    "micro_batch_size": "batch_size",
    "gradient_accumulation_steps": "grad_accumulation_steps",
    "cutoff_len": "max_seq_length",
    "max_length": "max_seq_length",
    "sequence_len": "max_seq_length",
    "max_seq_length": "max_seq_length",
    "learning_rate": "learning_rate",
    "num_train_epochs": "epochs",
    "num_epochs": "epochs",
    "optim": "optimizer",
    "optimizer": "optimizer",
    "seed": "seed",
    "max_grad_norm": "max_grad_norm",
    "gradient_checkpointing": "grad_checkpoint",
    "completion_only_loss": "mask_prompt",
    "val_batches": "val_batches",
}
_IN_UPDATES = {
    "eval_steps": "steps_per_eval",
    "save_steps": "save_every",
    "logging_steps": "steps_per_report",
    "max_steps": "iters",
}
_UNKNOWN = "none of the files says it"
_EXPECTED = ("lora_parameters.rank", "lora_parameters.scale", "lora_parameters.dropout", "learning_rate", "batch_size",
             "grad_accumulation_steps", "max_seq_length", "seed", "model")  # fmt: skip


def hugging_face_rules(sources: Sources, versions: Range, tool: str) -> Effective:
    """Settings under our names; what counts updates is multiplied by the accumulation where that is known."""
    result = Effective(tool, str(versions))
    ours = sources.renamed(_NAMES)
    for key in dict.fromkeys(_NAMES.values()):
        value = result.choose(key, ours)
        if value is not None and value.value is not None:
            result.settings[key] = value
    _scale(sources, result)
    _kind_and_blocks(sources, result)
    for theirs, key in _IN_UPDATES.items():
        if theirs in sources.keys:
            result.settings[key] = _in_iterations(sources.first(theirs), result)
    for key in _EXPECTED:
        result.settings.setdefault(key, Value.unknown(_UNKNOWN))
    return result


def _get(sources: Sources, key: str) -> Any:
    return next((item.value for group in sources.ordered for item in group if item.key == key), None)


def _scale(sources: Sources, result: Effective) -> None:
    alpha = next((item for group in sources.ordered for item in group if item.key == "lora_alpha"), None)
    rank = result.settings.get("lora_parameters.rank")
    if (
        alpha is None
        or rank is None
        or not isinstance(rank.value, int)
        or not isinstance(alpha.value, int | float)
        or rank.value < 1
    ):
        return
    if _get(sources, "alpha_pattern") or _get(sources, "rank_pattern"):
        why = "alpha_pattern or rank_pattern gives the layers different scales"
        result.settings["lora_parameters.scale"] = Value.unknown(why, f"lora_alpha {alpha.value}")
        return
    rooted = _get(sources, "use_rslora") is True
    scale = alpha.value / (math.sqrt(rank.value) if rooted else rank.value)
    why = f"lora_alpha {alpha.value:g} / {'the root of ' if rooted else ''}rank {rank.value}"
    result.settings["lora_parameters.scale"] = Value(scale, Origin("derived", alpha.place, why))


def _kind_and_blocks(sources: Sources, result: Effective) -> None:
    if "use_dora" in sources.keys:
        told = sources.first("use_dora")
        result.settings["fine_tune_type"] = Value(
            "dora" if told.value is True else "lora", Origin("imported", told.place)
        )
    blocks = _get(sources, "layers_to_transform")
    if isinstance(blocks, list) and blocks:
        place = sources.first("layers_to_transform").place
        result.settings["num_layers"] = Value(
            len(blocks), Origin("derived", place, f"layers_to_transform {blocks}"[:200])
        )


def _in_iterations(told: Told, result: Effective) -> Value:
    if not isinstance(told.value, int) or told.value < 1:
        return Value.unknown(f"{told.key} is {told.value!r}", told.value)
    each = result.settings.get("grad_accumulation_steps")
    if each is None or not isinstance(each.value, int):
        return Value.unknown(f"{told.value} optimizer updates; the iterations in each are unknown", told.value)
    why = f"{told.value} optimizer updates x {each.value} iterations"
    return Value(told.value * each.value, Origin("derived", told.place, why))
