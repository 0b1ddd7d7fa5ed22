"""What a llama model looks like. Owns: reading a GGUF file's metadata into a shape, and the shape as config.json.

Must not: touch weights or tokens.

The keys of config.json are the ones that transformers 4, transformers 5 and mlx-lm all read (`rope_theta` and
`rope_scaling` at the top, `torch_dtype`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from runoff.models.gguf_file import GgufFile

__all__ = ["LlamaShape", "config_json", "generation_config_json", "read_shape"]

_LLAMA3_LOW, _LLAMA3_HIGH, _LLAMA3_TRAINED_AT = 1.0, 4.0, 8192


@dataclass(frozen=True)
class LlamaShape:
    """Everything that decides how many weights there are, of which size, and what is done with them."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    context: int
    rms_epsilon: float
    rope_theta: float
    rope_scaling: dict[str, Any] | None
    tied: bool
    attention_bias: bool
    mlp_bias: bool


def read_shape(file: GgufFile) -> LlamaShape:
    """The shape of the model in the file; raises for what isn't a plain llama."""
    _refuse_other_models(file)
    hidden = file.get("llama.embedding_length", int)
    heads = file.get("llama.attention.head_count", int)
    head_dim = _head_dim(file, hidden, heads)
    rope_theta = _shortest(file.find("llama.rope.freq_base", float) or 10000.0)
    return LlamaShape(
        hidden=hidden,
        intermediate=file.get("llama.feed_forward_length", int),
        layers=file.get("llama.block_count", int),
        heads=heads,
        kv_heads=file.find("llama.attention.head_count_kv", int) or heads,
        head_dim=head_dim,
        vocabulary=_vocabulary(file),
        context=file.get("llama.context_length", int),
        rms_epsilon=_shortest(file.get("llama.attention.layer_norm_rms_epsilon", float)),
        rope_theta=rope_theta,
        rope_scaling=_rope_scaling(file, rope_theta, head_dim),
        tied="output.weight" not in file.tensors,
        attention_bias="blk.0.attn_q.bias" in file.tensors,
        mlp_bias="blk.0.ffn_down.bias" in file.tensors,
    )


def config_json(file: GgufFile, shape: LlamaShape, dtype: str) -> dict[str, Any]:
    """The content of config.json."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "vocab_size": shape.vocabulary,
        "max_position_embeddings": shape.context,
        "rms_norm_eps": shape.rms_epsilon,
        "rope_theta": shape.rope_theta,
        "rope_scaling": shape.rope_scaling,
        "tie_word_embeddings": shape.tied,
        "attention_bias": shape.attention_bias,
        "mlp_bias": shape.mlp_bias,
        "bos_token_id": file.find("tokenizer.ggml.bos_token_id", int),
        "eos_token_id": file.find("tokenizer.ggml.eos_token_id", int),
        "pad_token_id": file.find("tokenizer.ggml.padding_token_id", int),
        "torch_dtype": dtype,
    }


def generation_config_json(file: GgufFile) -> dict[str, Any]:
    """The content of generation_config.json: where an answer ends (of a turn, or of a text)."""
    ends = [file.find(f"tokenizer.ggml.{name}_token_id", int) for name in ("eos", "eot")]
    content = {
        "bos_token_id": file.find("tokenizer.ggml.bos_token_id", int),
        "eos_token_id": list(dict.fromkeys(end for end in ends if end is not None)) or None,
        "pad_token_id": file.find("tokenizer.ggml.padding_token_id", int),
    }
    return {key: value for key, value in content.items() if value is not None}


def _refuse_other_models(file: GgufFile) -> None:
    if (architecture := file.get("general.architecture", str)) != "llama":
        raise file.problem(f'its architecture is "{architecture}", and Runoff converts only "llama"')
    if experts := file.find("llama.expert_count", int):
        raise file.problem(f"it is a mixture of {experts} experts, and Runoff converts only dense llama models")


def _vocabulary(file: GgufFile) -> int:
    """The rows of the embedding: `llama.vocab_size` is optional, and the rows are what has to fit."""
    if (embedding := file.tensors.get("token_embd.weight")) is None:
        raise file.problem("it has no token_embd.weight, so it holds no whole model")
    return embedding.shape[0]


def _head_dim(file: GgufFile, hidden: int, heads: int) -> int:
    if heads < 1:
        raise file.problem(f"it states {heads} attention heads")
    keys = file.find("llama.attention.key_length", int) or hidden // heads
    if keys < 2 or keys % 2:
        raise file.problem(f"its attention heads have the size {keys}, which rope can't turn in pairs")
    for key in ("llama.attention.value_length", "llama.rope.dimension_count"):
        if (other := file.find(key, int) or keys) != keys:
            raise file.problem(f'its "{key}" is {other}, where a llama model has the size of a head, {keys}')
    return keys


def _shortest(value: float) -> float:
    """The shortest decimal that is the same float32: 1e-05, not 9.999999747378752e-06."""
    return float(str(np.float32(value)))


def _rope_scaling(file: GgufFile, theta: float, head_dim: int) -> dict[str, Any] | None:
    kind = file.find("llama.rope.scaling.type", str) or "none"
    if "rope_freqs.weight" in file.tensors:
        return _llama3_scaling(file, theta, head_dim)
    if kind == "none":
        return None
    if kind not in ("linear", "yarn"):
        raise file.problem(f'its rope scaling is "{kind}", and Runoff knows none, linear, yarn and llama3')
    scaling: dict[str, Any] = {"rope_type": kind, "factor": _shortest(file.get("llama.rope.scaling.factor", float))}
    if trained_at := file.find("llama.rope.scaling.original_context_length", int):
        scaling["original_max_position_embeddings"] = trained_at
    return scaling


def _llama3_scaling(file: GgufFile, theta: float, head_dim: int) -> dict[str, Any] | None:
    """Llama 3.1's scaling, which GGUF keeps as a table of divisors in place of the numbers that made it.

    The largest divisor is the factor; the other numbers have been the same in every Llama 3 there is. We make the
    table anew with them, and refuse the file if it comes out differently.
    """
    table = file.tensors["rope_freqs.weight"].unpacked().ravel()
    factor = float(table.max(initial=1.0))
    if np.all(table == 1.0):
        return None
    if table.size != head_dim // 2 or not np.allclose(table, _llama3_divisors(factor, theta, head_dim), rtol=1e-3):
        raise file.problem("its rope_freqs.weight is not the rope scaling of a Llama 3 model")
    return {
        "rope_type": "llama3",
        "factor": factor,
        "low_freq_factor": _LLAMA3_LOW,
        "high_freq_factor": _LLAMA3_HIGH,
        "original_max_position_embeddings": _LLAMA3_TRAINED_AT,
    }


def _llama3_divisors(factor: float, theta: float, head_dim: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    wavelengths = 2 * math.pi * theta ** (np.arange(0, head_dim, 2, dtype=np.float64) / head_dim)
    turns = _LLAMA3_TRAINED_AT / wavelengths  # how often a frequency turns within the context it was trained at
    kept = np.clip((turns - _LLAMA3_LOW) / (_LLAMA3_HIGH - _LLAMA3_LOW), 0.0, 1.0)
    return np.asarray(1 / ((1 - kept) / factor + kept))
