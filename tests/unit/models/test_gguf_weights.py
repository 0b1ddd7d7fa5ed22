"""Weights: each packed type against arithmetic written out from ggml's own definition, order of rows, rounding."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from tests.support import tiny_gguf as tiny
from tests.support.tiny_gguf import Array

from runoff.models.gguf_convert import convert_gguf
from runoff.models.gguf_file import open_gguf
from runoff.models.gguf_weights import to_bfloat16, unpermuted

ROWS, COLUMNS = 3, 512


def half(block: Array, at: int) -> float:
    return float(block[at : at + 2].view(np.float16)[0])


def q8_0(block: Array) -> list[float]:
    return [half(block, 0) * int(value) for value in block[2:].view(np.int8)]


def q4_0(block: Array) -> list[float]:
    low, high = [int(byte) & 15 for byte in block[2:]], [int(byte) >> 4 for byte in block[2:]]
    return [half(block, 0) * (value - 8) for value in low + high]


def q4_1(block: Array) -> list[float]:
    low, high = [int(byte) & 15 for byte in block[4:]], [int(byte) >> 4 for byte in block[4:]]
    return [half(block, 0) * value + half(block, 2) for value in low + high]


def fifth_bits(four: Array) -> list[int]:
    bits = int.from_bytes(four.tobytes(), "little")
    return [(bits >> at) & 1 for at in range(32)]


def q5_0(block: Array) -> list[float]:
    four = [int(byte) & 15 for byte in block[6:]] + [int(byte) >> 4 for byte in block[6:]]
    return [half(block, 0) * (value + 16 * bit - 16) for value, bit in zip(four, fifth_bits(block[2:6]), strict=True)]


def q5_1(block: Array) -> list[float]:
    four = [int(byte) & 15 for byte in block[8:]] + [int(byte) >> 4 for byte in block[8:]]
    return [
        half(block, 0) * (value + 16 * bit) + half(block, 2)
        for value, bit in zip(four, fifth_bits(block[4:8]), strict=True)
    ]


def k_scale_and_minimum(at: int, packed: Array) -> tuple[int, int]:
    """get_scale_min_k4 of ggml-quants.c: eight 6-bit scales and eight 6-bit minima in twelve bytes."""
    q = [int(byte) for byte in packed]
    if at < 4:
        return q[at] & 63, q[at + 4] & 63
    return (q[at + 4] & 15) | ((q[at - 4] >> 6) << 4), (q[at + 4] >> 4) | ((q[at] >> 6) << 4)


def q4_k(block: Array) -> list[float]:
    values = []
    for group in range(8):
        scale, minimum = k_scale_and_minimum(group, block[4:16])
        for byte in block[16 + 32 * (group // 2) :][:32]:
            four = int(byte) >> 4 if group % 2 else int(byte) & 15
            values.append(half(block, 0) * scale * four - half(block, 2) * minimum)
    return values


def q5_k(block: Array) -> list[float]:
    values = []
    for group in range(8):
        scale, minimum = k_scale_and_minimum(group, block[4:16])
        for byte, fifth in zip(block[48 + 32 * (group // 2) :][:32], block[16:48], strict=True):
            five = (int(byte) >> 4 if group % 2 else int(byte) & 15) + 16 * ((int(fifth) >> group) & 1)
            values.append(half(block, 0) * scale * five - half(block, 2) * minimum)
    return values


def q6_k(block: Array) -> list[float]:
    low, high, scales = block[:128], block[128:192], block[192:208].view(np.int8)
    values = [0.0] * 256
    for part in range(2):  # dequantize_row_q6_K of ggml-quants.c
        for at in range(32):
            for quarter in range(4):
                byte = int(low[64 * part + at + 32 * (quarter % 2)])
                four = byte >> 4 if quarter > 1 else byte & 15
                six = four | (((int(high[32 * part + at]) >> (2 * quarter)) & 3) << 4)
                scale = int(scales[8 * part + at // 16 + 2 * quarter])
                values[128 * part + 32 * quarter + at] = half(block, 208) * scale * (six - 32)
    return values


# type: bytes of a block, where its 16-bit scales lie, the arithmetic
PACKED = {
    "Q8_0": (34, (0,), q8_0),
    "Q4_0": (18, (0,), q4_0),
    "Q4_1": (20, (0, 2), q4_1),
    "Q5_0": (22, (0,), q5_0),
    "Q5_1": (24, (0, 2), q5_1),
    "Q4_K": (144, (0, 2), q4_k),
    "Q5_K": (176, (0, 2), q5_k),
    "Q6_K": (210, (208,), q6_k),
}


@pytest.mark.parametrize("kind", PACKED)
def test_unpacks_as_ggml_defines_it(kind: str, tmp_path: Path) -> None:
    size, scales, arithmetic = PACKED[kind]
    random = np.random.default_rng(1)
    per_row = COLUMNS // (256 if kind.endswith("_K") else 32)
    blocks = random.integers(0, 256, (ROWS, per_row, size), dtype=np.uint8)
    for at in scales:  # any bits will do, but a scale that is infinite or NaN
        blocks[..., at : at + 2] = random.standard_normal((ROWS, per_row, 1)).astype(np.float16).view(np.uint8)
    path = tiny.write_gguf(tmp_path / "a.gguf", {}, {"t": blocks.reshape(ROWS, -1)}, {"t": kind})

    tensor = open_gguf(path).tensors["t"]
    expected = np.array([[value for block in row for value in arithmetic(block)] for row in blocks])

    assert (tensor.type_name, tensor.shape) == (kind, (ROWS, COLUMNS))
    np.testing.assert_allclose(tensor.unpacked(), expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize(("kind", "steps"), [("Q8_0", 127), ("Q5_0", 16), ("Q5_1", 31), ("Q4_0", 8), ("Q4_1", 15)])
def test_values_survive_packing_as_well_as_the_type_allows(kind: str, steps: int, tmp_path: Path) -> None:
    values = np.random.default_rng(2).uniform(-1, 1, (ROWS, COLUMNS)).astype(np.float32)
    path = tiny.write_gguf(tmp_path / "a.gguf", {}, {"t": values}, {"t": kind})
    assert np.abs(open_gguf(path).tensors["t"].unpacked() - values).max() <= 1.01 / steps


@pytest.mark.parametrize(("kind", "dtype"), [("F32", "float32"), ("F16", "bfloat16"), ("BF16", "bfloat16")])
def test_unpacked_floats_are_stored_exactly_if_they_are_bfloat16(kind: str, dtype: str, tmp_path: Path) -> None:
    # float16 has fewer digits than bfloat16 below 6e-5, so nothing so small
    tensors = {name: bfloat16_of(np.where(abs(v) < 1e-4, 0, v)) for name, v in tiny.tiny_tensors().items()}
    types = {name: kind for name, values in tensors.items() if values.ndim == 2}
    path = tiny.write_tiny(tmp_path / "a.gguf", tensors=tensors, types=types)

    assert convert_gguf(path, tmp_path) == dtype
    stored = read_weights(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(stored["model.embed_tokens.weight"], tensors["token_embd.weight"])
    np.testing.assert_array_equal(stored["model.layers.1.mlp.down_proj.weight"], tensors["blk.1.ffn_down.weight"])
    assert json.loads((tmp_path / "config.json").read_text())["torch_dtype"] == dtype


@given(st.integers(1, 6), st.integers(1, 8), st.integers(0, 5))
def test_undoes_llama_cpp_order_of_rows(heads: int, half_head: int, columns: int) -> None:
    shape = (heads * half_head * 2, columns) if columns else (heads * half_head * 2,)
    rows = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    np.testing.assert_array_equal(unpermuted(tiny.permuted(rows, heads), heads), rows)


def test_llama_cpp_order_puts_the_pair_that_rope_turns_side_by_side() -> None:
    assert tiny.permuted(np.arange(8), 1).tolist() == [0, 4, 1, 5, 2, 6, 3, 7]
    assert unpermuted(np.array([0, 4, 1, 5, 2, 6, 3, 7], np.float32), 1).tolist() == list(range(8))


@given(st.integers(0, 2**32 - 1))
def test_rounds_to_the_nearest_bfloat16_and_halves_to_even(bits: int) -> None:
    value = np.array([bits], np.uint32).view(np.float32)
    rounded = int(to_bfloat16(value)[0])
    as_float = np.array([rounded << 16], np.uint32).view(np.float32)
    if np.isnan(value[0]):
        assert np.isnan(as_float[0])
        return
    assert rounded == nearest_bfloat16(bits)


def nearest_bfloat16(bits: int) -> int:
    """By distance: a float's bits, without the sign, count evenly between neighbours of one exponent."""
    sign, size = bits & 0x80000000, bits & 0x7FFFFFFF
    below = size >> 16
    over = size - (below << 16)
    up = over > 0x8000 or (over == 0x8000 and below % 2 == 1)
    return (sign >> 16) | (below + up)


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=20))
def test_rounds_as_torch_does(values: list[float]) -> None:
    torch = pytest.importorskip("torch")
    array = np.array(values, np.float32)
    theirs = torch.from_numpy(array).to(torch.bfloat16).view(torch.int16).numpy().view(np.uint16)
    np.testing.assert_array_equal(to_bfloat16(array), theirs)


@pytest.mark.parametrize("biases", [False, True])
def test_a_transformers_model_comes_back_as_it_was(biases: bool, tmp_path: Path) -> None:
    """Names, order of rows, grouped heads, biases, an output of its own: a random model, written as llama.cpp does."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    model = random_llama(biases)
    path = write_as_llama_cpp(tmp_path / "model.gguf", model)

    convert_gguf(path, tmp_path)

    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    assert again.dtype == torch.float32
    theirs = again.state_dict()
    for name, values in model.state_dict().items():
        assert torch.equal(theirs[name], values), name
    ids = torch.arange(40)[None] * 7 % model.config.vocab_size
    assert torch.equal(again(ids).logits, model(ids).logits)


def random_llama(biases: bool) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tiny.tiny_vocabulary()[0]),
            hidden_size=tiny.HIDDEN,
            intermediate_size=tiny.INTERMEDIATE,
            num_hidden_layers=tiny.LAYERS,
            num_attention_heads=tiny.HEADS,
            num_key_value_heads=tiny.KV_HEADS,
            rms_norm_eps=1e-5,
            attention_bias=biases,
            mlp_bias=biases,
            tie_word_embeddings=False,
        )
    ).eval()
    with torch.no_grad():
        for name, values in model.named_parameters():
            if name.endswith("bias") or "norm" in name:
                values.add_(torch.randn_like(values) * 0.1)
    return model


def write_as_llama_cpp(path: Path, model: Any) -> Path:
    from gguf import MODEL_ARCH, get_tensor_name_map

    names = get_tensor_name_map(MODEL_ARCH.LLAMA, tiny.LAYERS)
    tensors = {}
    for name, values in model.state_dict().items():
        array = values.numpy()
        if "q_proj" in name:
            array = tiny.permuted(array, tiny.HEADS)
        if "k_proj" in name:
            array = tiny.permuted(array, tiny.KV_HEADS)
        tensors[names.get_name(name, (".weight", ".bias"))] = array
    return tiny.write_gguf(path, tiny.tiny_metadata(), tensors)


def bfloat16_of(values: Array) -> Array:
    return (to_bfloat16(values).astype(np.uint32) << np.uint32(16)).view(np.float32)


def read_weights(path: Path) -> dict[str, Array]:
    torch = pytest.importorskip("torch")
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name).to(torch.float32).numpy() for name in file.keys()}  # noqa: SIM118
