"""What Hugging Face's Trainer, TRL, PEFT, LLaMA-Factory and axolotl make of their settings.

They read the keys that their configurations name, so declared and effective differ less than with mlx-lm; what differs
is the unit (optimizer updates, not iterations) and alpha, which is divided by the rank. Source: peft/tuners/lora/
config.py, peft/tuners/tuners_utils.py check_target_module_exists, transformers/training_args.py. Must not: read files
or count anything.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

from runoff.config import Origin
from runoff.importers.effective import Effective, Sources
from runoff.importers.facts import Told
from runoff.importers.versions import Range
from runoff.runs import Value

__all__ = ["hugging_face_rules", "is_read"]

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
_AS_THEY_ARE = (
    "modules_to_save", "rank_pattern", "alpha_pattern", "init_lora_weights", "bias", "lora_bias",
    "exclude_modules", "target_parameters", "layers_pattern", "layer_replication", "trainable_token_indices",
    "lr_scheduler_type", "lr_scheduler", "warmup_steps", "warmup_ratio", "weight_decay", "neftune_noise_alpha",
    "packing", "sample_packing", "train_on_inputs", "load_in_4bit", "load_in_8bit", "bf16", "fp16", "adam_beta1",
    "adam_beta2", "adam_epsilon", "group_by_length",
)  # fmt: skip
"""What changes the training and has no name of ours is shown under its own, where a file says it."""
_BLOCKS = ("layers_to_transform", "peft_layers_to_transform")
_TARGETS = ("target_modules", "lora_target", "lora_target_modules", "lora_target_linear")
_DORA = ("use_dora", "peft_use_dora")
_METHODS = ("finetuning_type", "adapter", "use_peft")
_LORA = ("lora", "qlora", True)
_BOOKKEEPING = (
    "peft_type", "peft_version", "task_type", "inference_mode", "auto_mapping", "revision", "parent_library",
    "base_model_class", "megatron_core", "qalora_group_size", "lora_alpha", "use_rslora", "peft_use_rslora",
    *_DORA, *_METHODS, *_BLOCKS, *_TARGETS, "total_steps", "output_dir",
)  # fmt: skip
"""Judged on their own, or of no concern to the training."""
KEYS = "lora_parameters.keys"
_ALL = ("all", "all-linear")
_NAMED = 12
ALL_BLOCKS = -1
"""num_layers of every block, as mlx-lm and our own settings have it."""
_UNKNOWN = "none of the files says it"
_EXPECTED = ("lora_parameters.rank", "lora_parameters.scale", "lora_parameters.dropout", "learning_rate", "batch_size",
             "grad_accumulation_steps", "max_seq_length", "seed", "model")  # fmt: skip


def hugging_face_rules(sources: Sources, versions: Range, tool: str) -> Effective:
    """Settings under our names; what counts updates is multiplied by the accumulation where that is known."""
    result = Effective(tool, str(versions))
    ours = _with_plain_keys(sources.renamed(_NAMES))
    for key in dict.fromkeys(_NAMES.values()):
        value = result.choose(key, ours)
        if value is not None and value.value is not None:
            result.settings[key] = value
    _scale(sources, result)
    _kind(sources, result)
    _blocks(sources, result)
    for theirs, key in _IN_UPDATES.items():
        if theirs in sources.keys:
            result.settings[key] = _in_iterations(sources.first(theirs), result)
    _other_keys(sources, result)
    for key in _EXPECTED:
        result.settings.setdefault(key, Value.unknown(_UNKNOWN))
    return result


def _with_plain_keys(sources: Sources) -> Sources:
    """Names of layers in one form: PEFT keeps a set, written in another order each time; `all` is the list it finds."""
    groups = [[_plain_keys(item) for item in group] for group in sources.ordered]
    listed = any(item.key == KEYS and isinstance(item.value, list) for group in groups for item in group)
    kept = [[item for item in group if not (listed and item.key == KEYS and item.value in _ALL)] for group in groups]
    return Sources(*map(tuple, kept))


def _plain_keys(told: Told) -> Told:
    names = told.value
    if told.key != KEYS:
        return told
    if isinstance(names, str) and re.fullmatch(r"\w+(?:\s*,\s*\w+)+", names):
        names = [name.strip() for name in names.split(",")]  # LLaMA-Factory's way
    named = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return replace(told, value=sorted(names)) if named else told


def is_read(key: str) -> bool:
    """A rule here knows the key."""
    return key in (*_NAMES, *_NAMES.values(), *_IN_UPDATES, *_BOOKKEEPING, *_AS_THEY_ARE)


def _other_keys(sources: Sources, result: Effective) -> None:
    """Keys that no rule reads: shown as they are, or at least named."""
    unread = []
    for key in sources.keys:
        told = sources.first(key)
        if key not in _AS_THEY_ARE and is_read(key):
            continue
        if key in _AS_THEY_ARE:
            result.settings[key] = result.choose(key, sources) or Value.unknown(_UNKNOWN)
        elif told.value not in (None, False, "") and told.value not in ([], {}):
            unread.append(key)
    if unread:
        more = f" and {len(unread) - _NAMED} more" if len(unread) > _NAMED else ""
        result.notes.append(f"Keys that are not interpreted here: {', '.join(unread[:_NAMED])}{more}.")


def _told(sources: Sources, *keys: str) -> Told | None:
    """What the weightiest source says under any of these spellings."""
    return next((item for group in sources.ordered for item in group if item.key in keys), None)


def _get(sources: Sources, key: str) -> Any:
    told = _told(sources, key)
    return told.value if told else None


def _scale(sources: Sources, result: Effective) -> None:
    alpha = _told(sources, "lora_alpha")
    rank = result.settings.get("lora_parameters.rank")
    if (
        alpha is None
        or rank is None
        or not isinstance(rank.value, int)
        or not isinstance(alpha.value, int | float)
        or rank.value < 1
    ):
        return
    if _get(sources, "rank_pattern"):
        why = "rank_pattern gives the layers different ranks"
        result.settings["lora_parameters.rank"] = Value.unknown(why, rank.value)
    if _get(sources, "alpha_pattern") or _get(sources, "rank_pattern"):
        why = "alpha_pattern or rank_pattern gives the layers different scales"
        result.settings["lora_parameters.scale"] = Value.unknown(why, f"lora_alpha {alpha.value}")
        return
    rooted = True in (_get(sources, "use_rslora"), _get(sources, "peft_use_rslora"))
    scale = alpha.value / (math.sqrt(rank.value) if rooted else rank.value)
    why = f"lora_alpha {alpha.value:g} / {'the root of ' if rooted else ''}rank {rank.value}"
    result.settings["lora_parameters.scale"] = Value(scale, Origin("derived", alpha.place, why))


def _kind(sources: Sources, result: Effective) -> None:
    """PEFT had no use_dora before 0.9; its other methods (IA3, prompt tuning, ...) keep their own names."""
    dora, peft, asked = _told(sources, *_DORA), _told(sources, "peft_type"), _told(sources, *_METHODS)
    told, kind = dora, "dora" if dora and dora.value is True else "lora"
    if peft and str(peft.value).upper() != "LORA":
        told, kind = peft, str(peft.value).lower()
    elif asked and not peft and asked.value not in _LORA:
        told, kind = asked, "full" if asked.value in (None, False) else str(asked.value)
    told = told or peft or asked
    if told:
        result.settings["fine_tune_type"] = Value(kind, Origin("imported", told.place))


def _blocks(sources: Sources, result: Effective) -> None:
    told = _told(sources, *_BLOCKS)
    chosen = _chosen_blocks(told.value) if told else ()
    if told and (chosen or told.value in (None, [])):
        result.settings["layers_to_transform"] = Value(list(chosen) or None, Origin("imported", told.place))
    if told and chosen:
        why = f"layers_to_transform {list(chosen)}"[:200]
        result.settings["num_layers"] = Value(len(chosen), Origin("derived", told.place, why))
    elif (told and told.value in (None, [])) or (not told and not sources.record and _told(sources, *_TARGETS)):
        result.settings["num_layers"] = _every_block(sources, told)


def _chosen_blocks(value: Any) -> tuple[int, ...]:
    """layers_to_transform is a number or a list of them, counted from the first block."""
    values = _listed(value)
    whole = all(isinstance(one, int) and not isinstance(one, bool) for one in values)
    return tuple(sorted(set(values))) if whole else ()


def _every_block(sources: Sources, told: Told | None) -> Value:
    """PEFT goes by the names of the layers alone where no blocks are chosen; but these may name blocks too."""
    for names in (_told(sources, *_TARGETS), _told(sources, "exclude_modules")):
        if names and names.value and not all(map(_is_plain, _listed(names.value))):
            return Value.unknown(f"{names.key} is a pattern or names blocks itself; the adapter's tensors would tell")
    if told is None:
        target = _told(sources, *_TARGETS)
        return Value(ALL_BLOCKS, Origin("derived", target.place if target else None, "no key chooses blocks"))
    return Value(ALL_BLOCKS, Origin("derived", told.place, f"{told.key} is empty, which in PEFT is every block"))


def _is_plain(name: Any) -> bool:
    """The name of a layer (`q_proj`, `self_attn.q_proj`, LLaMA-Factory's `q_proj,v_proj`), the same in every block."""
    return re.fullmatch(r"[\w., -]+", str(name)) is not None and not re.search(r"\.\d+\.", str(name))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _in_iterations(told: Told, result: Effective) -> Value:
    if not isinstance(told.value, int) or told.value < 1:
        return Value.unknown(f"{told.key} is {told.value!r}", told.value)
    each = result.settings.get("grad_accumulation_steps")
    if each is None or not isinstance(each.value, int):
        return Value.unknown(f"{told.value} optimizer updates; the iterations in each are unknown", told.value)
    why = f"{told.value} optimizer updates x {each.value} iterations"
    return Value(told.value * each.value, Origin("derived", told.place, why))
