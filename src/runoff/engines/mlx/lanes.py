"""Parts of a batch side by side on a CPU, each on a stream and share of the processor's threads of its own.

Owns: how many there are, and which rows go where. MLX computes everything but matrix products on one thread for each
stream; with one stream the other cores wait half of the time. Must not: know what is computed.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, TypeVar

import mlx.core as mx

__all__ = ["Lanes", "fast_blas"]

WIDE = "1000"
"""Operations that MLX may order breadth first. With its own 20 it orders one part after the other, and since at most
ten operations wait at a time, the second stream would stand still until the first is done."""

Part = TypeVar("Part")
Found = TypeVar("Found")


@dataclass(frozen=True)
class Lanes:
    """streams: one for each thread that may be used; none on a GPU, whose one stream fills it."""

    streams: tuple[mx.Stream, ...]

    @classmethod
    def on_this_device(cls) -> Lanes:
        """As many as the BLAS library has threads, or as there are cores. To be made before anything is evaluated."""
        threads = _threads() if mx.default_device().type == mx.DeviceType.cpu else 0
        if threads > 1:
            os.environ.setdefault("MLX_BFS_MAX_WIDTH", WIDE)
        return cls(tuple(mx.new_stream(mx.cpu) for _ in range(threads)))

    def parts(self, items: Sequence[Part]) -> list[Sequence[Part]]:
        """Neighbours stay together, in order; as many parts as there are streams, but none empty."""
        count = max(min(len(items), len(self.streams)), 1)
        ends = [len(items) * at // count for at in range(count + 1)]
        return [items[start:stop] for start, stop in pairwise(ends)]

    def each(
        self, parts: Sequence[Part], compute: Callable[[Part], Found], *, threads: int | None = None
    ) -> list[Found]:
        """What is computed of each part, side by side once it is evaluated. No more parts than streams, or only one.

        threads: for each part's matrix products; by default its share of all.
        """
        if not self.streams:
            return [compute(part) for part in parts]
        _set_threads(threads or len(self.streams) // len(parts))
        found = []
        for stream, part in zip(self.streams, parts, strict=False):
            with mx.stream(stream):
                found.append(compute(part))
        return found

    def together(self) -> None:
        """What is computed next has all threads for its matrix products."""
        if self.streams:
            _set_threads(len(self.streams))


def fast_blas() -> Any | None:
    """OpenBLAS's functions where it was put in the wheel's place: those that the whole process sees."""
    seen = ctypes.CDLL(None)
    return seen if hasattr(seen, "cblas_sgemm") else None


@cache
def _threads() -> int:
    """Asked before the number for each stream is set."""
    ask = getattr(fast_blas(), "openblas_get_num_threads", None)
    allowed = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]  # OpenMP's lists are for nested loops
    return int(ask()) if ask else int(allowed) if allowed.isdigit() else os.cpu_count() or 1


def _set_threads(threads: int) -> None:
    """For the products of one stream."""
    if tell := getattr(fast_blas(), "openblas_set_num_threads", None):
        tell(threads)
