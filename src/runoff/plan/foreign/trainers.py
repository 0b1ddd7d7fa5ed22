"""The trainers of the Hugging Face family, as far as a YAML file drives them: TRL, axolotl, LLaMA-Factory.

Owns: their names for the settings that decide a LoRA run, the defaults, and what happens to a key that they do not
know. Sources: TRL 1.16 (trl/trainer/{sft,model}_config.py, scripts/utils.py TrlParser), axolotl 0.18.0
(utils/schemas), LLaMA-Factory 0.9.6 (hparams/). One version each: the version that was asked for is named in a note
where it is another. Must not: know mlx-lm.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runoff.config import Given
from runoff.plan.foreign.nouns import Around, Ignored, Stop, ToolReport, ToolValue, Version, version_text
from runoff.plan.foreign.trainer_keys import AXOLOTL, LLAMA_FACTORY, TRL

__all__ = ["axolotl", "llama_factory", "trl"]

ABSENT = "not set"


@dataclass(frozen=True, slots=True)
class _Trainer:
    """One tool: its keys and defaults, and whether an unknown key stops it.

    rank, rooted, batch: its names of the rank, of rsLoRA's switch, and of the rows of a micro-batch on each device.
    """

    name: str
    version: Version
    keys: frozenset[str]
    defaults: Mapping[str, Any]
    rank: str
    rooted: str = "use_rslora"
    refuses_unknown: bool = True
    batch: str = "per_device_train_batch_size"


_TRAINING_ARGUMENTS: Mapping[str, Any] = {
    "lr_scheduler_type": "linear",
    "warmup_steps": 0,
    "num_train_epochs": 3.0,
    "max_steps": -1,
    "per_device_train_batch_size": 8,
    "gradient_accumulation_steps": 1,
    "seed": 42,
}
"""Defaults of transformers.TrainingArguments that the trainers built on it leave as they are."""
_TRL = _Trainer(
    name="trl",
    version=(1, 16, 0),
    keys=TRL,
    defaults={
        "model_name_or_path": ABSENT,
        "use_peft": False,
        "lora_r": 16,
        "lora_alpha": 32,
        "lora_dropout": 0.05,
        "use_rslora": False,
        "use_dora": False,
        "learning_rate": 2e-5,
        **_TRAINING_ARGUMENTS,
        "gradient_checkpointing": True,
        "max_length": 1024,
        "packing": False,
        "optim": "adamw_torch_fused",
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "eval_strategy": "no",
        "save_steps": 500,
        "logging_steps": 10,
    },
    rank="lora_r",
)
_LLAMA_FACTORY = _Trainer(
    name="llama-factory",
    version=(0, 9, 6),
    keys=LLAMA_FACTORY,
    defaults={
        "model_name_or_path": ABSENT,
        "stage": "sft",
        "finetuning_type": "lora",
        "lora_rank": 8,
        "lora_alpha": None,
        "lora_dropout": 0.0,
        "lora_target": "all",
        "use_rslora": False,
        "use_dora": False,
        "learning_rate": 5e-5,
        **_TRAINING_ARGUMENTS,
        "cutoff_len": 2048,
        "train_on_prompt": False,
        "val_size": 0.0,
    },
    rank="lora_rank",
)
_AXOLOTL = _Trainer(
    name="axolotl",
    version=(0, 18, 0),
    keys=AXOLOTL,
    defaults={
        "base_model": ABSENT,
        "adapter": None,
        "lora_r": ABSENT,
        "lora_alpha": ABSENT,
        "lora_dropout": 0.0,
        "peft_use_dora": None,
        "learning_rate": ABSENT,
        "lr_scheduler": "cosine",
        "num_epochs": 1.0,
        "max_steps": None,
        "micro_batch_size": 1,
        "gradient_accumulation_steps": 1,
        "gradient_checkpointing": False,
        "sequence_len": 512,
        "optimizer": "adamw_torch_fused",
        "weight_decay": 0.0,
        "train_on_inputs": False,
        "val_set_size": 0.0,
    },
    rank="lora_r",
    rooted="peft_use_rslora",
    refuses_unknown=False,
    batch="micro_batch_size",
)


def trl(version: Version, given: Sequence[Given], around: Around) -> ToolReport:
    """`trl sft --config FILE`."""
    return _report(_TRL, version, given)


def llama_factory(version: Version, given: Sequence[Given], around: Around) -> ToolReport:
    """`llamafactory-cli train FILE`."""
    return _report(_LLAMA_FACTORY, version, given)


def axolotl(version: Version, given: Sequence[Given], around: Around) -> ToolReport:
    """`axolotl train FILE`."""
    return _report(_AXOLOTL, version, given)


def _report(trainer: _Trainer, version: Version, given: Sequence[Given]) -> ToolReport:
    name = f"{trainer.name} {version_text(trainer.version)}"
    leaves = {leaf.key.partition(".")[0]: leaf for leaf in given if leaf.value is not None}
    settings = tuple(_settings(trainer, leaves, name))
    values = {row.key: row.value for row in settings}
    unknown = [leaf for key, leaf in leaves.items() if key not in trainer.keys]
    notes = (
        [] if version == trainer.version else [ToolValue("rules", version_text(trainer.version), "the version known")]
    )
    if trainer is _TRL and values["use_peft"] is False:
        notes.append(ToolValue("adapter", "none", "use_peft is false, so the whole model is trained"))
    if trainer is _AXOLOTL and not values["adapter"]:
        notes.append(ToolValue("adapter", "none", "adapter is not set, so the whole model is trained"))
    return ToolReport(
        tool=name,
        settings=settings,
        counts=tuple(_counts(trainer, values)),
        ignored=tuple(_ignored(trainer, unknown)) if not trainer.refuses_unknown else (),
        stops=tuple(_stops(unknown)) if trainer.refuses_unknown else (),
        notes=tuple(notes),
    )


def _settings(trainer: _Trainer, leaves: Mapping[str, Given], name: str) -> Iterator[ToolValue]:
    for key, default in trainer.defaults.items():
        leaf = leaves.get(key)
        yield ToolValue(key, leaf.value, leaf.place) if leaf else ToolValue(key, default, f"default of {name}")
    rank, alpha = (
        leaves[key].value if key in leaves else trainer.defaults[key] for key in (trainer.rank, "lora_alpha")
    )
    if trainer is _LLAMA_FACTORY and not alpha and isinstance(rank, int):
        alpha = 2 * rank
    rooted = trainer.rooted in leaves and leaves[trainer.rooted].value is True
    if isinstance(rank, int) and isinstance(alpha, int | float) and rank > 0:
        how = f"alpha / sqrt(rank), since {trainer.rooted} is true" if rooted else "alpha / rank"
        yield ToolValue("scale", alpha / (rank**0.5 if rooted else rank), how)


def _counts(trainer: _Trainer, values: Mapping[str, Any]) -> Iterator[ToolValue]:
    batch, each = values[trainer.batch], values["gradient_accumulation_steps"]
    if isinstance(batch, int) and isinstance(each, int):
        yield ToolValue("rows per update", batch * each, f"{batch} rows x {each} micro-batches, on each device")
    updates = values["max_steps"]
    if isinstance(updates, int) and updates > 0:
        yield ToolValue("optimizer updates", updates, "max_steps counts optimizer updates")


def _ignored(trainer: _Trainer, unknown: Sequence[Given]) -> Iterator[Ignored]:
    for leaf in unknown:
        near = difflib.get_close_matches(leaf.key, sorted(trainer.keys), n=1, cutoff=0.7)
        hint = f"; the nearest that it has is {near[0]}" if near else ""
        yield Ignored(leaf.key, leaf.value, leaf.place, f"it has no such setting{hint}")


def _stops(unknown: Sequence[Given]) -> Iterator[Stop]:
    if unknown:
        names = ", ".join(leaf.key.partition(".")[0] for leaf in unknown)
        yield Stop(unknown[0].place, f"it does not know {names}, and ends with a ValueError before training")
