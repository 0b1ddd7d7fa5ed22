"""Settings as other tools spell them, and what becomes of them here.

Owns: the table of translations (a foreign key becomes one of ours, aloud), of keys that Runoff reads and does without
(with the reason), and of keys it refuses. Each translation says what mlx-lm itself would have made of the key, since
the same file is meant to run there. Must not: read files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["DONE_WITHOUT", "REFUSED", "TRANSLATIONS", "Translated"]

IGNORED = "mlx-lm ignores this key here"


@dataclass(frozen=True, slots=True)
class Translated:
    """One of our keys (dotted), its value, and the sentence that says so."""

    key: str
    value: Any
    why: str


Translation = Callable[[Any, Mapping[str, Any]], "Translated | str"]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _rename(key: str, *, ignored: bool = True) -> Translation:
    def translate(value: Any, _given: Mapping[str, Any]) -> Translated:
        return Translated(key, value, f"read as {key}" + (f"; {IGNORED}" if ignored else ""))

    return translate


def _rank(given: Mapping[str, Any]) -> Any:
    nested = given.get("lora_parameters")
    if isinstance(nested, Mapping) and "rank" in nested:
        return nested["rank"]
    return next((given[key] for key in ("lora_rank", "rank", "lora_r", "r") if key in given), 8)


def _alpha(value: Any, given: Mapping[str, Any]) -> Translated | str:
    rank = _rank(given)
    if not _number(value) or not _number(rank) or rank <= 0:
        return f"alpha {value!r} over rank {rank!r} is not a scale; write both as numbers"
    try:
        scale = float(value) / float(rank)
    except OverflowError:
        return "alpha over rank is too large a number"
    why = f"alpha {value:g} / rank {rank:g} = scale {scale:g}; {IGNORED}, so there the scale would be 20"
    return Translated("lora_parameters.scale", scale, why)


def _in_updates(key: str) -> Translation:
    """HF counts these in optimizer updates; ours count iterations, so they are multiplied by the accumulation."""

    def translate(value: Any, given: Mapping[str, Any]) -> Translated | str:
        spelled = ("grad_accumulation_steps", "gradient_accumulation_steps", "grad_accumulation")
        each = next((given[name] for name in spelled if given.get(name) is not None), 1)
        if type(value) is not int or type(each) is not int or value < 1 or each < 1:
            return f"{value!r} optimizer updates is not a whole number above 0; write {key}: in iterations"
        why = f"{value} optimizer updates x {each} iterations = {key}: {value * each}; {IGNORED}"
        return Translated(key, value * each, why)

    return translate


def _dora(value: Any, _given: Mapping[str, Any]) -> Translated | str:
    if not isinstance(value, bool):
        return f"use_dora must be true or false, not {value!r}"
    kind = "dora" if value else "lora"
    note = "" if not value else f"; {IGNORED} and would train plain LoRA"
    return Translated("fine_tune_type", kind, f"read as fine_tune_type: {kind}{note}")


def _for_optimizer(argument: str) -> Translation:
    def translate(value: Any, given: Mapping[str, Any]) -> Translated:
        optimizer = str(given.get("optimizer") or given.get("optim") or "adam").lower()
        key = f"optimizer_config.{optimizer}.{argument}"
        return Translated(key, value, f"read as {key}; {IGNORED}")

    return translate


TRANSLATIONS: dict[str, Translation] = {
    "lora_rank": _rename("lora_parameters.rank"),
    "lora_r": _rename("lora_parameters.rank"),
    "rank": _rename("lora_parameters.rank"),
    "r": _rename("lora_parameters.rank"),
    "lora_dropout": _rename("lora_parameters.dropout"),
    "dropout": _rename("lora_parameters.dropout"),
    "lora_scale": _rename("lora_parameters.scale"),
    "scale": _rename("lora_parameters.scale"),
    "lora_alpha": _alpha,
    "alpha": _alpha,
    "lora_parameters.alpha": _alpha,
    "target_modules": _rename("lora_parameters.keys"),
    "lora_target_modules": _rename("lora_parameters.keys"),
    "lora_layers": _rename("num_layers"),
    "use_dora": _dora,
    "num_train_epochs": _rename("epochs"),
    "num_epochs": _rename("epochs"),
    "max_steps": _in_updates("iters"),
    "eval_steps": _in_updates("steps_per_eval"),
    "save_steps": _in_updates("save_every"),
    "logging_steps": _in_updates("steps_per_report"),
    "gradient_accumulation_steps": _rename("grad_accumulation_steps"),
    "grad_accumulation": _rename("grad_accumulation_steps"),
    "per_device_train_batch_size": _rename("batch_size"),
    "micro_batch_size": _rename("batch_size"),
    "max_length": _rename("max_seq_length"),
    "max_seq_len": _rename("max_seq_length"),
    "sequence_len": _rename("max_seq_length"),
    "cutoff_len": _rename("max_seq_length"),
    "gradient_checkpointing": _rename("grad_checkpoint"),
    "train_on_completions": _rename("mask_prompt"),
    "completion_only_loss": _rename("mask_prompt"),
    "lr": _rename("learning_rate"),
    "base_model": _rename("model"),
    "model_name_or_path": _rename("model"),
    "weight_decay": _for_optimizer("weight_decay"),
    "adam_epsilon": _for_optimizer("eps"),
    "optim": _rename("optimizer"),
}

DONE_WITHOUT: dict[str, str] = {
    "adapter_path": "not used: the adapter is saved in the run's own folder, so no run overwrites another's",
    "test_batches": "not used: the whole test set is scored",
    "clear_cache_threshold": "not used; mlx-lm's command line does not use it either",
    "report_to": "not used: the record is the run folder",
    "project_name": "not used: the record is the run folder",
    "wandb": "not used: the record is the run folder",
    "config": "not used: it names the file itself",
}

REFUSED: dict[str, str] = {
    "trust_remote_code": "code that a model brings along is never run; remove this line",
    "warmup_steps": "write the warm-up inside lr_schedule, e.g. lr_schedule: {name: cosine_decay, warmup: 10, "
    "arguments: [1e-5, 100, 1e-6]}, counted in optimizer updates",
    "warmup_ratio": "write the warm-up inside lr_schedule as a number of optimizer updates (warmup: 10)",
    "lr_scheduler_type": "write lr_schedule: {name: cosine_decay, arguments: [1e-5, 100, 1e-6]} instead",
    "packing": "rows are never packed: length grouping does its work without mixing rows; remove this line",
    "load_in_4bit": "name a quantized model folder as the model instead",
    "load_in_8bit": "name a quantized model folder as the model instead",
}
