"""What a run trains, and how many parameters that is: low-rank adapters on layers, or whole blocks.

Owns: mlx-lm's rules for `num_layers` and `keys` (mlx_lm/tuner/utils.py linear_to_lora_layers; lora.py for `full`),
PEFT's short names, the parameter arithmetic. Must not: create tensors.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from runoff.config import Settings
from runoff.errors import ConfigError
from runoff.plan.model_facts import BlockTensor, LinearLayer, ModelFacts

__all__ = ["AdapterSpec", "FullSpec", "LoraSpec", "Slot", "adapted_blocks", "adapter_spec", "layout", "matches"]


@dataclass(frozen=True, slots=True)
class LoraSpec:
    """A LoRA or DoRA adapter's full shape. `scale` multiplies its output (PEFT: alpha / r)."""

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
        return _blocks(self.layers)

    @property
    def lowest_block(self) -> int:
        """Everything below this block is the trunk."""
        return self.blocks[0]

    @property
    def keys(self) -> tuple[str, ...]:
        """Distinct layer names inside a block."""
        return tuple(sorted({layer.name for layer in self.layers}))

    @property
    def trainable_parameters(self) -> int:
        """rank x (in + out) for each layer; DoRA adds a magnitude for each output."""
        lora = sum(self.rank * (layer.in_features + layer.out_features) for layer in self.layers)
        return lora + (sum(layer.out_features for layer in self.layers) if self.kind == "dora" else 0)

    def __str__(self) -> str:
        """In a few words."""
        return f"{self.kind}, rank {self.rank}, scale {self.scale:g} (alpha {self.alpha:g}), dropout {self.dropout:g}"


@dataclass(frozen=True, slots=True)
class FullSpec:
    """Whole parameters of the last blocks, trained themselves. The run's copies of them are its adapter."""

    tensors: tuple[BlockTensor, ...]

    @property
    def kind(self) -> Literal["full"]:
        """As `fine_tune_type` has it."""
        return "full"

    @property
    def blocks(self) -> tuple[int, ...]:
        """Trained blocks, ascending."""
        return _blocks(self.tensors)

    @property
    def lowest_block(self) -> int:
        """Everything below this block is the trunk."""
        return self.blocks[0]

    @property
    def keys(self) -> tuple[str, ...]:
        """Distinct parts of a block that have trained parameters."""
        return tuple(sorted({tensor.name.rpartition(".")[0] for tensor in self.tensors}))

    @property
    def trainable_parameters(self) -> int:
        """Every number in the tensors."""
        return sum(math.prod(tensor.shape) for tensor in self.tensors)

    def __str__(self) -> str:
        """In a few words."""
        return "full, all weights and norms"


AdapterSpec = LoraSpec | FullSpec
"""What a run trains on top of a base that stays as it is."""


def _blocks(parts: Iterable[LinearLayer | BlockTensor]) -> tuple[int, ...]:
    return tuple(sorted({part.block for part in parts}))


def adapted_blocks(num_layers: int, blocks: int) -> range:
    """The last `num_layers` blocks; 0 and -1 mean all, as `layers[-max(n, 0):]` does in mlx-lm."""
    return range(blocks - num_layers if num_layers > 0 else 0, blocks)


def adapter_spec(settings: Settings, model: ModelFacts, place: str = "", keys_place: str = "") -> AdapterSpec:
    """What these settings train on this model; the places are of num_layers and of the keys.

    Raises:
        ConfigError: more blocks than the model has, keys that match no layer, or whole blocks that can't be trained.
    """
    if settings.num_layers > model.blocks:
        raise ConfigError(
            [f"{place}num_layers is {settings.num_layers}, but the model has {model.blocks} blocks. Write -1 for all."]
        )
    wanted = adapted_blocks(settings.num_layers, model.blocks)
    if settings.fine_tune_type == "full":
        return _full(model, wanted)
    layers = [layer for layer in model.linear_layers if layer.block in wanted]
    lora = settings.lora_parameters
    if lora.keys is not None:
        layers = _matching(layers, lora.keys, keys_place)
    return LoraSpec(settings.fine_tune_type, lora.rank, lora.scale, lora.dropout, tuple(layers))


def _full(model: ModelFacts, wanted: range) -> FullSpec:
    if model.quantized:
        problem = "its weights are quantized, and there is no gradient for such weights (mlx-lm stops there too)"
        raise ConfigError([f"fine_tune_type: full can't train {model.folder.name}: {problem}. Use lora or dora."])
    tensors = tuple(tensor for tensor in model.block_tensors if tensor.block in wanted)
    stacked = next((tensor for tensor in tensors if len(tensor.shape) > 2), None)
    if stacked is not None:
        problem = f"{stacked.name} of its blocks has {len(stacked.shape)} dimensions (stacked experts, convolutions)"
        raise ConfigError([f"fine_tune_type: full can't train {model.folder.name}: {problem}. Use lora or dora."])
    return FullSpec(tensors)


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


Part = Literal["lora_a", "lora_b", "magnitude", "whole"]


@dataclass(frozen=True, slots=True)
class Slot:
    """Where one trained tensor lies in the flat vector of trainable parameters.

    module: the part of its block that has it. part: which tensor of an adapter; `whole` for one of the base's own,
    whose name ends with its own part's (`weight`, `bias`).
    """

    name: str
    block: int
    module: str
    part: Part
    shape: tuple[int, ...]
    start: int

    @property
    def stop(self) -> int:
        """End of its range."""
        return self.start + math.prod(self.shape)

    @property
    def tensor(self) -> str:
        """Its name in its module: `lora_a`, `weight`."""
        return self.name.rpartition(".")[2]

    @property
    def transposed(self) -> bool:
        """Whether mlx-lm holds it the other way round: its adapter matrices are (in, rank) and (rank, out)."""
        return self.part in ("lora_a", "lora_b")


def layout(spec: AdapterSpec) -> tuple[Slot, ...]:
    """The order of all trained tensors, the same on every engine: layer by layer A (rank, in), B (out, rank)."""
    slots: list[Slot] = []
    for block, module, tensor, part, shape in _parts(spec):
        start = slots[-1].stop if slots else 0
        name = ".".join(filter(None, ("layers", str(block), module, tensor)))
        slots.append(Slot(name, block, module, part, shape, start))
    return tuple(slots)


def _parts(spec: AdapterSpec) -> Iterator[tuple[int, str, str, Part, tuple[int, ...]]]:
    if isinstance(spec, FullSpec):
        for whole in spec.tensors:
            module, _, tensor = whole.name.rpartition(".")
            yield whole.block, module, tensor, "whole", whole.shape
        return
    for layer in spec.layers:
        yield layer.block, layer.name, "lora_a", "lora_a", (spec.rank, layer.in_features)
        yield layer.block, layer.name, "lora_b", "lora_b", (layer.out_features, spec.rank)
        if spec.kind == "dora":
            yield layer.block, layer.name, "magnitude", "magnitude", (layer.out_features,)
