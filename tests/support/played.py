"""The processes of one training, played by threads of this one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from runoff.engines.base import Vector
from runoff.engines.ranks import Ranks
from runoff.errors import EngineError


@dataclass
class Played:
    """One of them. `lost` says whether this one is gone just then."""

    rank: int
    size: int
    barrier: threading.Barrier
    table: list[Any]
    lost: Callable[[int], bool] = field(default=lambda _rank: False)

    def sum_vector(self, vector: Vector) -> Vector:
        if self.lost(self.rank):
            self.barrier.abort()
        self.table[self.rank] = vector
        try:
            self.barrier.wait()
            total: Vector = np.sum(self.table, axis=0, dtype=np.float32)
            self.barrier.wait()
        except threading.BrokenBarrierError:
            raise EngineError(f"rank {self.rank}: another process of this training is gone.") from None
        return total


def played(size: int, work: Callable[[Ranks], Any], *, lost: Callable[[int], bool] = lambda _rank: False) -> list[Any]:
    """What each of them returns, or raises."""
    barrier, table = threading.Barrier(size), [None] * size

    def play(rank: int) -> Any:
        try:
            return work(Played(rank, size, barrier, table, lost))
        except BaseException as error:
            barrier.abort()
            return error

    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(play, range(size)))
