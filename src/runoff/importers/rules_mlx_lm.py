"""What mlx-lm makes of the settings it is given, by version.

Source: mlx_lm/lora.py and tuner/ in the history of mlx-lm and mlx-examples (versions are the first release that holds a
change). Owns: defaults, arguments and ignored keys by version. Must not: read files or count anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from runoff.config import Origin
from runoff.importers.effective import Effective, Sources, same
from runoff.importers.facts import Told
from runoff.importers.log_mlx_lm import GIGABYTE_DOUBT
from runoff.importers.versions import Range
from runoff.runs import MetricRow, Value

__all__ = [
    "all_blocks_bug",
    "around_the_update",
    "believed",
    "declared_names",
    "mlx_lm_rules",
    "mlx_validations",
    "peak_memory",
]

_FIRST = "0.0.0"
DEFAULTS: dict[str, Sequence[tuple[str, Any]]] = {
    "num_layers": ((_FIRST, 16),),
    "batch_size": ((_FIRST, 4),),
    "iters": ((_FIRST, 1000),),
    "val_batches": ((_FIRST, 25),),
    "learning_rate": ((_FIRST, 1e-5),),
    "steps_per_report": ((_FIRST, 10),),
    "steps_per_eval": ((_FIRST, 200),),
    "save_every": ((_FIRST, 100),),
    "max_seq_length": ((_FIRST, 2048),),
    "seed": ((_FIRST, 0),),
    "lr_schedule": ((_FIRST, None),),
    "fine_tune_type": ((_FIRST, "lora"),),
    "optimizer": ((_FIRST, "adam"),),
    "mask_prompt": ((_FIRST, False),),
    "grad_checkpoint": ((_FIRST, False),),
    "grad_accumulation_steps": ((_FIRST, 1),),
    "resume_adapter_file": ((_FIRST, None),),
    "lora_parameters.rank": ((_FIRST, 8),),
    "lora_parameters.dropout": ((_FIRST, 0.0),),
    "lora_parameters.scale": ((_FIRST, 20.0), ("0.14.2", 10.0), ("0.25.1", 20.0)),
    "lora_parameters.keys": ((_FIRST, "self_attn.q_proj and self_attn.v_proj"), ("0.28.2", None)),
}
"""Setting -> (from version, value). None for keys: every linear layer."""

READ_SINCE = {
    "lora_parameters.dropout": "0.4.0",
    "fine_tune_type": "0.21.0",
    "optimizer": "0.22.0",
    "optimizer_config": "0.22.0",
    "mask_prompt": "0.22.0",
    "grad_accumulation_steps": "0.28.3",
}
"""Settings that older versions ignore without a word; the default holds there."""

SCHEDULE_SINCE = "0.6.0"
_DORA_READ = (("0.13.1", "0.14.2"), ("0.15.3", "0.19.0"))
"""Releases in which use_dora makes a DoRA adapter: (from, before). Between them it was there and not passed on."""

_OTHER_ARGUMENTS = (
    "model", "data", "train", "test", "test_batches", "config", "adapter_path", "adapter_file", "report_to",
    "project_name", "clear_cache_threshold", "hf_dataset", "prompt_feature", "completion_feature", "chat_feature",
    "text_feature", "lora_parameters", "optimizer_config", "wandb", "trust_remote_code", "prompt", "temp", "max_tokens",
    "lora_layers", "use_dora", "lr_schedule",
)  # fmt: skip
"""Arguments of some version that are no settings of ours, or are judged on their own."""


def mlx_lm_rules(sources: Sources, versions: Range, tool: str = "mlx-lm") -> Effective:
    """Every setting as it took effect, with what was declared; what was ignored, and what holds instead."""
    result = Effective(tool, str(versions))
    told = _renamed(sources, versions)
    for key in (*DEFAULTS, "model", "data", "optimizer_config", "hf_dataset"):
        value = _setting(key, told, versions, result)
        if value is not None:
            result.settings[key] = value
    _schedule(told, versions, result)
    _legacy_alpha(told, versions, result)
    _dora(sources, versions, result)
    kind = result.settings.get("fine_tune_type")
    if kind is not None and kind.known and kind.value == "full":
        without_lora(result)
    for key in sources.keys:
        if key not in DEFAULTS and key.partition(".")[0] not in _OTHER_ARGUMENTS:
            result.ignored(sources.first(key))
    for key in ("wandb", "clear_cache_threshold", "trust_remote_code"):
        _switch(key, sources, versions, result)
    return result


def _renamed(sources: Sources, versions: Range) -> Sources:
    """lora_layers was num_layers' name before 0.19 (and is ignored since)."""
    old = versions.at_least("0.19.0") is False
    return sources.renamed({"lora_layers": "num_layers"} if old else {})


def _setting(key: str, told: Sources, versions: Range, result: Effective) -> Value | None:
    since = READ_SINCE.get(key)
    if key == "fine_tune_type" and told.record_has(key):
        since = "0.19.0"  # a YAML could not set it before 0.21, but the record says what the command line did
    if since and key in told.keys and versions.at_least(since) is not True:
        return _maybe_ignored(key, since, told.first(key), versions, result)
    value = result.choose(key, told)
    if value is not None or key not in DEFAULTS:
        return value
    if key == "lora_parameters.keys" and told.record_has("lora_parameters.rank"):
        return _default(key, versions, told)
    return _default(key, versions, told)


def _maybe_ignored(key: str, since: str, told: Told, versions: Range, result: Effective) -> Value:
    default = DEFAULTS[key][0][1] if key in DEFAULTS else None
    if same(told.value, default):
        return Value(told.value, Origin("imported", told.place))
    if versions.at_least(since) is False:
        result.ignored(told, f"{key} {default!r}; {result.tool} reads this key from {since} on")
        return Value(default, Origin("derived", told.place, f"{result.tool} reads {key} from {since} on"), told.value)
    why = f"{result.tool} reads {key} from {since} on, and the version {versions.told}; --tool decides"
    _undecided(told, f"it reads {key} from {since} on", versions, result)
    return Value.unknown(why, told.value)


def _undecided(told: Told, rule: str, versions: Range, result: Effective) -> None:
    """What the version decides, where the version is open."""
    what = f"Whether {told.key}: {told.value!r} took effect is unknown."[:300]
    why = f"{result.tool}'s version decides ({rule}), and {versions.told}."
    result.note("I103", "warning", told.place, what, why, "--tool mlx-lm@VERSION")


def _default(key: str, versions: Range, told: Sources) -> Value:
    if not told.complete:
        return Value.unknown("no configuration is among the files, and the log does not print it")
    entries = versions.values(DEFAULTS[key])
    where = "" if told.has_record else "; an option on the command line would have gone before it"
    if len({str(value) for _, value in entries}) == 1:
        return Value(entries[0][1], Origin("derived", why=f"default of mlx-lm; the files do not set it{where}"))
    changes = ", ".join(
        f"{value} from {start} on" if start != _FIRST else f"{value} at first" for start, value in entries
    )
    return Value.unknown(f"the default depends on the version of mlx-lm ({changes}), which {versions.told}")


def _schedule(told: Sources, versions: Range, result: Effective) -> None:
    """A schedule's own first rate goes before learning_rate; its parts are settings of their own."""
    parts = {key: result.choose(key, told) for key in told.keys if key.startswith("lr_schedule.")}
    if not parts or (told.has_record and not any(told.record_has(key) for key in parts)):
        return
    result.settings.pop("lr_schedule", None)
    read = versions.at_least(SCHEDULE_SINCE)
    if read is not True:
        _unread_schedule([told.first(key) for key in parts], versions, result, never=read is False)
        return
    result.settings |= {key: value for key, value in parts.items() if value is not None}
    arguments = parts.get("lr_schedule.arguments")
    if arguments is not None and isinstance(arguments.value, list) and arguments.value:
        declared = result.settings["learning_rate"].value
        origin = Origin("derived", arguments.origin.place, "lr_schedule")
        other = None if same(declared, arguments.value[0]) else declared
        result.settings["learning_rate"] = Value(arguments.value[0], origin, other)


def _unread_schedule(parts: Sequence[Told], versions: Range, result: Effective, *, never: bool) -> None:
    declared = next((part.value for part in parts if part.key == "lr_schedule.name"), None)
    if never:
        why = f"{result.tool} reads lr_schedule from {SCHEDULE_SINCE} on"
        result.settings["lr_schedule"] = Value(None, Origin("derived", why=why), declared)
        result.ignored(parts[0], f"the constant learning_rate; {why}")
        return
    _undecided(parts[0], f"it reads lr_schedule from {SCHEDULE_SINCE} on", versions, result)
    why = f"the version decides whether it was read, and {versions.told}"
    result.settings["lr_schedule"] = Value.unknown(why, declared)


def _legacy_alpha(told: Sources, versions: Range, result: Effective) -> None:
    """Before 0.14.2 the scale in effect was scale x alpha / rank; since then alpha is not read."""
    key = "lora_parameters.alpha"
    if key not in told.keys:
        return
    alpha, scale, rank = (
        told.first(key),
        result.settings["lora_parameters.scale"],
        result.settings["lora_parameters.rank"],
    )
    numbers = [value for value in (alpha.value, scale.value, rank.value) if isinstance(value, int | float) and value]
    if versions.at_least("0.14.2") is False and len(numbers) == 3:
        product = scale.value * alpha.value / rank.value
        why = f"scale {scale.value:g} x alpha {alpha.value:g} / rank {rank.value:g}, as mlx-lm before 0.14.2 has it"
        result.settings["lora_parameters.scale"] = Value(product, Origin("derived", alpha.place, why), scale.value)
    elif versions.at_least("0.14.2") is None:
        why = f"mlx-lm multiplied the scale by alpha / rank before 0.14.2, and the version {versions.told}"
        result.settings["lora_parameters.scale"] = Value.unknown(why, scale.value)
    elif same(alpha.value, 16) and alpha in told.record:
        return
    else:
        result.ignored(alpha)


def _dora(sources: Sources, versions: Range, result: Effective) -> None:
    if "use_dora" not in sources.keys:
        return
    told = sources.first("use_dora")
    if told.value is not True:
        return
    spans = [(versions.at_least(since), versions.at_least(before)) for since, before in _DORA_READ]
    if any(since is True and before is False for since, before in spans):
        result.settings["fine_tune_type"] = Value("dora", Origin("imported", told.place, "use_dora"))
    elif all(since is False or before is True for since, before in spans):
        result.ignored(told)
    else:
        _undecided(told, "it read use_dora from 0.13.1 to 0.14.1 and from 0.15.3 to 0.18", versions, result)
        why = f"the version decides whether use_dora was read, and {versions.told}"
        result.settings["fine_tune_type"] = Value.unknown(why, "dora")


def without_lora(result: Effective) -> None:
    """Where whole weights were trained there was no rank, scale, dropout or choice of layers, whatever a file says."""
    for key, value in result.settings.items():
        if key.startswith("lora_parameters"):
            said = value.value if value.origin.kind == "imported" else None
            result.settings[key] = Value(None, Origin("derived", value.origin.place, "fine_tune_type: full"), said)


def _switch(key: str, sources: Sources, versions: Range, result: Effective) -> None:
    """Keys that some versions read; a YAML's true does nothing where the command line's false stands."""
    told = next((item for item in sources.asked if item.key == key), None)
    dead = key != "wandb" or versions.at_least("0.28.3") is True
    if told is not None and told.value and dead:
        result.ignored(
            told, "a YAML can't switch it: the command line's default stands before it" if key != "wandb" else ""
        )


def mlx_validations(iters: int, every: int, versions: Range) -> int | None:
    """At iteration 1, at each multiple of steps_per_eval, and (from 0.4 on) at the last one."""
    if every < 1 or iters < 1:
        return None
    multiples = iters // every + (0 if every == 1 else 1)
    tail = 1 if iters % every and iters > 1 else 0
    last = versions.at_least("0.4.0")
    if last is None and tail:
        return None
    return multiples + (tail if last is not False else 0)


def around_the_update(versions: Range) -> str:
    """When a validation is made: up to 0.14.1 behind its iteration's update, from 0.14.2 on before it."""
    words: dict[bool | None, str] = {True: "before its iteration's update", False: "after its iteration's update"}
    return words.get(versions.at_least("0.14.2"), "around its iteration's update (before it from 0.14.2 on)")


def peak_memory(rows: tuple[MetricRow, ...], versions: Range) -> tuple[MetricRow, ...]:
    """Printed as GB in every version, but 2^30 bytes before 0.20 and 1e9 since; the rows come with that doubt."""
    recent = versions.at_least("0.20.0")
    return rows if recent is None else tuple(_without_doubt(row, recent=recent) for row in rows)


def _without_doubt(row: MetricRow, *, recent: bool) -> MetricRow:
    printed, width = row.peak_memory_bytes, row.rounding.get("peak_memory_bytes")
    if printed is None or width is None or width < printed * GIGABYTE_DOUBT:
        return row
    factor = 1.0 if recent else 1 + GIGABYTE_DOUBT
    rounding = {**row.rounding, "peak_memory_bytes": (width - printed * GIGABYTE_DOUBT) * factor}
    return replace(row, peak_memory_bytes=round(printed * factor), rounding=rounding)


def all_blocks_bug(versions: Range) -> bool | None:
    """From 0.19.0 to 0.21.4 a num_layers above 0 adapted every block (fixed in 0.21.5)."""
    early, fixed = versions.at_least("0.19.0"), versions.at_least("0.21.5")
    if early is False or fixed is True:
        return False
    return True if early is True and fixed is False else None


def declared_names() -> Mapping[str, str]:
    """Where people expect an ignored key to act: its setting."""
    return {
        "lora_rank": "lora_parameters.rank",
        "rank": "lora_parameters.rank",
        "r": "lora_parameters.rank",
        "lora_r": "lora_parameters.rank",
        "lora_dropout": "lora_parameters.dropout",
        "dropout": "lora_parameters.dropout",
        "lora_scale": "lora_parameters.scale",
        "scale": "lora_parameters.scale",
        "lora_alpha": "lora_parameters.scale",
        "alpha": "lora_parameters.scale",
        "lora_parameters.alpha": "lora_parameters.scale",
        "use_dora": "fine_tune_type",
        "lora_layers": "num_layers",
        "gradient_accumulation_steps": "grad_accumulation_steps",
        "eval_steps": "steps_per_eval",
        "epochs": "iters",
        "num_train_epochs": "iters",
        "max_steps": "iters",
        "target_modules": "lora_parameters.keys",
        "warmup_steps": "lr_schedule",
        "weight_decay": "optimizer_config",
    }


def believed(told: Told, result: Effective) -> Any:
    """The setting that whoever wrote an ignored key will have had in mind."""
    if told.key.rpartition(".")[2] in ("lora_alpha", "alpha"):
        setting = result.settings["lora_parameters.rank"]
        rank = setting.value if setting.declared is None else setting.declared
        numbers = isinstance(told.value, int | float) and isinstance(rank, int | float) and rank
        return told.value / rank if numbers else told.value
    if told.key == "use_dora":
        return "dora" if told.value is True else "lora"
    if told.key in ("epochs", "num_train_epochs"):
        return f"{told.value} epochs"
    return told.value
