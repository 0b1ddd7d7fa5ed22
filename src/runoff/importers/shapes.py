"""What was adapted: by the adapter's tensors, else by what the log prints, else by the model's known shape.

Must not: read files or apply a tool's rules to settings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from runoff.config import Origin
from runoff.importers.counts import Evidence, derived, missing
from runoff.importers.known_models import KnownModel, known_model
from runoff.importers.rules_mlx_lm import all_blocks_bug
from runoff.plan.adapter import adapted_blocks
from runoff.runs import Value

__all__ = ["shape_counts"]


def shape_counts(evidence: Evidence) -> dict[str, Value]:
    """What was adapted: by the tensors, else by the log's own print, else by the model's known shape."""
    name = evidence.setting("model")
    model = known_model(name) if isinstance(name, str) else None
    reason = f"the shape of {name} is not known here" if name else "no file names the base model"
    counts = {
        "blocks": derived(model.blocks, f"{name}'s own") if model else Value.unknown(reason),
        "base_parameters": derived(model.parameters, f"{name}'s own")
        if model
        else evidence.given("base_parameters") or Value.unknown(reason),
    }
    counts |= _adapted(evidence, model, reason)
    if evidence.setting("fine_tune_type") == "full":
        return counts
    rank, scale = evidence.setting("lora_parameters.rank"), evidence.setting("lora_parameters.scale")
    counts["scale"] = evidence.effective.settings.get("lora_parameters.scale", Value.unknown("no file says it"))
    numbers = isinstance(rank, int | float) and isinstance(scale, int | float)
    counts["alpha"] = (
        derived(scale * rank, f"scale {scale:g} x rank {rank:g}")
        if numbers
        else missing({"rank": rank, "scale": scale})
    )
    if numbers and "the root of" in (counts["scale"].origin.why or ""):
        asked = round(scale * math.sqrt(rank), 6)
        counts["alpha"] = replace(counts["alpha"], declared=asked)  # rsLoRA divides it by the root of the rank
    return counts


def _adapted(evidence: Evidence, model: KnownModel | None, reason: str) -> dict[str, Value]:
    if evidence.tensors is not None:
        tensors, origin = evidence.tensors, Origin("imported", evidence.tensors.place, "the adapter's own tensors")
        return {
            "adapted_blocks": Value(len(tensors.blocks), origin),
            "lowest_adapted_block": Value(min(tensors.blocks), origin),
            "adapted_layers": Value(", ".join(tensors.layers), origin),
            "trainable_parameters": _trained(evidence, origin),
        }
    blocks = _blocks(evidence, model, reason)
    chosen = evidence.setting("layers_to_transform") is not None
    lowest = (
        derived(min(blocks), "layers_to_transform" if chosen else "counted from the last block")
        if not isinstance(blocks, Value) and (model or chosen)
        else Value.unknown(reason)
    )
    adapted = blocks if isinstance(blocks, Value) else derived(len(blocks), "num_layers in force")
    printed = evidence.given("trainable_parameters")
    computed = _trainable(evidence, model, blocks)
    if (
        printed
        and computed.known
        and abs(printed.value - computed.value) > (evidence.told["trainable_parameters"].rounding or 0.5) * 1.001
    ):
        computed = printed
    return {
        "adapted_blocks": adapted,
        "lowest_adapted_block": lowest,
        "adapted_layers": _layer_names(evidence, model),
        "trainable_parameters": computed if computed.known or printed is None else printed,
    }


def _trained(evidence: Evidence, origin: Origin) -> Value:
    """The adapter's own, and whole weights that modules_to_save names."""
    tensors, saved = evidence.tensors, evidence.effective.settings.get("modules_to_save")
    if tensors is None or (tensors.whole_parameters and saved is None):
        return Value.unknown("whole weights lie beside the adapter, and no file says whether they were trained")
    return Value(tensors.trainable_parameters + (tensors.whole_parameters if saved and saved.value else 0), origin)


def _blocks(evidence: Evidence, model: KnownModel | None, reason: str) -> Sequence[int] | Value:
    chosen = evidence.setting("layers_to_transform")
    if chosen:
        held = [block for block in chosen if model is None or block < model.blocks]
        return held or Value.unknown(f"the base has no block of layers_to_transform {chosen}"[:200])
    wanted = evidence.whole("num_layers")
    if wanted is None:
        return evidence.effective.settings.get("num_layers") or Value.unknown(
            "no file says how many blocks were adapted"
        )
    bug = all_blocks_bug(evidence.versions) if evidence.effective.tool == "mlx-lm" else False
    if bug is None:
        return Value.unknown(
            "mlx-lm 0.19.0 to 0.21.4 adapted every block whatever num_layers said; the version decides", wanted
        )
    if model is None:
        return range(wanted) if not bug and wanted > 0 and _began(evidence) else Value.unknown(reason, wanted)
    if bug:
        return range(model.blocks) if wanted > 0 else range(1, model.blocks)
    return (
        adapted_blocks(wanted, model.blocks)
        if wanted <= model.blocks
        else Value.unknown(f"num_layers {wanted} is more than the model has")
    )


def _began(evidence: Evidence) -> bool:
    """It trained, or wrote its record: mlx-lm stops before both where num_layers is more than the model has."""
    place = evidence.effective.settings["num_layers"].origin.place or ""
    return place.rpartition(":")[0].endswith("adapter_config.json") or any(row.kind == "train" for row in evidence.rows)


def _keys(evidence: Evidence) -> tuple[str, ...] | Value | None:
    value = evidence.effective.settings.get("lora_parameters.keys")
    if value is None or not value.known:
        return value or Value.unknown("which layers were adapted is unknown")
    if isinstance(value.value, str) and " and " in value.value:
        return tuple(value.value.split(" and "))
    if isinstance(value.value, str) and value.value not in ("all", "all-linear"):
        return tuple(part.strip() for part in value.value.split(","))
    return tuple(map(str, value.value)) if isinstance(value.value, list | tuple) else None


def _layer_names(evidence: Evidence, model: KnownModel | None) -> Value:
    keys = _keys(evidence)
    if evidence.setting("fine_tune_type") == "full":
        return derived("all weights and norms", "fine_tune_type: full")
    if isinstance(keys, Value):
        return keys
    if keys is not None:
        return derived(", ".join(keys), "lora_parameters.keys")
    if model is None:
        return derived("every linear layer", "the tool's default")
    return derived(", ".join(sorted({layer.name for layer in model.layers})), "every linear layer")


def _trainable(evidence: Evidence, model: KnownModel | None, blocks: Sequence[int] | Value) -> Value:
    rank, keys, kind = evidence.whole("lora_parameters.rank"), _keys(evidence), evidence.setting("fine_tune_type")
    if (
        model is None
        or rank is None
        or isinstance(blocks, Value)
        or isinstance(keys, Value)
        or kind not in ("lora", "dora")
    ):
        wanted = {
            "the model's shape": model,
            "rank": rank,
            "num_layers": None if isinstance(blocks, Value) else blocks,
            "the adapted layers": None if isinstance(keys, Value) else 1,
            "fine_tune_type": kind,
        }
        return (
            missing(wanted)
            if None in wanted.values()
            else Value.unknown(f"fine_tune_type {kind} has no rank to count by")
        )
    layers = [layer for layer in model.layers if layer.block in blocks and _matches(layer.name, keys)]
    total = sum(rank * (layer.in_features + layer.out_features) for layer in layers)
    total += sum(layer.out_features for layer in layers) if kind == "dora" else 0
    return derived(total, f"rank {rank} on {len(layers)} layers of {len({layer.block for layer in layers})} blocks")


def _matches(name: str, keys: tuple[str, ...] | None) -> bool:
    """mlx-lm's name inside the block, or PEFT's last part of it."""
    return keys is None or any(name == key or name.endswith(f".{key}") for key in keys)
