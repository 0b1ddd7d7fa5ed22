"""The folder of a full fine-tuning: the trained parameters themselves, in mlx-lm's form on every engine.

Owns: its names and settings. mlx-lm's commands load it as it is (mlx_lm/tuner/utils.py load_adapters); transformers
has the same names, so there `load_state_dict(..., strict=False)` does. PEFT has no such adapter: its `modules_to_save`
comes only beside low-rank matrices on some other layer. Must not: import a tensor library.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from runoff.engines.adapters.tensor_files import Array, write_tensors
from runoff.engines.base import Vector
from runoff.errors import ModelError
from runoff.files import write_json
from runoff.plan import BlockTensor, FullSpec, ModelFacts, layout

__all__ = ["assemble_full", "write_full"]

_PREFIX = re.compile(r"^(?:model\.|language_model\.)*")


def write_full(folder: Path, spec: FullSpec, parameters: Vector, base_model: str, blocks: int, dtype: str) -> None:
    """Write adapters.safetensors, in the type that the base computes in, and adapter_config.json."""
    tensors = {f"model.{slot.name}": parameters[slot.start : slot.stop].reshape(slot.shape) for slot in layout(spec)}
    write_tensors(folder / "adapters.safetensors", tensors, dtype)
    config = {
        "fine_tune_type": spec.kind,
        "model": base_model,
        "num_layers": blocks - spec.lowest_block,
        "lora_parameters": None,
    }
    write_json(folder / "adapter_config.json", config)


def assemble_full(tensors: Mapping[str, Array], model: ModelFacts, path: Path) -> tuple[FullSpec, Vector]:
    """The shape and the flat vector of the tensors in a file.

    Raises:
        ModelError: they are not parameters of this base's blocks, or not numbers.
    """
    known = {f"layers.{tensor.block}.{tensor.name}": tensor for tensor in model.block_tensors}
    found: dict[BlockTensor, Array] = {}
    for name, array in tensors.items():
        tensor = known.get(_PREFIX.sub("", name))
        if tensor is None and "layers." not in name:
            raise ModelError(
                f"{path}: tensor {name} lies outside of the blocks, and a run's own weights are kept for blocks alone. "
                "Use mlx_lm.fuse, and the fused folder as a model."
            )
        if tensor is None or tensor.shape != array.shape:
            raise ModelError(
                f"{path}: holds {name} of shape {array.shape}, which {model.folder.name} does not have. It belongs to "
                "another base."
            )
        if not np.isfinite(array).all():
            raise ModelError(f"{path}: {name} holds nan or inf: the training broke. Use an earlier checkpoint.")
        found[tensor] = array
    if not found:
        raise ModelError(f"{path}: holds no tensors.")
    spec = FullSpec(tuple(sorted(found, key=lambda tensor: (tensor.block, tensor.name))))
    return spec, np.concatenate([found[tensor].ravel() for tensor in spec.tensors])
