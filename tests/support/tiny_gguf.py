"""Small GGUF files for tests: any metadata and tensors, or a whole little llama with a tokenizer of its own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import quantize
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

from tests.support.varied_texts import VARIED_TEXTS

HIDDEN, INTERMEDIATE, LAYERS, HEADS, KV_HEADS, HEAD_DIM = 64, 96, 2, 4, 2, 16
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
USER_DEFINED = ("<think>", "</think>")
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"

Array = np.ndarray[Any, np.dtype[Any]]


def write_gguf(
    path: Path, metadata: Mapping[str, Any], tensors: Mapping[str, Array], types: Mapping[str, str] | None = None
) -> Path:
    """Tensors named in `types` are quantized, or stored as they are if they are bytes already; the rest is F32."""
    writer = GGUFWriter(path, "llama")
    for key, value in metadata.items():
        _add(writer, key, value)
    for name, values in tensors.items():
        kind = GGMLQuantizationType[(types or {}).get(name, "F32")]
        packed = values if values.dtype == np.uint8 else quantize(values, kind)
        writer.add_tensor(name, packed, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_tiny(
    path: Path,
    *,
    metadata: Mapping[str, Any] | None = None,
    tensors: Mapping[str, Array] | None = None,
    types: Mapping[str, str] | None = None,
    without: tuple[str, ...] = (),
) -> Path:
    """A whole little llama; what is given is put in its place, what is in `without` (keys or tensors) left out."""
    keys = {**tiny_metadata(), **(metadata or {})}
    weights = {**tiny_tensors(), **(tensors or {})}
    return write_gguf(
        path,
        {key: value for key, value in keys.items() if key not in without},
        {name: values for name, values in weights.items() if name not in without},
        types,
    )


def tiny_metadata() -> dict[str, Any]:
    tokens, merges = tiny_vocabulary()
    types = [3 if token in SPECIAL else 4 if token in USER_DEFINED else 1 for token in tokens]
    return {
        "llama.block_count": LAYERS,
        "llama.context_length": 128,
        "llama.embedding_length": HIDDEN,
        "llama.feed_forward_length": INTERMEDIATE,
        "llama.attention.head_count": HEADS,
        "llama.attention.head_count_kv": KV_HEADS,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.freq_base": 10000.0,
        "llama.rope.dimension_count": HEAD_DIM,
        "llama.vocab_size": len(tokens),
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": list(tokens),
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.merges": [f"{left} {right}" for left, right in merges],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.padding_token_id": 2,
        "tokenizer.chat_template": TEMPLATE,
    }


def tiny_tensors() -> dict[str, Array]:
    random = np.random.default_rng(0)

    def weight(*shape: int) -> Array:
        return (random.standard_normal(shape) * 0.1).astype(np.float32)

    vocabulary = len(tiny_vocabulary()[0])
    tensors = {"token_embd.weight": weight(vocabulary, HIDDEN), "output_norm.weight": weight(HIDDEN) + 1}
    for layer in range(LAYERS):
        tensors |= {
            f"blk.{layer}.attn_norm.weight": weight(HIDDEN) + 1,
            f"blk.{layer}.ffn_norm.weight": weight(HIDDEN) + 1,
            f"blk.{layer}.attn_q.weight": weight(HEADS * HEAD_DIM, HIDDEN),
            f"blk.{layer}.attn_k.weight": weight(KV_HEADS * HEAD_DIM, HIDDEN),
            f"blk.{layer}.attn_v.weight": weight(KV_HEADS * HEAD_DIM, HIDDEN),
            f"blk.{layer}.attn_output.weight": weight(HIDDEN, HEADS * HEAD_DIM),
            f"blk.{layer}.ffn_gate.weight": weight(INTERMEDIATE, HIDDEN),
            f"blk.{layer}.ffn_up.weight": weight(INTERMEDIATE, HIDDEN),
            f"blk.{layer}.ffn_down.weight": weight(HIDDEN, INTERMEDIATE),
        }
    return tensors


@cache
def tiny_vocabulary() -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Tokens and merges learnt without cutting words first, so that merges reach over every border a rule may draw."""
    import json

    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = BpeTrainer(
        vocab_size=900, initial_alphabet=alphabet, special_tokens=[*SPECIAL, *USER_DEFINED], show_progress=False
    )
    digits = [f"{space}{number}" for space in ("", " ", "  ", "\n", "\n\n") for number in (1, 12, 123, 333, 2024)]
    tokenizer.train_from_iterator([*VARIED_TEXTS, *digits * 5], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    return tuple(tokens), tuple((left, right) for left, right in model["merges"])


def permuted(rows: Array, heads: int) -> Array:
    """The order that llama.cpp's convert_hf_to_gguf.py puts query and key rows in."""
    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return halves.swapaxes(1, 2).reshape(rows.shape)


def _add(writer: GGUFWriter, key: str, value: Any) -> None:
    if key == "general.architecture":  # GGUFWriter has written one already
        writer.kv_data[0][key].value = value
    elif isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_array(key, value)
