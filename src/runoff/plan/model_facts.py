"""What a plan has to know of a base model, from its config.json and tensor headers.

Owns: block count, linear layers, parameter counts. Must not: load weights or an engine.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runoff.errors import ModelError
from runoff.files import read_json_object
from runoff.plan.tensors import TensorInfo, read_header

__all__ = ["BlockTensor", "LinearLayer", "ModelFacts", "read_model_facts"]

_IN_BLOCK = re.compile(r"^(?:.*\.)?layers\.(\d+)\.(.+)$")
_BUFFER = re.compile(r"\binv_freq$")
"""Kept by old files among the weights; no library trains it."""
_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I8": 1, "U8": 1, "U32": 4, "I32": 4, "I64": 8}


@dataclass(frozen=True, slots=True)
class LinearLayer:
    """A matrix that an adapter can sit on. `name` is relative to its block: `self_attn.q_proj`."""

    block: int
    name: str
    in_features: int
    out_features: int


@dataclass(frozen=True, slots=True)
class BlockTensor:
    """A parameter of a block. `name` is relative to its block: `self_attn.q_proj.weight`, `input_layernorm.weight`."""

    block: int
    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """One base model. `weight_bytes` is their size on disk; `block_tensors` are all parameters of the blocks."""

    folder: Path
    model_type: str
    blocks: int
    hidden_size: int
    vocabulary: int
    context_length: int | None
    parameters: int
    weight_bytes: int
    linear_layers: tuple[LinearLayer, ...]
    quantized: bool
    sha256: str
    block_tensors: tuple[BlockTensor, ...] = ()


def read_model_facts(folder: Path) -> ModelFacts:
    """Read config.json and every safetensors header in a model folder.

    Raises:
        ModelError: a file is missing or broken, or the blocks can't be recognised.
    """
    config = _read_config(folder / "config.json")
    tensors: dict[str, TensorInfo] = {}
    files = _weight_files(folder)
    if not files:
        raise ModelError(f"{folder}: has no .safetensors weights. Run: runoff model get NAME.")
    for file in files:
        tensors |= read_header(file)
    quantization = config.get("quantization") or config.get("quantization_config")
    bits = _whole(quantization.get("bits")) if isinstance(quantization, dict) else 0
    layers, inside = [], []
    for name, tensor in tensors.items():
        match = _IN_BLOCK.match(name)
        if match is None or _BUFFER.search(name):
            continue
        inside.append(BlockTensor(int(match[1]), match[2], tensor.shape))
        if match[2].endswith(".weight") and len(tensor.shape) == 2:
            packed = 32 // bits if bits and tensor.dtype == "U32" else 1
            layer = match[2].removesuffix(".weight")
            layers.append(LinearLayer(int(match[1]), layer, tensor.shape[1] * packed, tensor.shape[0]))
    blocks = _whole(config.get("num_hidden_layers"))
    if not blocks or not layers:
        raise ModelError(
            f"{folder}: the blocks of this {config.get('model_type', 'unknown')} model can't be recognised "
            "(no num_hidden_layers in config.json, or no `layers.N.*.weight` tensors). Use another model."
        )
    return ModelFacts(
        folder=folder,
        model_type=str(config.get("model_type", "unknown")),
        blocks=blocks,
        hidden_size=_whole(config.get("hidden_size")),
        vocabulary=_whole(config.get("vocab_size")),
        context_length=config.get("max_position_embeddings"),
        parameters=sum(_parameters(tensor.shape, tensor.dtype, bits) for tensor in tensors.values()),
        weight_bytes=sum(math.prod(t.shape) * _BYTES.get(t.dtype, 2) for t in tensors.values()),
        linear_layers=tuple(sorted(layers, key=lambda layer: (layer.block, layer.name))),
        quantized=bool(quantization),
        sha256=_fingerprint(folder / "config.json", files),
        block_tensors=tuple(sorted(inside, key=lambda tensor: (tensor.block, tensor.name))),
    )


def _weight_files(folder: Path) -> list[Path]:
    """What transformers and mlx_lm load; other .safetensors may hold the same weights in another form, or adapters."""
    index, whole = folder / "model.safetensors.index.json", folder / "model.safetensors"
    if index.exists():
        try:
            names = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
            return sorted(folder / str(name) for name in names)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"{index}: is not a list of weight files ({error}). Get the model again.") from None
    return [whole] if whole.exists() else sorted(folder.glob("*.safetensors"))


def _fingerprint(config: Path, files: list[Path]) -> str:
    """Identity of the weights without reading gigabytes: the configuration, and of each file its size, its first MiB
    (which holds the header) and 64 samples of 4 KiB spread over the rest.
    """
    digest = hashlib.sha256(config.read_bytes())
    for path in files:
        size = path.stat().st_size
        digest.update(f"{path.name} {size}".encode())
        with path.open("rb") as file:
            digest.update(file.read(1 << 20))
            for part in range(64):
                file.seek(size * part // 64)
                digest.update(file.read(4096))
    return digest.hexdigest()


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _parameters(shape: tuple[int, ...], dtype: str, bits: int) -> int:
    return math.prod(shape) * (32 // bits if bits and dtype == "U32" else 1)


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = read_json_object(path, ModelError)
    except FileNotFoundError:
        raise ModelError(
            f"{path.parent}: is not a model folder (no config.json). Run: runoff model get NAME."
        ) from None
    text = config.get("text_config")
    return {**config, **text} if isinstance(text, dict) else config
