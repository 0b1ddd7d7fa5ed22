"""Memory by part: exact where shapes decide it, and the measured run where they don't."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from runoff.config import Settings
from runoff.plan import BlockTensor, DataFacts, FullSpec, LinearLayer, LoraSpec, ModelFacts, SplitFacts
from runoff.plan.memory import checkpoint_bytes, memory_parts

SHAPES = {
    "self_attn.q_proj": (576, 576),
    "self_attn.k_proj": (576, 192),
    "self_attn.v_proj": (576, 192),
    "self_attn.o_proj": (576, 576),
    "mlp.gate_proj": (576, 1536),
    "mlp.up_proj": (576, 1536),
    "mlp.down_proj": (1536, 576),
}
LAYERS = tuple(LinearLayer(block, name, *shape) for block in range(30) for name, shape in SHAPES.items())
MODEL = ModelFacts(Path("m"), "llama", 30, 576, 49152, 2048, 134_515_008, 269_030_016, LAYERS, False, "0")
DATA = DataFacts(SplitFacts("train.jsonl", 1300, 300_000, 300_000, 295, (), (), None, "0"), None, None, None)


def parts(blocks: int, **settings: object) -> dict[str, int]:
    given = Settings.model_validate({"batch_size": 8, "dtype": "float32", "max_seq_length": 300, **settings})
    adapter = LoraSpec("lora", 8, 1.0, 0.0, tuple(layer for layer in LAYERS if layer.block >= 30 - blocks))
    return {part.name: part.bytes for part in memory_parts(given, MODEL, adapter, DATA)}


@pytest.mark.parametrize(
    ("blocks", "checkpointing", "measured"),
    [(12, False, 2.203e9), (4, False, 0.781e9), (12, True, 1.215e9), (4, True, 0.597e9)],
)
def test_the_estimate_is_near_what_a_real_iteration_took(blocks: int, checkpointing: bool, measured: float) -> None:
    found = parts(blocks, grad_checkpoint=checkpointing)
    assert found["activations"] + found["logits"] == pytest.approx(measured, rel=0.05)


def test_weights_and_adapter_follow_from_the_shapes() -> None:
    found = parts(12)
    assert found["weights"] == 134_515_008 * 4
    assert found["adapter"] == 8 * 8 * 12 * sum(sum(shape) for shape in SHAPES.values())
    assert parts(12, dtype="bfloat16")["weights"] == 134_515_008 * 2
    assert parts(12, optimizer="sgd")["optimizer"] < found["optimizer"]


def test_whole_weights_are_counted_with_their_copies_gradients_and_optimizer_state() -> None:
    """2 and 10 of 30 blocks, Adam, validations, float32: the process's peak grew by 29.5 bytes a parameter."""
    tensors = tuple(BlockTensor(29, f"{name}.weight", (out, into)) for name, (into, out) in SHAPES.items())
    spec = FullSpec(tensors)
    validated = replace(DATA, valid=DATA.train)
    for data, dtype, each in ((validated, "float32", 28), (validated, "bfloat16", 26), (DATA, "float32", 24)):
        settings = Settings.model_validate({"fine_tune_type": "full", "dtype": dtype})
        found = {part.name: part.bytes for part in memory_parts(settings, MODEL, spec, data)}
        assert "adapter" not in found
        assert found["whole weights"] + found["optimizer"] == each * sum(a * b for a, b in SHAPES.values())


def test_the_trunk_cache_is_counted_only_where_there_is_a_trunk() -> None:
    assert parts(12)["trunk cache"] == 300_000 * 576 * 4
    assert parts(30)["trunk cache"] == 0
    assert parts(12, trunk_cache="off")["trunk cache"] == 0


def test_rows_longer_than_the_limit_take_no_more_than_the_limit() -> None:
    long = replace(DATA, train=replace(DATA.train, longest_tokens=5000))
    adapter = LoraSpec("lora", 8, 1.0, 0.0, LAYERS[-7:])
    found = memory_parts(Settings(max_seq_length=100, batch_size=2), MODEL, adapter, long)
    assert "200 tokens" in next(part.how for part in found if part.name == "activations")


def test_disk_counts_every_snapshot() -> None:
    adapter = LoraSpec("lora", 8, 1.0, 0.0, LAYERS[-7:])
    few, many = (checkpoint_bytes(Settings(), adapter, count, validated=True) for count in (1, 11))
    assert many - few == 10 * 4 * adapter.trainable_parameters
