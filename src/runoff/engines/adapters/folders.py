"""Adapter folders: PEFT's and mlx-lm's, to and from (AdapterSpec, flat vector).

Owns: names, shapes, transposes and scales of both formats. Must not: import a tensor library: safetensors and numpy
suffice. PEFT stores A as (rank, in) and B as (out, rank); mlx-lm stores lora_a (in, rank) and lora_b (rank, out); ours
are PEFT's shapes. What neither can hold for the other is in engines/adapters/refusals.py.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from runoff.engines.adapters.full import assemble_full, write_full
from runoff.engines.adapters.refusals import MLX_REFUSALS, PEFT_REFUSALS, refuse_config, refuse_tensor
from runoff.engines.adapters.tensor_files import Array, read_tensors, write_tensors
from runoff.engines.base import Vector
from runoff.errors import ModelError
from runoff.files import read_json_object, write_json
from runoff.plan import AdapterSpec, FullSpec, LoraSpec, ModelFacts, Slot, layout
from runoff.plan.tensors import read_header

__all__ = ["adapter_config", "read_adapter", "read_lora", "tensor_names", "write_mlx", "write_peft"]

_PEFT_PARTS = {"lora_a": "lora_A.weight", "lora_b": "lora_B.weight", "magnitude": "lora_magnitude_vector"}
_TENSOR = re.compile(
    r"^(?:base_model\.model\.)?(?:model\.|language_model\.)*layers\.(\d+)\.(.+?)\."
    r"(lora_A\.weight|lora_B\.weight|lora_magnitude_vector(?:\.weight)?|lora_a|lora_b|m)$"
)
_PARTS = {"lora_A.weight": "lora_a", "lora_B.weight": "lora_b", "m": "magnitude"}
_FILES = ("adapter_model.safetensors", "adapters.safetensors")
_OLD_FILES = {
    "adapter_model.bin": "Load it with PEFT and save it again, which writes safetensors",
    "adapters.npz": "mlx-lm before 0.6 wrote it, without its settings; train anew, or save it as safetensors by hand",
}
ScaleOf = Callable[[int, str, int], float]
"""Block, layer name and rank to scale."""


def write_peft(folder: Path, spec: LoraSpec, parameters: Vector, base_model: str) -> None:
    """Write adapter_model.safetensors and adapter_config.json as PeftModel.from_pretrained reads them."""
    tensors = {}
    for slot in layout(spec):
        name = f"base_model.model.model.layers.{slot.block}.{slot.module}.{_PEFT_PARTS[slot.part]}"
        tensors[name] = parameters[slot.start : slot.stop].reshape(slot.shape)
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base_model,
        "r": spec.rank,
        "lora_alpha": int(spec.alpha) if spec.alpha == int(spec.alpha) else spec.alpha,
        "lora_dropout": spec.dropout,
        **_peft_targets(spec),
        "use_dora": spec.kind == "dora",
        "use_rslora": False,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "modules_to_save": None,
    }
    _write(folder, "adapter_model.safetensors", tensors, config)


def _peft_targets(spec: LoraSpec) -> dict[str, Any]:
    """Each name in each block, where that is what is adapted; else (PEFT would make the layers between) in full."""
    if len(spec.layers) == len(spec.blocks) * len(spec.keys):
        names = sorted({key.rpartition(".")[2] for key in spec.keys})
        return {"target_modules": names, "layers_to_transform": list(spec.blocks), "layers_pattern": "layers"}
    return {"target_modules": [f"model.layers.{layer.block}.{layer.name}" for layer in spec.layers]}


def write_mlx(
    folder: Path, spec: AdapterSpec, parameters: Vector, base_model: str, blocks: int, dtype: str = "float32"
) -> None:
    """Write adapters.safetensors and adapter_config.json as mlx_lm's --adapter-path reads them.

    dtype: the type that the base computes in, which whole weights are kept in; low-rank matrices are always float32.
    """
    if isinstance(spec, FullSpec):
        write_full(folder, spec, parameters, base_model, blocks, dtype)
        return
    tensors = {}
    parts = {"lora_a": "lora_a", "lora_b": "lora_b", "magnitude": "m"}
    for slot in layout(spec):
        array = parameters[slot.start : slot.stop].reshape(slot.shape)
        name = f"model.layers.{slot.block}.{slot.module}.{parts[slot.part]}"
        tensors[name] = np.ascontiguousarray(array.T)
    config = {
        "fine_tune_type": spec.kind,
        "model": base_model,
        "num_layers": blocks - spec.lowest_block,
        "lora_parameters": {"rank": spec.rank, "scale": spec.scale, "dropout": spec.dropout, "keys": list(spec.keys)},
    }
    _write(folder, "adapters.safetensors", tensors, config)


def _write(folder: Path, name: str, tensors: Mapping[str, Array], config: Mapping[str, Any]) -> None:
    write_tensors(folder / name, tensors)
    write_json(folder / "adapter_config.json", config)


def read_adapter(folder: Path, model: ModelFacts) -> tuple[AdapterSpec, Vector]:
    """Read an adapter folder of either format for this base, or one .safetensors file in such a folder; whole weights
    too (engines/full_weights.py).

    Ranks that differ from layer to layer are padded with zeros and scales folded into B, which changes no product.

    Raises:
        ModelError: not an adapter, not for this base, nan inside, or something that can't be carried over, by name.
    """
    path = _weights(folder)
    config = adapter_config(folder)
    tensors = read_tensors(path)
    is_peft = "peft_type" in config or any(".lora_A." in name for name in tensors)
    if config.get("fine_tune_type") == "full":
        return assemble_full(tensors, model, path)
    refuse_config(PEFT_REFUSALS if is_peft else MLX_REFUSALS, config, path.parent)
    found: dict[tuple[int, str], dict[str, Array]] = {}
    for name, array in tensors.items():
        refuse_tensor(name, path)
        match = _TENSOR.match(name)
        if not match:
            raise ModelError(f"{path}: tensor {name} is not a LoRA matrix of a block, so this adapter can't be read.")
        part = _PARTS.get(match[3], "magnitude" if match[3].startswith("lora_magnitude") else match[3])
        found.setdefault((int(match[1]), match[2]), {})[part] = array if is_peft else array.T
    _check_agreement(config, found, path)
    scale_of = _peft_scales(config) if is_peft else _mlx_scale(config)
    return _assemble(found, scale_of, model, path, _dropout(config, is_peft))


def _check_agreement(
    config: Mapping[str, Any], found: Mapping[tuple[int, str], Mapping[str, Array]], path: Path
) -> None:
    """Refuse settings that these tensors can't have been trained with.

    PEFT stops at another rank; a missing magnitude it, like mlx-lm, would take from the base, which is no plain LoRA.
    """
    alpha = config.get("lora_alpha", 8)
    if isinstance(alpha, bool) or not isinstance(alpha, int | float):
        raise ModelError(f"{path.parent}: lora_alpha is {alpha!r}, but must be a number: write in what it was.")
    claims = config.get("use_dora", {"dora": True, "lora": False}.get(str(config.get("fine_tune_type"))))
    has = any("magnitude" in parts for parts in found.values())
    if claims is not None and bool(claims) != has:
        kind, holds = ("DoRA", "no magnitudes") if claims else ("LoRA", "DoRA's magnitudes")
        raise ModelError(f"{path}: holds {holds}, but adapter_config.json says {kind}. They don't belong together.")
    for (block, name), parts in found.items():
        layer = f"model.layers.{block}.{name}"
        says = _pattern(config.get("rank_pattern"), layer, config.get("r"))
        if says is not None and "lora_a" in parts and parts["lora_a"].shape[0] != says:
            raise ModelError(
                f"{path}: {layer} has rank {parts['lora_a'].shape[0]}, but adapter_config.json says r: {says}. They "
                "don't belong together."
            )


def read_lora(folder: Path, model: ModelFacts) -> tuple[LoraSpec, Vector]:
    """The same for what PEFT can hold too.

    Raises:
        ModelError: as `read_adapter`; or the folder holds whole weights.
    """
    spec, parameters = read_adapter(folder, model)
    if isinstance(spec, FullSpec):
        raise ModelError(
            f"{folder}: holds whole weights (fine_tune_type: full), and PEFT has no such "
            "adapter. transformers and mlx-lm load the file as it is: see docs/adapters.md."
        )
    return spec, parameters


def tensor_names(folder: Path) -> tuple[str, ...]:
    """Names of an adapter's tensors, without reading them."""
    return tuple(read_header(_weights(folder)))


def adapter_config(folder: Path) -> dict[str, Any]:
    """The adapter_config.json of a folder, or of the folder that a .safetensors file is in.

    Raises:
        ModelError: there is none, or it can't be read.
    """
    path = (folder.parent if folder.suffix == ".safetensors" else folder) / "adapter_config.json"
    if not folder.exists():
        raise ModelError(f"{folder}: there is no such adapter.")
    try:
        return read_json_object(path, ModelError)
    except FileNotFoundError:
        hint = _inside(path.parent)
        raise ModelError(
            f"{path.parent}: has no adapter_config.json, so the adapter's scale is unknown.{hint}"
        ) from None


def _inside(folder: Path) -> str:
    """Where the adapter is, if a run's folder was named in its place."""
    inner = folder / "adapter"
    return f" It is a run: name {inner}." if (inner / "adapter_config.json").exists() else ""


def _weights(folder: Path) -> Path:
    if folder.suffix == ".safetensors":
        return folder
    if not folder.exists():
        raise ModelError(f"{folder}: there is no such adapter.")
    found = next((folder / name for name in _FILES if (folder / name).exists()), None)
    if found is None:
        old = next((name for name in _OLD_FILES if (folder / name).exists()), None)
        if old:
            raise ModelError(f"{folder}: {old} is of a kind that is not read here. {_OLD_FILES[old]}.")
        raise ModelError(f"{folder}: holds no adapter (neither {' nor '.join(_FILES)}).{_inside(folder)}")
    return found


def _assemble(
    found: Mapping[tuple[int, str], Mapping[str, Array]],
    scale_of: ScaleOf,
    model: ModelFacts,
    path: Path,
    dropout: float,
) -> tuple[LoraSpec, Vector]:
    known = {(layer.block, layer.name): layer for layer in model.linear_layers}
    foreign = [f"layers.{block}.{name}" for block, name in found if (block, name) not in known]
    if foreign:
        raise ModelError(
            f"{path}: adapts {foreign[0]}, which {model.folder.name} does not have. It belongs to another base."
        )
    if not found:
        raise ModelError(f"{path}: holds no tensors.")
    layers = sorted((known[key] for key in found), key=lambda layer: (layer.block, layer.name))
    ranks = {key: parts["lora_a"].shape[0] for key, parts in found.items() if "lora_a" in parts}
    scales = {key: scale_of(key[0], key[1], ranks.get(key, 1)) for key in found}
    rank, scale = max(ranks.values(), default=0), max(scales.values(), key=abs)
    dora = any("magnitude" in parts for parts in found.values())
    spec = LoraSpec("dora" if dora else "lora", rank, scale, dropout, tuple(layers))
    slots = layout(spec)
    flat = np.zeros(slots[-1].stop, dtype=np.float32)
    for slot in slots:
        key = (slot.block, slot.module)
        flat[slot.start : slot.stop] = _padded(found[key], slot, scales[key] / scale if scale else 0.0, path).ravel()
    return spec, flat


def _padded(parts: Mapping[str, Array], slot: Slot, factor: float, path: Path) -> Array:
    array = parts.get(slot.part)
    if array is None:
        raise ModelError(f"{path}: {slot.name} is missing, so the adapter is half an adapter.")
    array = array.astype(np.float32).reshape(slot.shape if slot.part == "magnitude" else array.shape)
    fits = all(have <= want for have, want in zip(array.shape, slot.shape, strict=False)) and array.ndim == len(
        slot.shape
    )
    outer = 0 if slot.part == "lora_b" else -1
    if not fits or (slot.part != "magnitude" and array.shape[outer] != slot.shape[outer]):
        raise ModelError(
            f"{path}: {slot.name} is {array.shape}, but the base needs {slot.shape}. It belongs to another base."
        )
    if not np.isfinite(array).all():
        raise ModelError(f"{path}: {slot.name} holds nan or inf: the training broke. Use an earlier checkpoint.")
    whole = np.zeros(slot.shape, dtype=np.float32)
    whole[tuple(slice(0, size) for size in array.shape)] = array * (factor if slot.part == "lora_b" else 1.0)
    return whole


def _peft_scales(config: Mapping[str, Any]) -> ScaleOf:
    """The rank is the tensors' own, which is what rank_pattern made it."""

    def scale(block: int, name: str, rank: int) -> float:
        full = f"model.layers.{block}.{name}"
        alpha = _pattern(config.get("alpha_pattern"), full, config.get("lora_alpha", 8))
        return float(alpha) / (math.sqrt(rank) if config.get("use_rslora") else rank)

    return scale


def _pattern(patterns: Any, name: str, default: Any) -> Any:
    """PEFT's rank_pattern and alpha_pattern: regular expressions on the end of the name, the first match holds."""
    for pattern, value in (patterns or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", name):
            return value
    return default


def _mlx_scale(config: Mapping[str, Any]) -> ScaleOf:
    scale = float(config["lora_parameters"]["scale"])
    return lambda _block, _name, _rank: scale


def _dropout(config: Mapping[str, Any], is_peft: bool) -> float:
    return float(
        (config if is_peft else config.get("lora_parameters") or {}).get("lora_dropout" if is_peft else "dropout", 0.0)
    )
