"""The weights of a llama model. Owns: llama.cpp's names and order of rows turned into transformers', and rounding.

Must not: know about files other than the GGUF it reads from and the safetensors file it writes.

Why bfloat16: GGUF's 4- to 8-bit values are a 16-bit scale times a small integer, which needs up to 19 bits, so
whatever 16-bit type they are stored in rounds them. Measured on SmolLM2-135M-Instruct in Q4_1 against transformers'
loader in float32, on 2,000 tokens of English (logits up to 42, loss 4.26):

    stored as   size     largest difference of a logit   loss, nats per token
    float32     538 MB   0                               0
    float16     269 MB   0.05                            +0.0001
    bfloat16    269 MB   0.28                            +0.0002

The rounding is some 60 times finer than the 4 bits that the values come from, and all runs share it. float16
overflows in training, and float32 takes twice the disk and, in engines that compute in the stored type, twice the
memory. Only a file that is float32 throughout is kept so. Our values equal transformers', bit for bit, once these are
rounded to bfloat16, and so do the logits (tests/unit/models/test_smollm2.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from runoff.models.gguf_config import LlamaShape
from runoff.models.gguf_file import GgufFile, GgufTensor
from runoff.models.safetensors_file import write_safetensors

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["WeightPlan", "plan_weights", "stored_dtype", "to_bfloat16", "unpermuted", "write_weights"]

_DERIVED = ("rope_freqs.weight", ".attn_rot_embd.weight")  # follow from config.json


@dataclass(frozen=True)
class WeightPlan:
    """One weight: where it comes from, what it is called, and whether llama.cpp reordered the rows of its heads."""

    source: str
    target: str
    shape: tuple[int, ...]
    permuted_heads: int | None = None


def plan_weights(shape: LlamaShape) -> Iterator[WeightPlan]:
    """Every weight that a model of this shape has."""
    yield WeightPlan("token_embd.weight", "model.embed_tokens.weight", (shape.vocabulary, shape.hidden))
    yield WeightPlan("output_norm.weight", "model.norm.weight", (shape.hidden,))
    if not shape.tied:
        yield WeightPlan("output.weight", "lm_head.weight", (shape.vocabulary, shape.hidden))
    for layer in range(shape.layers):
        yield from _plan_layer(shape, layer)


def write_weights(file: GgufFile, shape: LlamaShape, path: Path) -> str:
    """Write them all as one safetensors file, one tensor in memory at a time; returns the type they are stored in."""
    plans = _checked_plans(file, shape)
    dtype = stored_dtype(file)
    code, stored = _STORED[dtype]
    arrays = (stored(_values(file.tensors[plan.source], plan)) for plan in plans)
    write_safetensors(path, {plan.target: plan.shape for plan in plans}, code, arrays)
    return dtype


def stored_dtype(file: GgufFile) -> str:
    """float32 if the file is float32 throughout, else bfloat16 (norms are always float32 in a GGUF file)."""
    return "float32" if {tensor.type_name for tensor in file.tensors.values()} == {"F32"} else "bfloat16"


def unpermuted(rows: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Undo llama.cpp's order of query and key rows, which puts the two that rope turns together side by side."""
    pairs = rows.reshape(heads, rows.shape[0] // heads // 2, 2, *rows.shape[1:])
    return pairs.swapaxes(1, 2).reshape(rows.shape)


def to_bfloat16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The bits of the nearest bfloat16 (ties to even), as numpy has no such type; NaN stays NaN."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    quiet_nan = (bits >> np.uint32(16)) | np.uint32(0x40)
    return np.where(np.isnan(values), quiet_nan, rounded).astype(np.uint16)


def _as_it_is(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return values


_STORED: dict[str, tuple[str, Callable[[NDArray[np.float32]], NDArray[np.float32] | NDArray[np.uint16]]]] = {
    "float32": ("F32", _as_it_is),
    "bfloat16": ("BF16", to_bfloat16),
}


def _plan_layer(shape: LlamaShape, layer: int) -> list[WeightPlan]:
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    linear = [
        ("attn_q", "self_attn.q_proj", queries, shape.hidden, shape.attention_bias, shape.heads),
        ("attn_k", "self_attn.k_proj", keys, shape.hidden, shape.attention_bias, shape.kv_heads),
        ("attn_v", "self_attn.v_proj", keys, shape.hidden, shape.attention_bias, None),
        ("attn_output", "self_attn.o_proj", shape.hidden, queries, shape.attention_bias, None),
        ("ffn_gate", "mlp.gate_proj", shape.intermediate, shape.hidden, shape.mlp_bias, None),
        ("ffn_up", "mlp.up_proj", shape.intermediate, shape.hidden, shape.mlp_bias, None),
        ("ffn_down", "mlp.down_proj", shape.hidden, shape.intermediate, shape.mlp_bias, None),
    ]
    old, new = f"blk.{layer}", f"model.layers.{layer}"
    plans = [
        WeightPlan(f"{old}.attn_norm.weight", f"{new}.input_layernorm.weight", (shape.hidden,)),
        WeightPlan(f"{old}.ffn_norm.weight", f"{new}.post_attention_layernorm.weight", (shape.hidden,)),
    ]
    for source, target, rows, columns, has_bias, heads in linear:
        plans.append(WeightPlan(f"{old}.{source}.weight", f"{new}.{target}.weight", (rows, columns), heads))
        if has_bias:
            plans.append(WeightPlan(f"{old}.{source}.bias", f"{new}.{target}.bias", (rows,), heads))
    return plans


def _checked_plans(file: GgufFile, shape: LlamaShape) -> list[WeightPlan]:
    """A weight that is missing, left over or of another size means a model that only calls itself a llama."""
    plans = []
    for plan in plan_weights(shape):  # one by one, as a damaged file may claim a billion layers
        if (tensor := file.tensors.get(plan.source)) is None:
            raise file.problem(f"it lacks the tensor {plan.source}")
        if tensor.shape != plan.shape:
            raise file.problem(f"its tensor {plan.source} is {tensor.shape}, where {plan.shape} is expected")
        plans.append(plan)
    for name in sorted(file.tensors.keys() - {plan.source for plan in plans}):
        if not name.endswith(_DERIVED):
            raise file.problem(f"its tensor {name} has no place in a llama model")
    return plans


def _values(tensor: GgufTensor, plan: WeightPlan) -> NDArray[np.float32]:
    values = tensor.unpacked()
    return values if plan.permuted_heads is None else unpermuted(values, plan.permuted_heads)
