"""How much memory a run takes, by part, before anything is loaded.

Owns: the formulas. Shapes are exact. What a block keeps for the backward pass was measured with torch + PEFT: 39 d +
10 f bytes a token in bfloat16, linear in both, twice that in float32; with checkpointing 14 d values a token. On a 135M
model (4 and 12 of 30 blocks, 2,360 tokens, float32) both came within 5 % of the process's own peak. Whole weights: 28
bytes a parameter there with Adam and validations, and 29.5 measured (2 and 10 of 30 blocks). Must not: ask the machine
(plan/machine.py does).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from runoff.config import Settings
from runoff.plan.adapter import AdapterSpec, LoraSpec
from runoff.plan.data_facts import DataFacts
from runoff.plan.model_facts import ModelFacts

__all__ = ["MemoryPart", "batch_tokens", "checkpoint_bytes", "memory_parts"]

HEAD_ROWS = 256
"""Rows of logits that the head holds at once (engines/torch/head.py, PlainHead.rows)."""

_KEPT_WITH_CHECKPOINTS = 14
"""Values of d a token and block, with what the allocator does not give back."""


@dataclass(frozen=True, slots=True)
class MemoryPart:
    """One part of the memory in use, and how it comes about."""

    name: str
    bytes: int
    how: str


def memory_parts(
    settings: Settings, model: ModelFacts, adapter: AdapterSpec, data: DataFacts
) -> tuple[MemoryPart, ...]:
    """Weights, adapter, optimizer, activations, logits and the trunk cache of the largest micro-batch."""
    width = 4 if settings.dtype == "float32" else 2
    weights = model.weight_bytes if model.quantized else model.parameters * width
    tokens = batch_tokens(settings, data)
    assumed = ", if bfloat16 is chosen" if settings.dtype == "auto" and not model.quantized else ""
    return (
        MemoryPart("weights", weights, f"{model.parameters:,} parameters{assumed}"),
        *_trained(settings, adapter, width, validated=data.valid is not None),
        MemoryPart("activations", *_activations(settings, model, adapter, tokens, width)),
        MemoryPart("logits", HEAD_ROWS * model.vocabulary * 8, f"{HEAD_ROWS} rows x {model.vocabulary:,} at a time"),
        MemoryPart("trunk cache", *_trunk(settings, model, adapter, data, width)),
    )


def _trained(settings: Settings, adapter: AdapterSpec, width: int, *, validated: bool) -> Iterator[MemoryPart]:
    """What the trained parameters take. The best ones so far are kept too, once there are validations."""
    count, state = adapter.trainable_parameters, 8 + 4 * _moments(settings)
    how = f"gradient twice and state of {settings.optimizer}"
    if isinstance(adapter, LoraSpec):
        yield MemoryPart("adapter", count * 8, f"{count:,} parameters, float32, twice (loop and engine)")
    else:
        best = 4 if validated else 0
        copies = "once as the base's type in the engine, in float32 in the loop" + (" and as the best" if best else "")
        yield MemoryPart("whole weights", count * (4 + width + best), f"{count:,} parameters beside the base: {copies}")
    yield MemoryPart("optimizer", count * state, how)


def batch_tokens(settings: Settings, data: DataFacts) -> int:
    """Tokens of the largest micro-batch: every row as long as the longest that is kept."""
    return settings.batch_size * min(data.train.longest_tokens, settings.max_seq_length)


def checkpoint_bytes(settings: Settings, adapter: AdapterSpec, checkpoints: int, *, validated: bool) -> int:
    """Disk for a run: a snapshot at each checkpoint, the best one, one resumable state, the adapter (float32)."""
    copies = checkpoints + validated + (2 + _moments(settings)) + 1
    return adapter.trainable_parameters * 4 * copies


def _moments(settings: Settings) -> int:
    """Numbers that the optimizer keeps for each parameter; Adafactor's rows and columns are too few to count."""
    given = settings.optimizer_config.get(settings.optimizer) or {}
    kept = {"muon": 1, "sgd": int(bool(given.get("momentum"))), "adafactor": int(given.get("beta_1") is not None)}
    return kept.get(settings.optimizer, 2)


def _activations(
    settings: Settings, model: ModelFacts, adapter: AdapterSpec, tokens: int, width: int
) -> tuple[int, str]:
    inner = max(layer.out_features for layer in model.linear_layers)
    block = tokens * (39 * model.hidden_size + 10 * inner) * width // 2
    above = model.blocks - adapter.lowest_block
    if settings.grad_checkpoint:
        kept = tokens * above * _KEPT_WITH_CHECKPOINTS * model.hidden_size * width
        return kept + block, f"{tokens:,} tokens, one of {above} blocks at a time"
    return block * above, f"{tokens:,} tokens in the {above} blocks from the lowest adapted one on"


def _trunk(settings: Settings, model: ModelFacts, adapter: AdapterSpec, data: DataFacts, width: int) -> tuple[int, str]:
    if settings.trunk_cache == "off" or adapter.lowest_block == 0:
        return 0, "off"
    tokens = data.train.tokens + (data.valid.tokens if data.valid else 0)
    return tokens * model.hidden_size * width, f"{tokens:,} tokens x {model.hidden_size}; less where memory is short"
