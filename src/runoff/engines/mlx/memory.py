"""What positions further back remember of those that stand before them, in the interface of mlx_lm's caches.

Owns: a block's keys and values of what rows begin with alike, so that it is computed once, with its gradient. Must not:
know which positions these are. mlx_lm's own caches write into place, through which no gradient flows.
"""

from __future__ import annotations

from typing import Any

import mlx.core as mx
from mlx_lm.models.base import create_causal_mask

__all__ = ["Memory"]


class Memory:
    """Keys and values (rows, kv heads, positions, d) of one block, after those of `before`, the same for every row."""

    def __init__(self, before: Memory | None = None) -> None:
        self._before = before
        self._own: tuple[mx.array, mx.array] | None = None
        self.offset: int = 0 if before is None else before.length

    @property
    def length(self) -> int:
        """Positions seen so far."""
        return self.offset + (0 if self._own is None else self._own[0].shape[2])

    def update_and_fetch(self, keys: mx.array, values: mx.array) -> tuple[mx.array, mx.array]:
        """Remember a pass's own, and give all that its positions may look at."""
        self._own = keys, values
        if self._before is None:
            return keys, values
        assert self._before._own is not None
        older, oldest = self._before._own
        return _after(older, keys), _after(oldest, values)

    def make_mask(self, positions: int, return_array: bool = False, window_size: int | None = None) -> Any:
        """What mlx_lm.models.base.create_attention_mask makes without a cache, for positions further back."""
        windowed = window_size is not None and self.offset + positions > window_size
        if return_array or windowed:
            return create_causal_mask(positions, self.offset, window_size=window_size)
        return None if positions == 1 else "causal"


def _after(shared: mx.array, own: mx.array) -> mx.array:
    return mx.concatenate([mx.broadcast_to(shared, (own.shape[0], *shared.shape[1:])), own], axis=2)
