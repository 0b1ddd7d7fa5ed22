"""Which layers are adapted and how many parameters that makes: mlx-lm's own rules and counts."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from runoff.config import LoraParameters, Settings
from runoff.errors import ConfigError
from runoff.plan import LinearLayer, LoraSpec, ModelFacts, adapter_spec, layout, read_model_facts

NAMES = {
    "self_attn.q_proj": ("d", "q"),
    "self_attn.k_proj": ("d", "kv"),
    "self_attn.v_proj": ("d", "kv"),
    "self_attn.o_proj": ("q", "d"),
    "mlp.gate_proj": ("d", "f"),
    "mlp.up_proj": ("d", "f"),
    "mlp.down_proj": ("f", "d"),
}


def llama(blocks: int, **sizes: int) -> ModelFacts:
    layers = tuple(
        LinearLayer(block, name, sizes[a], sizes[b]) for block in range(blocks) for name, (a, b) in NAMES.items()
    )
    return ModelFacts(Path("m"), "llama", blocks, sizes["d"], 1000, None, 0, 0, layers, False, "")


SMOLLM3 = llama(36, d=2048, q=2048, kv=512, f=11008)


@pytest.mark.parametrize(("blocks", "millions"), [(8, 3.359), (12, 5.038), (16, 6.717), (36, 15.114)])
def test_smollm3_has_as_many_trainable_parameters_as_mlx_lm_prints(blocks: int, millions: float) -> None:
    spec = adapter_spec(Settings(num_layers=blocks), SMOLLM3)
    assert round(spec.trainable_parameters / 1e6, 3) == millions


def test_dora_adds_a_magnitude_for_each_output() -> None:
    lora = adapter_spec(Settings(num_layers=1), SMOLLM3)
    dora = adapter_spec(Settings(num_layers=1, fine_tune_type="dora"), SMOLLM3)
    outputs = 2048 + 512 + 512 + 2048 + 11008 + 11008 + 2048
    assert dora.trainable_parameters - lora.trainable_parameters == outputs


@pytest.mark.parametrize(
    ("num_layers", "blocks"), [(1, [3]), (3, [1, 2, 3]), (4, [0, 1, 2, 3]), (0, [0, 1, 2, 3]), (-1, [0, 1, 2, 3])]
)
def test_the_last_blocks_are_adapted_and_0_and_minus_1_mean_all(
    tiny_model: Path, num_layers: int, blocks: list[int]
) -> None:
    spec = adapter_spec(Settings(num_layers=num_layers), read_model_facts(tiny_model))
    assert list(spec.blocks) == blocks
    assert spec.lowest_block == blocks[0]
    assert spec.keys == tuple(sorted(NAMES))


@pytest.mark.parametrize(
    "settings",
    [
        {"num_layers": 2},
        {"num_layers": -1, "lora_parameters": {"rank": 3}},
        {"num_layers": 3, "lora_parameters": {"rank": 4, "keys": ["self_attn.q_proj", "mlp.down_proj"]}},
        {"num_layers": 2, "fine_tune_type": "dora"},
        {"num_layers": 2, "fine_tune_type": "full"},
        {"num_layers": -1, "fine_tune_type": "full"},
    ],
    ids=["two blocks", "all", "keys", "dora", "full", "all of them full"],
)
def test_mlx_lm_makes_the_same_trainable_tensors(tiny_model: Path, settings: dict[str, Any]) -> None:
    llama_module = pytest.importorskip("mlx_lm.models.llama")
    utils = pytest.importorskip("mlx_lm.tuner.utils")
    flatten = pytest.importorskip("mlx.utils").tree_flatten
    facts, chosen = read_model_facts(tiny_model), Settings.model_validate(settings)
    arguments = llama_module.ModelArgs(
        model_type="llama",
        hidden_size=32,
        num_hidden_layers=4,
        intermediate_size=64,
        num_attention_heads=4,
        num_key_value_heads=2,
        rms_norm_eps=1e-5,
        vocab_size=259,
    )
    model = llama_module.Model(arguments)
    model.freeze()
    lora = chosen.lora_parameters
    config: dict[str, Any] = {"rank": lora.rank, "scale": lora.scale, "dropout": lora.dropout}
    if lora.keys:
        config["keys"] = list(lora.keys)
    if chosen.fine_tune_type == "full":  # as mlx_lm.lora.train_model does
        for block in model.layers[-max(chosen.num_layers, 0) :]:
            block.unfreeze()
    else:
        utils.linear_to_lora_layers(model, chosen.num_layers, config, use_dora=chosen.fine_tune_type == "dora")
    theirs = {name.removeprefix("model."): tensor.size for name, tensor in flatten(model.trainable_parameters())}
    slots = layout(adapter_spec(chosen, facts))
    ours = {slot.name.replace(".magnitude", ".m"): slot.stop - slot.start for slot in slots}
    assert ours == theirs


def test_pefts_short_names_match_too(tiny_model: Path) -> None:
    facts = read_model_facts(tiny_model)
    short = adapter_spec(Settings(num_layers=1, lora_parameters=LoraParameters(keys=("q_proj", "mlp.up_proj"))), facts)
    assert short.keys == ("mlp.up_proj", "self_attn.q_proj")


@pytest.mark.parametrize("key", ["proj", "attn.q_proj", "self_attn", "lm_head", "model.embed_tokens", ""])
def test_a_key_that_matches_no_layer_is_refused_with_the_layers_there_are(tiny_model: Path, key: str) -> None:
    settings = Settings(num_layers=1, lora_parameters=LoraParameters(keys=("q_proj", key)))
    with pytest.raises(ConfigError) as caught:
        adapter_spec(settings, read_model_facts(tiny_model), "a:1: ", "a:7: ")
    assert str(caught.value) == (
        f"a:7: lora_parameters.keys: {key} match no layer. The blocks have {', '.join(sorted(NAMES))}."
    )


def test_more_blocks_than_there_are_is_refused(tiny_model: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        adapter_spec(Settings(num_layers=16), read_model_facts(tiny_model), "a:1: ", "a:7: ")
    assert str(caught.value) == "a:1: num_layers is 16, but the model has 4 blocks. Write -1 for all."


def test_alpha_is_scale_times_rank() -> None:
    spec = adapter_spec(Settings(num_layers=1, lora_parameters=LoraParameters(rank=16, scale=2.5)), SMOLLM3)
    assert isinstance(spec, LoraSpec)
    assert (spec.scale, spec.alpha) == (2.5, 40.0)


@pytest.mark.parametrize("kind", ["lora", "dora", "full"])
def test_the_slots_cover_the_flat_vector_without_gap_or_overlap(tiny_model: Path, kind: str) -> None:
    facts = read_model_facts(tiny_model)
    spec = adapter_spec(Settings.model_validate({"fine_tune_type": kind, "num_layers": 3}), facts)
    slots = layout(spec)
    assert slots[0].start == 0
    assert all(before.stop == after.start for before, after in pairwise(slots))
    assert slots[-1].stop == spec.trainable_parameters
    assert len({slot.name for slot in slots}) == len(slots)
    inputs = {(layer.block, layer.name): layer.in_features for layer in facts.linear_layers}
    outputs = {(layer.block, layer.name): layer.out_features for layer in facts.linear_layers}
    whole = {(tensor.block, tensor.name): tensor.shape for tensor in facts.block_tensors}
    for slot in slots:
        place = (slot.block, slot.module)
        expected = {
            "lora_a": (8, inputs.get(place)),
            "lora_b": (outputs.get(place), 8),
            "magnitude": (outputs.get(place),),
            "whole": whole.get((slot.block, f"{slot.module}.{slot.tensor}")),
        }
        assert slot.shape == expected[slot.part]
