"""Which layers an adapter sits on, and how many parameters that makes.

Owns: mlx-lm's rules for `num_layers` and `keys` (mlx_lm/tuner/utils.py linear_to_lora_layers), PEFT's short names, the
parameter arithmetic. Must not: create tensors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from runoff.config import Settings
from runoff.errors import ConfigError
from runoff.plan.model_facts import LinearLayer, ModelFacts

__all__ = ["AdapterSpec", "Slot", "adapted_blocks", "adapter_spec", "layout", "matches"]


@dataclass(frozen=True, slots=True)
class AdapterSpec:
    """An adapter's full shape. `scale` multiplies its output (PEFT: alpha / r)."""

    kind: Literal["lora", "dora"]
    rank: int
    scale: float
    dropout: float
    layers: tuple[LinearLayer, ...]

    @property
    def alpha(self) -> float:
        """PEFT's alpha for this scale."""
        return self.scale * self.rank

    @property
    def blocks(self) -> tuple[int, ...]:
        """Adapted blocks, ascending."""
        return tuple(sorted({layer.block for layer in self.layers}))

    @property
    def lowest_block(self) -> int:
        """Everything below this block is the trunk."""
        return min(layer.block for layer in self.layers)

    @property
    def keys(self) -> tuple[str, ...]:
        """Distinct layer names inside a block."""
        return tuple(sorted({layer.name for layer in self.layers}))

    @property
    def trainable_parameters(self) -> int:
        """rank x (in + out) for each layer; DoRA adds a magnitude for each output."""
        lora = sum(self.rank * (layer.in_features + layer.out_features) for layer in self.layers)
        return lora + (sum(layer.out_features for layer in self.layers) if self.kind == "dora" else 0)


def adapted_blocks(num_layers: int, blocks: int) -> range:
    """The last `num_layers` blocks; 0 and -1 mean all, as `layers[-max(n, 0):]` does in mlx-lm."""
    return range(blocks - num_layers if num_layers > 0 else 0, blocks)


def adapter_spec(settings: Settings, model: ModelFacts, place: str = "", keys_place: str = "") -> AdapterSpec:
    """The adapter that these settings make on this model; the places are of num_layers and of the keys.

    Raises:
        ConfigError: more blocks than the model has, or keys that match no layer.
    """
    if settings.num_layers > model.blocks:
        raise ConfigError(
            [f"{place}num_layers is {settings.num_layers}, but the model has {model.blocks} blocks. Write -1 for all."]
        )
    wanted = adapted_blocks(settings.num_layers, model.blocks)
    layers = [layer for layer in model.linear_layers if layer.block in wanted]
    lora = settings.lora_parameters
    if lora.keys is not None:
        layers = _matching(layers, lora.keys, keys_place)
    return AdapterSpec(settings.fine_tune_type, lora.rank, lora.scale, lora.dropout, tuple(layers))


def _matching(layers: Sequence[LinearLayer], keys: Sequence[str], place: str) -> list[LinearLayer]:
    names = sorted({layer.name for layer in layers})
    unmatched = [key for key in keys if not any(matches(name, key) for name in names)]
    if unmatched:
        raise ConfigError(
            [f"{place}lora_parameters.keys: {', '.join(unmatched)} match no layer. The blocks have {', '.join(names)}."]
        )
    return [layer for layer in layers if any(matches(layer.name, key) for key in keys)]


def matches(name: str, key: str) -> bool:
    """mlx-lm's full name inside the block, or PEFT's last part of it."""
    return name == key or name.endswith(f".{key}")


@dataclass(frozen=True, slots=True)
class Slot:
    """Where one adapter tensor lies in the flat vector of trainable parameters."""

    name: str
    layer: LinearLayer
    part: Literal["lora_a", "lora_b", "magnitude"]
    shape: tuple[int, ...]
    start: int

    @property
    def stop(self) -> int:
        """End of its range."""
        return self.start + math.prod(self.shape)


def layout(spec: AdapterSpec) -> tuple[Slot, ...]:
    """The order of all adapter tensors, the same on every engine: layer by layer A (rank, in), B (out, rank)."""
    slots: list[Slot] = []
    start = 0
    for layer in spec.layers:
        parts: list[tuple[Literal["lora_a", "lora_b", "magnitude"], tuple[int, ...]]] = [
            ("lora_a", (spec.rank, layer.in_features)),
            ("lora_b", (layer.out_features, spec.rank)),
        ]
        if spec.kind == "dora":
            parts.append(("magnitude", (layer.out_features,)))
        for part, shape in parts:
            slots.append(Slot(f"layers.{layer.block}.{layer.name}.{part}", layer, part, shape, start))
            start = slots[-1].stop
    return tuple(slots)
