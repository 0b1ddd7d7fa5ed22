"""Metadata: what becomes of it in config.json, and what is refused by name."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support import tiny_gguf as tiny
from tests.support.tiny_gguf import Array

from runoff.errors import ModelError
from runoff.models.gguf_convert import convert_gguf


def converted(path: Path) -> dict[str, Any]:
    convert_gguf(path, path.parent)
    content: dict[str, Any] = json.loads((path.parent / "config.json").read_text())
    return content


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as raised:
        convert_gguf(path, path.parent)
    sentence = str(raised.value)
    assert str(path) in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert not (path.parent / "model.safetensors").exists()
    return sentence


def test_config_says_what_the_metadata_says(tmp_path: Path) -> None:
    config = converted(tiny.write_tiny(tmp_path / "a.gguf"))
    assert config == {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "vocab_size": 900,
        "max_position_embeddings": 128,
        "rms_norm_eps": 1e-05,
        "rope_theta": 10000.0,
        "rope_scaling": None,
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 2,
        "torch_dtype": "float32",
    }


def test_an_answer_ends_with_the_turn_or_the_text(tmp_path: Path) -> None:
    converted(tiny.write_tiny(tmp_path / "a.gguf", metadata={"tokenizer.ggml.eot_token_id": 0}))
    generation = json.loads((tmp_path / "generation_config.json").read_text())
    assert generation == {"bos_token_id": 1, "eos_token_id": [2, 0], "pad_token_id": 2}


def test_every_query_head_has_its_own_keys_unless_told_otherwise(tmp_path: Path) -> None:
    whole = tiny.tiny_tensors()
    keys = {name: np.tile(whole[name], (2, 1)) for name in whole if "attn_k." in name or "attn_v." in name}
    path = tiny.write_tiny(tmp_path / "a.gguf", tensors=keys, without=("llama.attention.head_count_kv",))
    assert converted(path)["num_key_value_heads"] == 4


def test_a_size_of_heads_may_be_stated(tmp_path: Path) -> None:
    whole = tiny.tiny_tensors()
    wide = {
        name: np.tile(whole[name], (2, 1)) for name in whole if ".attn_" in name and name[11:13] in ("q.", "k.", "v.")
    }
    wide |= {name: np.tile(whole[name], (1, 2)) for name in whole if "attn_output" in name}
    sizes = {"llama.attention.key_length": 32, "llama.attention.value_length": 32, "llama.rope.dimension_count": 32}
    assert converted(tiny.write_tiny(tmp_path / "a.gguf", metadata=sizes, tensors=wide))["head_dim"] == 32


@pytest.mark.parametrize(
    ("metadata", "scaling"),
    [
        ({"llama.rope.scaling.type": "none"}, None),
        (
            {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0},
            {"rope_type": "linear", "factor": 4.0},
        ),
        (
            {
                "llama.rope.scaling.type": "yarn",
                "llama.rope.scaling.factor": 2.5,
                "llama.rope.scaling.original_context_length": 64,
            },
            {"rope_type": "yarn", "factor": 2.5, "original_max_position_embeddings": 64},
        ),
    ],
)
def test_rope_scaling_is_carried_over(metadata: dict[str, Any], scaling: dict[str, Any] | None, tmp_path: Path) -> None:
    assert converted(tiny.write_tiny(tmp_path / "a.gguf", metadata=metadata))["rope_scaling"] == scaling


@pytest.mark.parametrize("factor", [8.0, 32.0])
def test_llama_3_scaling_is_found_again_from_its_table(factor: float, tmp_path: Path) -> None:
    """The table of convert_hf_to_gguf.py. transformers' own loader (5.23) leaves it out, and the scaling with it."""
    transformers = pytest.importorskip("transformers")
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    path = tiny.write_tiny(
        tmp_path / "a.gguf",
        metadata={"llama.rope.freq_base": 500000.0, "llama.context_length": 131072},
        tensors={"rope_freqs.weight": llama3_table(factor, 500000.0)},
    )
    assert converted(path)["rope_scaling"] == {
        "rope_type": "llama3",
        "factor": factor,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    read_back = transformers.AutoConfig.from_pretrained(tmp_path)
    frequencies, _ = ROPE_INIT_FUNCTIONS["llama3"](read_back, "cpu")
    plain = 500000.0 ** -(np.arange(0, tiny.HEAD_DIM, 2) / tiny.HEAD_DIM)
    np.testing.assert_allclose(plain / frequencies.numpy(), llama3_table(factor, 500000.0), rtol=1e-5)
    theirs = transformers.AutoConfig.from_pretrained(tmp_path, gguf_file="a.gguf")
    assert theirs.rope_parameters["rope_type"] == "default"


def llama3_table(factor: float, theta: float) -> Array:
    divisors = []
    for at in range(0, tiny.HEAD_DIM, 2):
        wavelength = 2 * math.pi * theta ** (at / tiny.HEAD_DIM)
        if wavelength < 8192 / 4:
            divisors.append(1.0)
        elif wavelength > 8192 / 1:
            divisors.append(factor)
        else:
            smooth = (8192 / wavelength - 1) / (4 - 1)
            divisors.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(divisors, np.float32)


def test_a_table_of_ones_is_no_scaling(tmp_path: Path) -> None:
    ones = {"rope_freqs.weight": np.ones(tiny.HEAD_DIM // 2, np.float32)}
    assert converted(tiny.write_tiny(tmp_path / "a.gguf", tensors=ones))["rope_scaling"] is None


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"general.architecture": "qwen3"}, 'architecture is "qwen3"'),
        ({"llama.expert_count": 8}, "mixture of 8 experts"),
        ({"llama.rope.scaling.type": "longrope"}, 'rope scaling is "longrope"'),
        ({"llama.rope.dimension_count": 8}, '"llama.rope.dimension_count" is 8'),
        ({"llama.attention.value_length": 8}, '"llama.attention.value_length" is 8'),
        ({"llama.attention.head_count_kv": [2, 1]}, '"llama.attention.head_count_kv" is list'),
        ({"llama.attention.key_length": 15}, "heads have the size 15"),
        ({"llama.attention.head_count": 0}, "states 0 attention heads"),
        ({"llama.block_count": 3}, "lacks the tensor blk.2.attn_norm.weight"),
        ({"llama.block_count": 2**32 - 1}, "lacks the tensor blk.2.attn_norm.weight"),
        ({"llama.block_count": 1}, "tensor blk.1.attn_k.weight has no place"),
        ({"llama.feed_forward_length": 97}, "(96, 64), where (97, 64) is expected"),
        ({"split.count": 3}, "one of the 3 files"),
    ],
)
def test_other_models_are_refused_by_name(metadata: dict[str, Any], words: str, tmp_path: Path) -> None:
    assert words in refusal(tiny.write_tiny(tmp_path / "a.gguf", metadata=metadata))


@pytest.mark.parametrize(
    "key",
    [
        "llama.embedding_length",
        "llama.context_length",
        "llama.attention.layer_norm_rms_epsilon",
        "tokenizer.ggml.model",
        "tokenizer.ggml.tokens",
        "tokenizer.ggml.merges",
    ],
)
def test_what_the_metadata_lacks_is_named(key: str, tmp_path: Path) -> None:
    assert f'lacks "{key}"' in refusal(tiny.write_tiny(tmp_path / "a.gguf", without=(key,)))


def test_a_vocabulary_alone_is_no_model(tmp_path: Path) -> None:
    assert "no token_embd.weight" in refusal(tiny.write_tiny(tmp_path / "a.gguf", without=("token_embd.weight",)))


def test_an_unknown_table_of_frequencies_is_refused(tmp_path: Path) -> None:
    table = {"rope_freqs.weight": np.linspace(1, 9, tiny.HEAD_DIM // 2, dtype=np.float32)}
    assert "rope_freqs.weight" in refusal(tiny.write_tiny(tmp_path / "a.gguf", tensors=table))


def test_another_type_of_tensor_is_refused_by_name(tmp_path: Path) -> None:
    ternary = {"blk.0.ffn_down.weight": np.zeros((64, 66), np.uint8)}  # 256 columns in blocks of 66 bytes
    path = tiny.write_tiny(tmp_path / "a.gguf", tensors=ternary, types={"blk.0.ffn_down.weight": "TQ2_0"})
    assert "blk.0.ffn_down.weight is of type TQ2_0" in refusal(path)


@pytest.mark.parametrize("content", [b"", b"GGUF", b"not a model at all", b"GGUF" + bytes(200), bytes(range(256)) * 9])
def test_garbage_is_called_garbage(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(content)
    assert "not a whole GGUF file" in refusal(path) or content == b"GGUF" + bytes(200)


def test_a_file_cut_short_anywhere_is_refused(tmp_path: Path) -> None:
    path = tiny.write_tiny(tmp_path / "a.gguf")
    whole = path.read_bytes()
    for share in np.linspace(0, 0.999, 30):
        path.write_bytes(whole[: int(len(whole) * share)])
        assert "not a whole GGUF file" in refusal(path)


def test_a_damaged_header_never_ends_in_anything_but_a_sentence(tmp_path: Path) -> None:
    path = tiny.write_tiny(tmp_path / "a.gguf")
    whole = path.read_bytes()
    header = whole.index(b"blk.1.ffn_down.weight") + 64
    chance = random.Random(0)
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(chance.choice((1, 1, 2, 8))):
            damaged[chance.randrange(header)] = chance.randrange(256)
        path.write_bytes(damaged)
        try:
            convert_gguf(path, tmp_path)
        except ModelError as error:
            assert "\n" not in str(error)  # noqa: PT017
