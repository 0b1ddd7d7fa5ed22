"""Adapter folders of both formats: what is read, what is folded, what is refused by name."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import safetensors.numpy
from tests.support.tiny import make_tiny_model

from runoff.engines.adapters.folders import adapter_config, read_adapter, read_lora, write_mlx, write_peft
from runoff.engines.adapters.refusals import PEFT_REFUSALS
from runoff.engines.base import Vector
from runoff.errors import ModelError
from runoff.models.safetensors_file import write_safetensors
from runoff.plan import LoraSpec, ModelFacts, layout, read_model_facts

Array = npt.NDArray[np.float32]
Q, V = "self_attn.q_proj", "self_attn.v_proj"
PEFT = "base_model.model.model.layers.{}.{}.lora_{}.weight"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFacts:
    return read_model_facts(make_tiny_model(tmp_path_factory.mktemp("tiny")))


def spec_of(model: ModelFacts, kind: Any = "lora") -> LoraSpec:
    return LoraSpec(kind, 3, 2.5, 0.1, tuple(layer for layer in model.linear_layers if layer.block >= 2))


def random_vector(spec: LoraSpec) -> Vector:
    return np.random.default_rng(0).standard_normal(spec.trainable_parameters).astype(np.float32)


def matrix(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def peft_folder(folder: Path, tensors: Mapping[str, Array], **config: Any) -> Path:
    folder.mkdir(exist_ok=True)
    safetensors.numpy.save_file(dict(tensors), folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 4} | config))
    return folder


def one_layer(rank: int = 2, block: int = 3, name: str = Q) -> dict[str, Array]:
    return {PEFT.format(block, name, "A"): matrix(rank, 32), PEFT.format(block, name, "B"): matrix(32, rank)}


def products(spec: LoraSpec, flat: Vector) -> dict[str, Array]:
    """scale x B @ A for each layer: all that an adapter is."""
    slots = layout(spec)
    found = {}
    for a, b in zip(slots[::2], slots[1::2], strict=True):
        first, second = (flat[slot.start : slot.stop].reshape(slot.shape) for slot in (a, b))
        found[f"{a.block}.{a.module}"] = (spec.scale * second @ first).astype(np.float32)
    return found


@pytest.mark.parametrize("kind", ["lora", "dora"])
@pytest.mark.parametrize("format_", ["peft", "mlx"])
def test_what_is_written_is_read(tmp_path: Path, model: ModelFacts, kind: str, format_: str) -> None:
    spec = spec_of(model, kind)
    flat = random_vector(spec)
    if format_ == "peft":
        write_peft(tmp_path, spec, flat, "base")
    else:
        write_mlx(tmp_path, spec, flat, "base", model.blocks)
    read, same = read_adapter(tmp_path, model)
    assert read == spec
    assert np.array_equal(same, flat)


def test_shapes_and_names_of_both_formats(tmp_path: Path, model: ModelFacts) -> None:
    spec = spec_of(model)
    flat = random_vector(spec)
    write_peft(tmp_path / "peft", spec, flat, "base")
    write_mlx(tmp_path / "mlx", spec, flat, "base", model.blocks)
    peft = safetensors.numpy.load_file(tmp_path / "peft/adapter_model.safetensors")
    mlx = safetensors.numpy.load_file(tmp_path / "mlx/adapters.safetensors")
    assert peft[PEFT.format(2, Q, "A")].shape == (3, 32)
    assert np.array_equal(mlx[f"model.layers.2.{Q}.lora_a"], peft[PEFT.format(2, Q, "A")].T)
    assert np.array_equal(mlx[f"model.layers.2.{Q}.lora_b"], peft[PEFT.format(2, Q, "B")].T)
    peft_config = json.loads((tmp_path / "peft/adapter_config.json").read_text())
    mlx_config = json.loads((tmp_path / "mlx/adapter_config.json").read_text())
    assert (peft_config["r"], peft_config["lora_alpha"], peft_config["layers_to_transform"]) == (3, 7.5, [2, 3])
    assert mlx_config["num_layers"] == 2
    assert mlx_config["lora_parameters"]["scale"] == 2.5
    assert set(mlx_config["lora_parameters"]["keys"]) == set(spec.keys)


@pytest.mark.parametrize(
    ("config", "scale"), [({}, 2.0), ({"use_rslora": True}, 4 / 2**0.5), ({"alpha_pattern": {"q_proj": 6}}, 3.0)]
)
def test_peft_scales(tmp_path: Path, model: ModelFacts, config: dict[str, Any], scale: float) -> None:
    spec, _ = read_lora(peft_folder(tmp_path, one_layer(), **config), model)
    assert spec.scale == pytest.approx(scale)


def test_ranks_and_scales_that_differ_are_folded_into_the_matrices(tmp_path: Path, model: ModelFacts) -> None:
    q, v = one_layer(2), {PEFT.format(3, V, "A"): matrix(5, 32), PEFT.format(3, V, "B"): matrix(16, 5)}
    patterns = {"rank_pattern": {"v_proj": 5}, "alpha_pattern": {"v_proj": 1}}
    spec, flat = read_lora(peft_folder(tmp_path, q | v, **patterns), model)
    assert spec.rank == 5
    found = products(spec, flat)
    np.testing.assert_allclose(
        found[f"3.{Q}"], 4 / 2 * q[PEFT.format(3, Q, "B")] @ q[PEFT.format(3, Q, "A")], rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        found[f"3.{V}"], 1 / 5 * v[PEFT.format(3, V, "B")] @ v[PEFT.format(3, V, "A")], rtol=1e-5, atol=1e-6
    )


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"modules_to_save": ["lm_head"]}, r"modules_to_save \(\['lm_head'\]\)"),
    ({"lora_bias": True}, "lora_bias"),
    ({"bias": "all"}, r"bias \(all\)"),
    ({"peft_type": "IA3"}, r"peft_type \(IA3\)"),
    ({"init_lora_weights": "pissa"}, r"init_lora_weights \(pissa\)"),
    ({"init_lora_weights": "pissa_niter_16"}, "init_lora_weights"),
    ({"init_lora_weights": "olora"}, "init_lora_weights"),
    ({"init_lora_weights": "corda"}, "init_lora_weights"),
    ({"init_lora_weights": "loftq"}, "init_lora_weights"),
    ({"init_lora_weights": "lora_ga"}, "init_lora_weights"),
    ({"layer_replication": [[0, 4], [2, 5]]}, "layer_replication"),
    ({"target_parameters": ["experts.down_proj"]}, "target_parameters"),
    ({"alora_invocation_tokens": [1]}, "alora_invocation_tokens"),
    ({"trainable_token_indices": [1]}, "trainable_token_indices"),
    ({"fan_in_fan_out": True}, "fan_in_fan_out"),
    ({"kasa_config": {"beta": 1}}, "kasa_config"),
    ({"monteclora_config": {"num_samples": 1}}, "monteclora_config"),
    ({"arrow_config": {"top_k": 1}}, "arrow_config"),
    ({"use_qalora": True}, r"use_qalora \(True\)"),
]


def test_every_refusal_of_a_setting_is_tested() -> None:
    tested = {refusal.name for config, _ in REFUSED for refusal in PEFT_REFUSALS if refusal.found(config)}
    assert tested == {refusal.name for refusal in PEFT_REFUSALS}


@pytest.mark.parametrize(("config", "named"), REFUSED)
def test_refused_by_name(tmp_path: Path, model: ModelFacts, config: dict[str, Any], named: str) -> None:
    with pytest.raises(ModelError, match=f"^{re.escape(str(tmp_path))}: {named}.* can't be carried over: "):
        read_adapter(peft_folder(tmp_path, one_layer(), **config), model)


@pytest.mark.parametrize(
    "config",
    [
        {"init_lora_weights": "gaussian"},
        {"init_lora_weights": "eva"},
        {"init_lora_weights": "orthogonal"},
        {"init_lora_weights": False},
        {"use_dora": False, "use_rslora": True, "modules_to_save": None, "loftq_config": {}, "bias": "none"},
    ],
)
def test_not_refused(tmp_path: Path, model: ModelFacts, config: dict[str, Any]) -> None:
    """These starts leave the base as it is."""
    assert read_lora(peft_folder(tmp_path, one_layer(), **config), model)[0].rank == 2


def mlx_folder(folder: Path, tensors: Mapping[str, Array], **config: Any) -> Path:
    folder.mkdir(exist_ok=True)
    safetensors.numpy.save_file(dict(tensors), folder / "adapters.safetensors")
    given = {"num_layers": 1, "lora_parameters": {"rank": 2, "scale": 2.0, "dropout": 0.0}} | config
    (folder / "adapter_config.json").write_text(json.dumps(given))
    return folder


def test_mlx_folders_refused_by_name(tmp_path: Path, model: ModelFacts) -> None:
    tensors = {f"model.layers.3.{Q}.lora_a": matrix(32, 2), f"model.layers.3.{Q}.lora_b": matrix(2, 32)}
    assert read_lora(mlx_folder(tmp_path / "fine", tensors), model)[0].scale == 2.0
    with pytest.raises(ModelError, match=r"fine_tune_type \(prefix\) can't be carried over: only lora, dora and full"):
        read_adapter(mlx_folder(tmp_path / "other", tensors, fine_tune_type="prefix"), model)
    with pytest.raises(ModelError, match=r"lora_parameters .* can't be carried over: they name no scale"):
        read_adapter(mlx_folder(tmp_path / "old", tensors, lora_parameters={"rank": 2, "alpha": 16}), model)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("base_model.model.lm_head.lora_A.weight", "on the embedding or the head"),
        ("base_model.model.model.embed_tokens.lora_embedding_A", "on the embedding or the head"),
        ("model.layers.3.mlp.switch_mlp.up_proj.lora_a", "experts of a mixture"),
        ("base_model.model.model.layers.3.mlp.experts.lora_A.weight", "experts of a mixture"),
        (f"base_model.model.model.layers.3.{Q}.lora_B.bias", "a trained bias"),
    ],
)
def test_tensors_refused_by_name(tmp_path: Path, model: ModelFacts, name: str, why: str) -> None:
    extra = np.zeros((2, 2, 2) if "switch" in name else (2, 2), np.float32)
    with pytest.raises(ModelError, match=f"tensor {re.escape(name)} can't be carried over: .*{why}"):
        read_adapter(peft_folder(tmp_path, one_layer() | {name: extra}), model)


def test_tensor_of_no_block(tmp_path: Path, model: ModelFacts) -> None:
    tensors = {"base_model.model.transformer.h.3.attn.c_attn.lora_A.weight": matrix(2, 32)}
    with pytest.raises(ModelError, match="is not a LoRA matrix of a block"):
        read_adapter(peft_folder(tmp_path, tensors), model)


def test_older_kinds_of_file(tmp_path: Path, model: ModelFacts) -> None:
    for name in ("adapter_model.bin", "adapters.npz"):
        (tmp_path / name).write_bytes(b"PK")
        with pytest.raises(ModelError, match=f"{name} is of a kind that is not read here"):
            read_adapter(tmp_path, model)
        (tmp_path / name).unlink()


def test_numbered_checkpoint_of_either_tool(tmp_path: Path, model: ModelFacts) -> None:
    """What a file is, its names say: mlx-lm numbers it, and trainers of other people may call PEFT's anything."""
    spec = spec_of(model)
    flat = random_vector(spec)
    write_mlx(tmp_path / "mlx", spec, flat, "base", model.blocks)
    (tmp_path / "mlx/adapters.safetensors").rename(tmp_path / "mlx/0000100_adapters.safetensors")
    write_peft(tmp_path / "peft", spec, flat, "base")
    (tmp_path / "peft/adapter_model.safetensors").rename(tmp_path / "peft/last.safetensors")
    for path in ("mlx/0000100_adapters.safetensors", "peft/last.safetensors"):
        read, same = read_adapter(tmp_path / path, model)
        assert read == spec
        assert np.array_equal(same, flat)


def test_adapter_of_another_base(tmp_path: Path, model: ModelFacts) -> None:
    with pytest.raises(ModelError, match=r"layers\.7\.self_attn\.q_proj.* It belongs to another base"):
        read_adapter(peft_folder(tmp_path / "deep", one_layer(block=7)), model)
    wide = {PEFT.format(3, Q, "A"): matrix(2, 64), PEFT.format(3, Q, "B"): matrix(32, 2)}
    with pytest.raises(ModelError, match="It belongs to another base"):
        read_adapter(peft_folder(tmp_path / "wide", wide), model)


def test_broken_adapters(tmp_path: Path, model: ModelFacts) -> None:
    with pytest.raises(ModelError, match="holds no adapter"):
        read_adapter(tmp_path, model)
    half = {PEFT.format(3, Q, "A"): matrix(2, 32)}
    with pytest.raises(ModelError, match="half an adapter"):
        read_adapter(peft_folder(tmp_path / "half", half), model)
    broken = one_layer()
    broken[PEFT.format(3, Q, "B")][0, 0] = np.nan
    with pytest.raises(ModelError, match="nan or inf"):
        read_adapter(peft_folder(tmp_path / "nan", broken), model)
    folder = peft_folder(tmp_path / "cut", one_layer())
    (folder / "adapter_model.safetensors").write_bytes(b"12345678 nothing")
    with pytest.raises(ModelError, match="is not a whole safetensors file"):
        read_adapter(folder, model)
    (folder / "adapter_config.json").unlink()
    with pytest.raises(ModelError, match=r"no adapter_config\.json"):
        read_adapter(folder, model)


def test_layers_at_different_strengths_none_of_which_is_lost(tmp_path: Path, model: ModelFacts) -> None:
    tensors = one_layer() | {PEFT.format(3, V, "A"): matrix(2, 32), PEFT.format(3, V, "B"): matrix(16, 2)}
    spec, flat = read_lora(peft_folder(tmp_path, tensors, alpha_pattern={"q_proj": 0}), model)
    found = products(spec, flat)
    assert not found[f"3.{Q}"].any()
    np.testing.assert_allclose(
        found[f"3.{V}"], 4 / 2 * tensors[PEFT.format(3, V, "B")] @ tensors[PEFT.format(3, V, "A")], rtol=1e-5, atol=1e-6
    )


def test_bfloat16_adapter(tmp_path: Path, model: ModelFacts) -> None:
    """As PEFT without autocast and several trainers save them."""
    folder = peft_folder(tmp_path, {})
    exact = {name: np.round(array * 4) / 4 for name, array in one_layer().items()}
    bits = [(array.view(np.uint32) >> 16).astype(np.uint16) for array in exact.values()]
    shapes = {name: array.shape for name, array in exact.items()}
    write_safetensors(folder / "adapter_model.safetensors", shapes, "BF16", bits)
    spec, flat = read_lora(folder, model)
    assert np.array_equal(flat[: 2 * 32].reshape(2, 32), exact[PEFT.format(3, Q, "A")])
    assert spec.rank == 2


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"lora_alpha": None}, "lora_alpha is None, but must be a number"),
        ({"lora_alpha": True}, "lora_alpha is True, but must be a number"),
        ({"r": 8}, f"model.layers.3.{Q} has rank 2, but adapter_config.json says r: 8."),
        ({"rank_pattern": {"q_proj": 4}}, f"model.layers.3.{Q} has rank 2, but adapter_config.json says r: 4."),
        ({"use_dora": True}, "holds no magnitudes, but adapter_config.json says DoRA."),
    ],
)
def test_settings_that_the_tensors_contradict_are_refused(
    tmp_path: Path, model: ModelFacts, config: dict[str, Any], says: str
) -> None:
    with pytest.raises(ModelError, match=re.escape(says)):
        read_adapter(peft_folder(tmp_path, one_layer(), **config), model)


def test_mlx_kind_that_the_tensors_contradict_is_refused(tmp_path: Path, model: ModelFacts) -> None:
    plain = {f"model.layers.3.{Q}.lora_a": matrix(32, 2), f"model.layers.3.{Q}.lora_b": matrix(2, 32)}
    whole = plain | {f"model.layers.3.{Q}.m": matrix(32)}
    with pytest.raises(ModelError, match=r"holds no magnitudes, but adapter_config\.json says DoRA"):
        read_adapter(mlx_folder(tmp_path / "a", plain, fine_tune_type="dora"), model)
    with pytest.raises(ModelError, match=r"holds DoRA's magnitudes, but adapter_config\.json says LoRA"):
        read_adapter(mlx_folder(tmp_path / "b", whole, fine_tune_type="lora"), model)
    assert read_lora(mlx_folder(tmp_path / "c", whole), model)[0].kind == "dora"


def test_a_run_folder_in_the_place_of_its_adapter_is_pointed_into(tmp_path: Path, model: ModelFacts) -> None:
    (tmp_path / "checkpoints").mkdir()
    peft_folder(tmp_path / "adapter", one_layer())
    with pytest.raises(ModelError, match=f"scale is unknown. It is a run: name {re.escape(str(tmp_path / 'adapter'))}"):
        adapter_config(tmp_path)
    with pytest.raises(ModelError, match=r"holds no adapter .* It is a run: name "):
        read_adapter(tmp_path, model)
    with pytest.raises(ModelError, match=r"none: there is no such adapter\.$"):
        read_adapter(tmp_path / "none", model)
    with pytest.raises(ModelError, match=r"scale is unknown\.$"):
        adapter_config(tmp_path / "checkpoints")
