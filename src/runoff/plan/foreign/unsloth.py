"""unsloth's command line, `unsloth train --config FILE`: sections data, training, lora and logging, all keys known.

Owns: its keys, defaults, and what it says to a key that stands elsewhere. Source: unsloth_cli/config.py, 2026-11 (each
section refuses keys that it does not have). Its notebooks take no file and are not covered. Must not: know another
tool.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from runoff.config import Given
from runoff.plan.foreign.nouns import Around, Stop, ToolReport, ToolValue, Version, as_text

__all__ = ["unsloth"]

_DEFAULTS: dict[str, Mapping[str, Any]] = {
    "": {"model": None},
    "data": {"dataset": None, "local_dataset": None, "format_type": "auto"},
    "training": {
        "training_type": "lora",
        "max_seq_length": 2048,
        "load_in_4bit": True,
        "output_dir": "./outputs",
        "num_epochs": 3,
        "learning_rate": 2e-4,
        "batch_size": 2,
        "gradient_accumulation_steps": 4,
        "warmup_steps": 5,
        "max_steps": 0,
        "save_steps": 0,
        "weight_decay": 0.01,
        "random_seed": 3407,
        "packing": False,
        "train_on_completions": False,
        "gradient_checkpointing": "unsloth",
    },
    "lora": {
        "lora_r": 64,
        "lora_alpha": 16,
        "lora_dropout": 0.0,
        "target_modules": "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj",
        "vision_all_linear": False,
        "use_rslora": False,
        "use_loftq": False,
        "use_dora": False,
        "finetune_vision_layers": True,
        "finetune_language_layers": True,
        "finetune_attention_modules": True,
        "finetune_mlp_modules": True,
    },
    "logging": {
        "enable_wandb": False,
        "wandb_project": "unsloth-training",
        "wandb_token": None,
        "enable_tensorboard": False,
        "tensorboard_dir": "runs",
        "hf_token": None,
    },
}
_HOMES = {key: section for section, keys in _DEFAULTS.items() for key in keys}
NAME = "unsloth 2026.11"


def unsloth(version: Version, given: Sequence[Given], around: Around) -> ToolReport:
    """The report; unsloth's versions are dates, and one is known."""
    leaves = {leaf.key: leaf for leaf in _opened(given) if leaf.value is not None}
    settings = tuple(_settings(leaves))
    values = {row.key: row.value for row in settings}
    notes = [ToolValue("base weights", "4 bit", "load_in_4bit is true")] if values["training.load_in_4bit"] else []
    return ToolReport(NAME, settings, tuple(_counts(values)), (), tuple(_stops(leaves)), tuple(notes))


def _opened(given: Sequence[Given]) -> Iterator[Given]:
    """Each key of a section with its dotted name."""
    for leaf in given:
        if isinstance(leaf.value, Mapping) and leaf.key in _DEFAULTS:
            yield from (replace(leaf, key=f"{leaf.key}.{key}", value=value) for key, value in leaf.value.items())
        else:
            yield leaf


def _settings(leaves: Mapping[str, Given]) -> Iterator[ToolValue]:
    for section, keys in _DEFAULTS.items():
        for key, default in keys.items():
            name = f"{section}.{key}" if section else key
            leaf = leaves.get(name)
            yield ToolValue(name, leaf.value, leaf.place) if leaf else ToolValue(name, default, f"default of {NAME}")
    rank, alpha, rooted = (_lora(leaves, key) for key in ("lora_r", "lora_alpha", "use_rslora"))
    if isinstance(rank, int) and isinstance(alpha, int | float) and rank > 0:
        how = "alpha / sqrt(rank), since use_rslora is true" if rooted is True else "alpha / rank"
        yield ToolValue("scale", alpha / (rank**0.5 if rooted is True else rank), how)


def _lora(leaves: Mapping[str, Given], key: str) -> Any:
    leaf = leaves.get(f"lora.{key}")
    return leaf.value if leaf else _DEFAULTS["lora"][key]


def _counts(values: Mapping[str, Any]) -> Iterator[ToolValue]:
    batch, each = values["training.batch_size"], values["training.gradient_accumulation_steps"]
    if type(batch) is int and type(each) is int:
        yield ToolValue("rows per update", batch * each, f"{batch} rows x {each} micro-batches, on each device")
    updates = values["training.max_steps"]
    if type(updates) is int and updates > 0:
        yield ToolValue("optimizer updates", updates, "max_steps counts optimizer updates")


def _stops(leaves: Mapping[str, Given]) -> Iterator[Stop]:
    for name, leaf in leaves.items():
        section, dot, key = name.partition(".")
        if dot and section in _DEFAULTS:
            known = key.partition(".")[0] in _DEFAULTS[section]
        else:
            section, key = "", section
            known = key in _DEFAULTS[""]
        if not known and key not in _DEFAULTS:
            yield _stop(leaf, key)
        elif not dot and key in _DEFAULTS:
            yield Stop(leaf.place, f"{key} is a section of unsloth's file, not a value: it ends before training")


def _stop(leaf: Given, key: str) -> Stop:
    home = _HOMES.get(key)
    if home is None:
        near = difflib.get_close_matches(key, sorted(_HOMES), n=1, cutoff=0.7)
        hint = f"; the nearest that it has is {near[0]}" if near else ""
        return Stop(leaf.place, f"it does not know {key}, and ends before training{hint}")
    where = f"below {home}:" if home else "at the top level"
    fix = f"{home}: {{{key}: {as_text(leaf.value)}}}" if home else f"{key}: {as_text(leaf.value)}"
    return Stop(leaf.place, f"{key} belongs {where}; here it ends before training", fix)
