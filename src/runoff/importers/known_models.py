"""Shapes of base models that people fine-tune, for counts where the base itself is not at hand.

Numbers from each model's config.json on the Hugging Face hub. Owns: the table and the arithmetic of parameters. Must
not: guess: a name that is not here is unknown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from runoff.plan import LinearLayer

__all__ = ["KnownModel", "known_model"]

_SUFFIXES = re.compile(
    r"[-_](instruct|base|it|pt|chat|bf16|fp16|\d+bit|mlx|dwq|gguf|bnb|unsloth|qat|v0\.\d|\d{4}|128k|4k)(?=[-_]|$)"
)


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A decoder: blocks, width, inner width of the MLP, query and key-value heads, and what is beside the matrices.

    block_norms: vectors of `width` in a block; head_norms: those of `head`; biases: of query, key and value.
    """

    blocks: int
    width: int
    inner: int
    heads: int
    kv_heads: int
    head: int
    vocabulary: int
    tied: bool = True
    block_norms: int = 2
    head_norms: int = 0
    biases: bool = False
    fused: bool = False

    @property
    def layers(self) -> tuple[LinearLayer, ...]:
        """Every linear layer of every block."""
        query, key = self.heads * self.head, self.kv_heads * self.head
        attention = [("q_proj", query), ("k_proj", key), ("v_proj", key)]
        feed = [("gate_proj", self.inner), ("up_proj", self.inner)]
        if self.fused:
            attention, feed = [("qkv_proj", query + 2 * key)], [("gate_up_proj", 2 * self.inner)]
        shapes = [(f"self_attn.{name}", self.width, out) for name, out in attention]
        shapes += [("self_attn.o_proj", query, self.width), ("mlp.down_proj", self.inner, self.width)]
        shapes += [(f"mlp.{name}", self.width, out) for name, out in feed]
        return tuple(LinearLayer(block, *shape) for block in range(self.blocks) for shape in sorted(shapes))

    @property
    def parameters(self) -> int:
        """All of the base."""
        matrices = sum(layer.in_features * layer.out_features for layer in self.layers)
        biases = (self.heads + 2 * self.kv_heads) * self.head if self.biases else 0
        small = self.block_norms * self.width + self.head_norms * self.head + biases
        ends = self.vocabulary * self.width * (1 if self.tied else 2) + self.width
        return matrices + self.blocks * small + ends


def known_model(name: str) -> KnownModel | None:
    """By the last part of an id or path, without size-neutral endings (-Instruct, -4bit, ...)."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2].lower().replace("meta-llama-", "llama-")
    while (shorter := _SUFFIXES.sub("", last)) != last:
        last = shorter
    return _MODELS.get(last)


_MODELS = {
    "smollm2-135m": KnownModel(30, 576, 1536, 9, 3, 64, 49152),
    "smollm2-360m": KnownModel(32, 960, 2560, 15, 5, 64, 49152),
    "smollm2-1.7b": KnownModel(24, 2048, 8192, 32, 32, 64, 49152),
    "smollm3-3b": KnownModel(36, 2048, 11008, 16, 4, 128, 128256),
    "qwen2.5-0.5b": KnownModel(24, 896, 4864, 14, 2, 64, 151936, biases=True),
    "qwen2.5-1.5b": KnownModel(28, 1536, 8960, 12, 2, 128, 151936, biases=True),
    "qwen2.5-3b": KnownModel(36, 2048, 11008, 16, 2, 128, 151936, biases=True),
    "qwen2.5-7b": KnownModel(28, 3584, 18944, 28, 4, 128, 152064, tied=False, biases=True),
    "qwen3-0.6b": KnownModel(28, 1024, 3072, 16, 8, 128, 151936, head_norms=2),
    "qwen3-1.7b": KnownModel(28, 2048, 6144, 16, 8, 128, 151936, head_norms=2),
    "qwen3-4b": KnownModel(36, 2560, 9728, 32, 8, 128, 151936, head_norms=2),
    "qwen3-8b": KnownModel(36, 4096, 12288, 32, 8, 128, 151936, tied=False, head_norms=2),
    "llama-3.2-1b": KnownModel(16, 2048, 8192, 32, 8, 64, 128256),
    "llama-3.2-3b": KnownModel(28, 3072, 8192, 24, 8, 128, 128256),
    "llama-3.1-8b": KnownModel(32, 4096, 14336, 32, 8, 128, 128256, tied=False),
    "mistral-7b": KnownModel(32, 4096, 14336, 32, 8, 128, 32000, tied=False),
    "gemma-2-2b": KnownModel(26, 2304, 9216, 8, 4, 256, 256000, block_norms=4),
    "gemma-3-270m": KnownModel(18, 640, 2048, 4, 1, 256, 262144, block_norms=4, head_norms=2),
    "gemma-3-1b": KnownModel(26, 1152, 6912, 4, 1, 256, 262144, block_norms=4, head_norms=2),
    "phi-3.5-mini": KnownModel(32, 3072, 8192, 32, 32, 96, 32064, tied=False, fused=True),
}
