from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from tests.unit.importers.given import GOLDEN, count, facts_of, kind_of, mlx_adapter, mlx_config, one, read, write

from runoff.errors import ImportFailed
from runoff.importers.versions import range_of


def told(path: Path) -> dict[str, Any]:
    return {item.key: item.value for item in facts_of(path).settings}


def test_mlx_config_opens_lora_parameters_and_names_each_line(tmp_path: Path) -> None:
    path = write(tmp_path / "adapter_config.json", mlx_config())
    facts = facts_of(path)
    places = {item.key: item.place for item in facts.settings}
    lines = path.read_text().splitlines()
    assert '"scale"' in lines[int(places["lora_parameters.scale"].rpartition(":")[2]) - 1]
    assert '"iters"' in lines[int(places["iters"].rpartition(":")[2]) - 1]
    assert facts.labels == ("run", "run")


OLD = {
    "adapter_path": "adapters",
    "batch_size": 4,
    "data": "data/",
    "iters": 100,
    "learning_rate": 1e-5,
    "lora_layers": 16,
    "lora_parameters": {"rank": 8, "alpha": 16, "dropout": 0.0, "scale": 10.0},
    "lr_schedule": None,
    "max_seq_length": 2048,
    "model": "m",
    "resume_adapter_file": None,
    "save_every": 100,
    "seed": 0,
    "steps_per_eval": 200,
    "use_dora": False,
    "steps_per_report": 10,
    "test": False,
    "test_batches": 500,
    "train": True,
    "val_batches": 25,
    "config": None,
}
REPORTERS = {"report_to": ..., "project_name": ...}


@pytest.mark.parametrize(
    ("body", "versions"),
    [
        (OLD, "0.6.0 or later, before 0.19.0"),
        (
            mlx_config(optimizer_config=..., optimizer=..., grad_accumulation_steps=..., **REPORTERS),
            "0.19.0 or later, before 0.22.0",
        ),
        (
            mlx_config(optimizer_config={"adam": {}, "adamw": {}}, grad_accumulation_steps=..., **REPORTERS),
            "0.22.0 or later, before 0.26.4",
        ),
        (mlx_config(grad_accumulation_steps=..., wandb=None), "0.26.4 or later, before 0.28.3"),
        (mlx_config(grad_accumulation_steps=1), "0.28.3 or later, before 0.31.2"),
        (mlx_config(clear_cache_threshold=0), "0.31.2 or later, before 0.32.0"),
        (mlx_config(clear_cache_threshold=0, trust_remote_code=False), "0.32.0 or later"),
    ],
)
def test_the_version_is_read_off_the_arguments_that_are_there(
    tmp_path: Path, body: dict[str, Any], versions: str
) -> None:
    facts = facts_of(write(tmp_path / "adapter_config.json", body))
    assert str(range_of(facts.clues)) == versions


def test_the_real_config_of_0_32(tmp_path: Path) -> None:
    facts = facts_of(GOLDEN / "mlx_0.32_adapter" / "adapter_config.json")
    assert str(range_of(facts.clues)) == "0.32.0 or later"


def test_a_key_that_the_yaml_brought_along_proves_no_version(tmp_path: Path) -> None:
    old = mlx_config(grad_accumulation_steps=8, optimizer_config=..., optimizer=..., **REPORTERS)
    assert (
        str(range_of(facts_of(write(tmp_path / "adapter_config.json", old)).clues)) == "0.19.0 or later, before 0.22.0"
    )


def test_peft_config(tmp_path: Path) -> None:
    path = GOLDEN / "peft" / "adapter_config.json"
    assert kind_of(path) == "PEFT adapter_config.json"
    settings = told(path)
    assert (settings["r"], settings["lora_alpha"], settings["layers_to_transform"]) == (4, 16, [2, 3])
    assert {clue.tool for clue in facts_of(path).clues} == {"peft"}


def test_tensors_tell_rank_blocks_layers_and_parameters(tmp_path: Path) -> None:
    path = mlx_adapter(tmp_path / "0000020_adapters.safetensors", (2, 3), 4, ("self_attn.q_proj", "mlp.up_proj"))
    facts = facts_of(path)
    assert facts.tensors is not None
    assert (facts.tensors.ranks, facts.tensors.blocks) == ((4,), (2, 3))
    assert facts.tensors.layers == ("mlp.up_proj", "self_attn.q_proj")
    assert facts.tensors.trainable_parameters == 2 * 2 * (32 * 4 + 4 * 32)
    assert [row.iteration for row in facts.rows] == [20]


def test_peft_tensors_with_their_other_shapes_and_dora(tmp_path: Path) -> None:
    name = "base_model.model.model.layers.7.mlp.up_proj."
    tensors = {
        f"{name}lora_A.weight": np.zeros((4, 32), np.float32),
        f"{name}lora_B.weight": np.zeros((64, 4), np.float32),
        f"{name}lora_magnitude_vector": np.zeros(64, np.float32),
    }
    path = write(tmp_path / "checkpoint-10" / "adapter_model.safetensors", safetensors.numpy.save(tensors))
    facts = facts_of(path)
    assert facts.tensors is not None
    assert (facts.tensors.ranks, facts.tensors.blocks, facts.tensors.kind) == ((4,), (7,), "dora")
    assert (facts.rows[0].iteration, facts.rows[0].optimizer_updates) == (None, 10)


def test_whole_weights_of_blocks_are_told_from_a_part_of_a_base(tmp_path: Path) -> None:
    """A base in several files may have one with nothing but blocks: only mlx-lm's own name says what it is."""
    tensors = {
        "model.layers.2.self_attn.q_proj.weight": np.zeros((32, 32), np.float32),
        "model.layers.3.input_layernorm.weight": np.zeros(32, np.float32),
    }
    saved = safetensors.numpy.save(tensors)
    found = facts_of(write(tmp_path / "0000020_adapters.safetensors", saved)).tensors
    assert found is not None
    assert (found.kind, found.ranks, found.blocks, found.trainable_parameters) == ("full", (), (2, 3), 1056)
    with pytest.raises(ImportFailed, match="holds no LoRA tensors"):
        read(write(tmp_path / "model-00002-of-00003.safetensors", saved))
    more = safetensors.numpy.save(tensors | {"model.norm.weight": np.ones(4, np.float32)})
    with pytest.raises(ImportFailed, match="holds no LoRA tensors"):
        read(write(tmp_path / "adapters.safetensors", more))


def test_a_models_own_weights_are_no_adapter(tmp_path: Path) -> None:
    path = write(tmp_path / "model.safetensors", safetensors.numpy.save({"model.norm.weight": np.ones(4, np.float32)}))
    with pytest.raises(ImportFailed, match=r"model\.safetensors: holds no LoRA tensors"):
        read(path)


def test_a_cut_adapter_is_one_sentence_without_a_path(tmp_path: Path) -> None:
    whole = mlx_adapter(tmp_path / "whole.safetensors").read_bytes()
    path = write(tmp_path / "adapters.safetensors", whole[:-7])
    with pytest.raises(ImportFailed, match="interrupted copy") as caught:
        read(path)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    "text", ['{"peft_type": "LORA", "r": 8', "{", '{"lora_parameters": [1], "num_layers": {}}', "[]"]
)
def test_broken_configs_are_a_sentence_or_facts(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "adapter_config.json", text)
    if text.startswith('{"lora'):
        assert read(path).facts
        return
    with pytest.raises(ImportFailed, match=r"^adapter_config\.json: "):
        read(path)


def peft_adapter(path: Path, **beside: tuple[int, ...]) -> Path:
    """Rank 4 on q_proj of one block, width 32: 256 parameters; and tensors beside it."""
    name = "base_model.model.model.layers.2.self_attn.q_proj.lora_"
    tensors = {f"{name}A.weight": np.zeros((4, 32), np.float32), f"{name}B.weight": np.zeros((32, 4), np.float32)}
    tensors |= {f"base_model.model.{key}": np.zeros(shape, np.float32) for key, shape in beside.items()}
    return write(path, safetensors.numpy.save(tensors))


EMBEDDING = {
    "model.embed_tokens.lora_embedding_A": (4, 259),
    "model.embed_tokens.lora_embedding_B": (32, 4),
    "model.embed_tokens.base_layer.weight": (259, 32),
}


def test_an_adapted_embeddings_own_weights_are_not_trained(tmp_path: Path) -> None:
    tensors = facts_of(peft_adapter(tmp_path / "adapter_model.safetensors", **EMBEDDING)).tensors
    assert tensors is not None
    assert (tensors.trainable_parameters, tensors.whole_parameters) == (256 + 4 * (259 + 32), 0)
    assert (tensors.layers, tensors.blocks, tensors.ranks) == (("embed_tokens", "self_attn.q_proj"), (2,), (4,))


@pytest.mark.parametrize(("saved", "parameters"), [(["lm_head"], 256 + 8288), (None, 256), (..., None)])
def test_whole_weights_beside_an_adapter_are_trained_where_modules_to_save_names_them(
    saved: object, parameters: int | None, tmp_path: Path
) -> None:
    peft_adapter(tmp_path / "out" / "adapter_model.safetensors", **{"lm_head.weight": (259, 32)})
    if saved is not ...:
        body = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"], "modules_to_save": saved}
        write(tmp_path / "out" / "adapter_config.json", body)
    trained = count(one(tmp_path, tmp_path / "out"), "trainable_parameters")
    assert trained.value == parameters
    assert trained.known or "no file says whether they were trained" in str(trained.origin.why)
