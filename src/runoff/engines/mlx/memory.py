"""What positions further back remember of those that stand before them, in the interface of mlx_lm's caches.

Owns: a block's keys and values of what rows begin with alike, so that it is computed once, with its gradient; and the
passes of a row and its forks, each of which remembers the one before. Must not: run them. mlx_lm's own caches write
into place, through which no gradient flows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import mlx.core as mx
from mlx_lm.models.base import create_causal_mask

from runoff.data import Forked

__all__ = ["Memory", "passes"]


class Memory:
    """One block's keys and values of a pass, after the first `offset` positions of another pass.

    Those are the same for every row of this one. A block that is left out remembers nothing, and is never asked.
    """

    def __init__(self, before: Memory | None = None, offset: int = 0) -> None:
        self.arrays: tuple[mx.array, ...] = ()
        self.offset = offset
        self._before = before

    def update_and_fetch(self, keys: mx.array, values: mx.array) -> tuple[mx.array, ...]:
        """Remember a pass, and give all that its positions may look at: (rows, kv heads, positions, d) each."""
        self.arrays = keys, values
        if self._before is not None and self.offset:
            older = (array[:, :, : self.offset] for array in self._before.arrays)
            self.arrays = tuple(map(_after, older, (keys, values)))
        return self.arrays

    def make_mask(self, positions: int, return_array: bool = False, window_size: int | None = None) -> Any:
        """What mlx_lm.models.base.create_attention_mask makes without a cache, for positions further back."""
        windowed = window_size is not None and self.offset + positions > window_size
        if return_array or windowed:
            return create_causal_mask(positions, self.offset, window_size=window_size)
        return None if positions == 1 else "causal"


def passes(forked: Forked, opening: int, memories: Sequence[Memory]) -> Iterator[tuple[slice, list[Memory]]]:
    """Where in a row's and its forks' ids each pass lies, and what it goes on from, for each block.

    First the row's own after so many of an opening's, which `memories` are of, then each fork's. To be run in turn.
    """
    length = len(forked.row.ids)
    row = [Memory(one, opening) for one in memories]
    yield slice(opening, length), row
    for fork in forked.forks:
        if len(fork.ids):
            yield slice(length, length + len(fork.ids)), [Memory(one, fork.at) for one in row]
            length += len(fork.ids)


def _after(shared: mx.array, own: mx.array) -> mx.array:
    return mx.concatenate([mx.broadcast_to(shared, (own.shape[0], *shared.shape[1:])), own], axis=2)
