"""The blocks below the lowest adapted one on MLX: their states for a row are computed once, and kept.

Owns: where the trunk ends, each row's states there, and whether an architecture's own code can be split and resumed.
Must not: know adapters, which all lie above.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import mlx.core as mx
import numpy as np
import numpy.typing as npt

from runoff.data import Forked
from runoff.engines.mlx.lanes import Lanes
from runoff.engines.mlx.memory import Memory, passes
from runoff.engines.mlx.views import resumed, run_blocks, states_below
from runoff.engines.recent import Recent
from runoff.engines.trunk import OPENINGS, Boundary, State, states_key

__all__ = ["Trunk"]

TRIED = 16
"""Positions of the self-tests."""


class _Opening(NamedTuple):
    """length: its positions. states: (1, positions, d) at the boundary, if there are any. memories: of all blocks."""

    length: int
    states: list[mx.array]
    memories: list[Memory]


class Trunk:
    """The lower part of a model; all of it may be above."""

    def __init__(self, inner: Any, vocabulary: int, lanes: Lanes) -> None:
        self._end = Boundary(len(inner.layers))
        self._inner, self._vocabulary, self._lanes = inner, vocabulary, lanes
        self._openings: Recent[_Opening] = Recent(OPENINGS)

    @property
    def boundary(self) -> int:
        """The first block that is not the trunk's."""
        return self._end.block

    def share(self, lowest_block: int, *, budget_bytes: int, folder: Path | None) -> str:
        """End below this block from now on, if the split gives what the whole gives."""
        return self._end.move(lowest_block, self._splits_at, budget_bytes=budget_bytes, folder=folder)

    def serving(self, lowest_block: int) -> int:
        """From which block an adapter that begins at this one can start; 0 if the trunk does not serve it."""
        return self._end.serving(lowest_block)

    def opening(self, row: Forked) -> int:
        """How many of a row's first ids are computed once for all rows that have them."""
        return row.opening if self.remembers else 0

    def states(self, rows: Sequence[Forked]) -> list[mx.array]:
        """(ids, d) of each row and its forks behind it, by itself: kept ones are as fresh ones to the bit."""
        kept = [self._end.kept.get(self._key(row)) if self._end.kept else None for row in rows]
        fresh = self._fresh([row for row, states in zip(rows, kept, strict=True) if states is None])
        return [next(fresh) if states is None else _from_array(states) for states in kept]

    def _key(self, row: Forked) -> str:
        return states_key(row, self.opening(row))

    def _fresh(self, rows: Sequence[Forked]) -> Iterator[mx.array]:
        """On one thread each, whatever the number of rows, for other threads may give other last bits."""
        side_by_side = max(len(self._lanes.streams), 1)
        for start in range(0, len(rows), side_by_side):
            some = rows[start : start + side_by_side]
            openings = [self._lanes.each([row], self._opening, threads=1)[0] for row in some]
            found = self._lanes.each(list(zip(some, openings, strict=True)), self._below, threads=1)
            mx.eval(found)
            for row, states in zip(some, found, strict=True):
                if self._end.kept is not None:
                    self._end.kept.put(self._key(row), _to_array(states))
                yield states

    def _opening(self, row: Forked) -> _Opening:
        ids = row.ids[: self.opening(row)]
        return self._openings.get((self.boundary, ids.tobytes()), lambda: self._read(ids))

    def _read(self, ids: npt.NDArray[np.int32]) -> _Opening:
        memories = [Memory() for _ in self._inner.layers]
        if not len(ids):
            return _Opening(0, [], memories)
        states = states_below(self._inner, self.boundary, mx.array(ids)[None], memories)
        mx.eval(states, [one.arrays for one in memories])
        return _Opening(len(ids), [states], memories)

    def _below(self, given: tuple[Forked, _Opening]) -> mx.array:
        row, opening = given
        ids, found = mx.array(row.ids)[None], opening.states
        if not self.remembers:
            return states_below(self._inner, self.boundary, ids)[0]
        for span, memories in passes(row, opening.length, opening.memories):
            found = [*found, states_below(self._inner, self.boundary, ids[:, span], memories)]
        return mx.concatenate(found, axis=1)[0]

    def _splits_at(self, boundary: int) -> bool:
        ids = self._tried
        whole = run_blocks(self._inner, self._inner.layers, ids)
        try:
            states = states_below(self._inner, boundary, ids)
            parts = run_blocks(self._inner, resumed(self._inner.layers, boundary, states), ids)
        except Exception:  # whatever a foreign architecture trips over when its lower blocks stand still
            return False
        return bool(mx.array_equal(whole, parts))

    @cached_property
    def remembers(self) -> bool:
        """Whether the architecture's own code goes on from a memory as from the positions themselves.

        What differs must be little against what those positions do at all: last bits only.
        """
        ids, half, blocks = self._tried, TRIED // 2, list(self._inner.layers)
        memories = [Memory() for _ in blocks]
        try:
            whole = run_blocks(self._inner, blocks, ids)[:, half:]
            run_blocks(self._inner, blocks, ids[:, :half], memories)
            onward = run_blocks(self._inner, blocks, ids[:, half:], [Memory(one, half) for one in memories])
            alone = run_blocks(self._inner, blocks, ids[:, half:])
        except Exception:  # whatever a foreign architecture trips over when it is given another cache than its own
            return False
        wrong, effect = (mx.linalg.norm((states - whole).astype(mx.float32)) for states in (onward, alone))
        return bool(wrong < 0.1 * effect)

    @property
    def _tried(self) -> mx.array:
        return mx.arange(TRIED)[None] % self._vocabulary


def _to_array(states: mx.array) -> State:
    """numpy has no bfloat16: its bits are kept as 16-bit integers."""
    return np.array(states.view(mx.int16) if states.dtype == mx.bfloat16 else states)


def _from_array(array: State) -> mx.array:
    states = mx.array(array)
    return states.view(mx.bfloat16) if states.dtype == mx.int16 else states
