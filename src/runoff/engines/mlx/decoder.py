"""Token by token on MLX: left-padded prompts, mlx_lm's own batched key-value cache. Must not: pick tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mlx.core as mx
import numpy as np
import numpy.typing as npt
from mlx_lm.models.cache import BatchKVCache, BatchRotatingKVCache, KVCache, RotatingKVCache, make_prompt_cache

from runoff.errors import EngineError

__all__ = ["MlxDecoder"]


class MlxDecoder:
    """Implements `runoff.engines.generation.Decoder`; pads on the left are never attended to."""

    def __init__(self, model: Any, prompts: Sequence[npt.NDArray[np.int32]]) -> None:
        width = max(len(prompt) for prompt in prompts)
        padding = [width - len(prompt) for prompt in prompts]
        ids = np.zeros((len(prompts), width), dtype=np.int32)
        for row, prompt in enumerate(prompts):
            ids[row, padding[row] :] = prompt
        self._model = model
        self._cache = [_batched(single, padding) for single in make_prompt_cache(model)]
        self._logits = self._forward(mx.array(ids))

    def logits(self) -> npt.NDArray[np.float32]:
        """(rows, vocabulary) of the next token."""
        return np.array(self._logits)

    def push(self, ids: npt.NDArray[np.int32]) -> None:
        """Append one token to each row."""
        self._logits = self._forward(mx.array(ids)[:, None])

    def keep(self, rows: Sequence[int]) -> None:
        """Only these rows go on."""
        kept = mx.array(list(rows))
        self._logits = self._logits[kept]
        for cache in self._cache:
            cache.filter(kept)

    def _forward(self, ids: mx.array) -> mx.array:
        logits: mx.array = self._model(ids, cache=self._cache)[:, -1].astype(mx.float32)
        mx.eval(logits)
        return logits


def _batched(single: Any, padding: list[int]) -> Any:
    """The cache for many rows that does what the model's own does for one."""
    if type(single) is KVCache:
        return BatchKVCache(padding)
    if type(single) is RotatingKVCache:
        return BatchRotatingKVCache(single.max_size, padding)
    raise EngineError(f"answers can't be generated with a {type(single).__name__} on MLX yet. Set engine: torch.")
