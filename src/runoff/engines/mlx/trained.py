"""What the MLX engine puts in the place of a base's modules: adapter layers around linear ones, or a run's own blocks.

Owns: making them, and which of their parameters train. Must not: put them in.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import mlx.core as mx
from mlx import nn
from mlx.utils import tree_flatten
from mlx_lm.tuner.dora import DoRALinear
from mlx_lm.tuner.lora import LoRALinear

from runoff.errors import EngineError
from runoff.plan import AdapterSpec, FullSpec, LoraSpec, layout
from runoff.plan.adapter import Slot

__all__ = ["Modules", "key_of", "replaced"]

Modules = dict[str, Any]
"""By their names in the inner model."""

_PARTS = {"lora_a": "lora_a", "lora_b": "lora_b", "magnitude": "m"}


def replaced(inner: Any, spec: AdapterSpec | None) -> tuple[Modules, Modules]:
    """The base's own modules, and what takes their place.

    Raises:
        EngineError: the model has no such modules.
    """
    if spec is None:
        return {}, {}
    if isinstance(spec, FullSpec):
        originals = {f"layers.{block}": inner.layers[block] for block in spec.blocks}
        return originals, _own_blocks(originals, spec)
    originals = _linear_layers(inner, spec)
    return originals, {name: _adapted(layer, spec) for name, layer in originals.items()}


def key_of(slot: Slot, order: Mapping[str, int]) -> str:
    """Where a trained tensor is in a tree of the modules put in, which stand in this order."""
    if slot.part == "whole":
        inside = ".".join(filter(None, (slot.module, slot.tensor)))
        return f"layers.{order[f'layers.{slot.block}']}.{inside}"
    return f"layers.{order[f'layers.{slot.block}.{slot.module}']}.{_PARTS[slot.part]}"


def _own_blocks(originals: Modules, spec: FullSpec) -> Modules:
    """Copies of the blocks. A parameter that is not in the spec stays frozen."""
    own: Modules = {name: copy.deepcopy(block) for name, block in originals.items()}
    for slot in layout(spec):
        block = own[f"layers.{slot.block}"]
        held = dict(tree_flatten(block.parameters())).get(".".join(filter(None, (slot.module, slot.tensor))))
        if held is None or held.shape != slot.shape:
            raise EngineError(
                f"MLX has no tensor {slot.name} of shape {slot.shape} in this model, so its blocks can't be trained "
                "whole. Set fine_tune_type: lora, or engine: torch."
            )
        dict(block.named_modules())[slot.module].unfreeze(keys=[slot.tensor], recurse=False)
    return own


def _linear_layers(inner: Any, spec: LoraSpec) -> Modules:
    """The base's own layers that the adapter goes on."""
    found = {}
    modules = dict(inner.named_modules())
    for layer in spec.layers:
        name = f"layers.{layer.block}.{layer.name}"
        if not isinstance(modules.get(name), nn.Linear | nn.QuantizedLinear):
            raise EngineError(
                f"MLX has no plain linear layer {layer.name} in block {layer.block} of this model. "
                "Name others under lora_parameters.keys, or set engine: torch."
            )
        found[name] = modules[name]
    return found


def _adapted(linear: Any, spec: LoraSpec) -> Any:
    """mlx_lm's adapter layer around a layer; all zero but DoRA's magnitudes, which come from the base."""
    kind = DoRALinear if spec.kind == "dora" else LoRALinear
    layer = kind.from_base(linear, r=spec.rank, dropout=spec.dropout, scale=spec.scale)
    layer.lora_a = mx.zeros_like(layer.lora_a)
    return layer
