"""What a plan knows of a model from its config and headers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from runoff.errors import ModelError
from runoff.plan import LinearLayer, read_model_facts


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that a test may change."""
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def reconfigure(model: Path, **changes: Any) -> None:
    path = model / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_the_tiny_model(tiny_model: Path) -> None:
    facts = read_model_facts(tiny_model)
    tensors = safetensors.numpy.load_file(tiny_model / "model.safetensors")
    assert (facts.model_type, facts.blocks, facts.hidden_size, facts.vocabulary) == ("llama", 4, 32, 259)
    assert facts.context_length == 4096
    assert facts.parameters == sum(array.size for array in tensors.values())
    assert facts.weight_bytes == sum(array.nbytes for array in tensors.values())
    assert len(facts.linear_layers) == 4 * 7
    assert facts.linear_layers[0] == LinearLayer(0, "mlp.down_proj", 64, 32)
    assert LinearLayer(3, "self_attn.k_proj", 32, 16) in facts.linear_layers
    assert not facts.quantized


def test_the_torch_models_own_count_agrees(tiny_model: Path) -> None:
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tiny_model)
    assert read_model_facts(tiny_model).parameters == theirs.num_parameters()


def split(model: Path) -> None:
    """Into two shards with an index."""
    whole = model / "model.safetensors"
    tensors = safetensors.numpy.load_file(whole)
    whole.unlink()
    names = sorted(tensors)
    parts = {"model-1.safetensors": names[:5], "model-2.safetensors": names[5:]}
    for file, inside in parts.items():
        safetensors.numpy.save_file({name: tensors[name] for name in inside}, model / file)
    weight_map = {name: file for file, inside in parts.items() for name in inside}
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


def test_shards_are_read_together(tiny_model: Path, model: Path) -> None:
    split(model)
    assert read_model_facts(model).linear_layers == read_model_facts(tiny_model).linear_layers
    assert read_model_facts(model).parameters == read_model_facts(tiny_model).parameters


@pytest.mark.parametrize("sharded", [False, True])
def test_weights_in_another_form_beside_them_are_not_counted(tiny_model: Path, model: Path, sharded: bool) -> None:
    if sharded:
        split(model)
    other = {"layers.0.attention.wq.weight": np.zeros((32, 32), np.float32)}
    safetensors.numpy.save_file(other, model / "consolidated.safetensors")
    facts = read_model_facts(model)
    assert facts.parameters == read_model_facts(tiny_model).parameters
    assert facts.linear_layers == read_model_facts(tiny_model).linear_layers


def test_a_broken_index_and_a_missing_shard_are_named(model: Path) -> None:
    split(model)
    (model / "model-2.safetensors").unlink()
    with pytest.raises(ModelError) as caught:
        read_model_facts(model)
    assert str(caught.value) == f"{model / 'model-2.safetensors'}: can't be read (No such file or directory)."
    index = model / "model.safetensors.index.json"
    index.write_text("[]")
    with pytest.raises(ModelError, match=r"index\.json: is not a list of weight files \(.*\)\. Get the model again\.$"):
        read_model_facts(model)


def test_a_quantized_model_counts_what_is_packed(tmp_path: Path) -> None:
    mx = pytest.importorskip("mlx.core")
    weight = mx.random.normal((64, 128))
    packed, scales, biases = mx.quantize(weight, group_size=64, bits=4)
    name = "model.layers.0.self_attn.q_proj"
    tensors = {f"{name}.weight": packed, f"{name}.scales": scales, f"{name}.biases": biases}
    mx.save_safetensors(str(tmp_path / "model.safetensors"), tensors)
    config = {"model_type": "llama", "num_hidden_layers": 1, "quantization": {"group_size": 64, "bits": 4}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    facts = read_model_facts(tmp_path)
    assert facts.quantized
    assert facts.linear_layers == (LinearLayer(0, "self_attn.q_proj", 128, 64),)


def test_the_text_part_of_a_larger_model_is_what_counts(model: Path) -> None:
    body = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({"model_type": "big", "text_config": body, "vision_config": {}}))
    assert read_model_facts(model).blocks == 4


@pytest.mark.parametrize("blocks", [None, 0, "four"])
def test_blocks_that_cannot_be_recognised(model: Path, blocks: object) -> None:
    reconfigure(model, num_hidden_layers=blocks)
    with pytest.raises(ModelError) as caught:
        read_model_facts(model)
    assert str(caught.value) == (
        f"{model}: the blocks of this llama model can't be recognised (no num_hidden_layers in config.json, or no "
        "`layers.N.*.weight` tensors). Use another model."
    )


def test_folders_that_are_no_models(tmp_path: Path, model: Path) -> None:
    with pytest.raises(ModelError) as caught:
        read_model_facts(tmp_path / "none")
    assert str(caught.value) == (
        f"{tmp_path / 'none'}: is not a model folder (no config.json). Run: runoff model get NAME."
    )
    (model / "model.safetensors").unlink()
    with pytest.raises(ModelError) as caught:
        read_model_facts(model)
    assert str(caught.value) == f"{model}: has no .safetensors weights. Run: runoff model get NAME."


def test_the_fingerprint_changes_with_weights_and_config_but_not_with_the_place(tiny_model: Path, model: Path) -> None:
    same = read_model_facts(tiny_model).sha256
    assert read_model_facts(model).sha256 == same
    weights = model / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    assert read_model_facts(model).sha256 != same
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    assert read_model_facts(model).sha256 == same
    reconfigure(model, rms_norm_eps=1e-6)
    assert read_model_facts(model).sha256 != same
