"""One training on several processes: who is who, and the one thing they do together, a sum.

Owns: the Protocol, its two implementations (torch.distributed under `torchrun`, mx.distributed under `mlx.launch`), and
what is built on a sum. Vectors cross as float32 on the processor, whatever computed them. Must not: know a training.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import math
import os
import platform
import queue
import re
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from runoff.engines.base import Vector
from runoff.errors import EngineError

__all__ = ["ALONE", "Ranks", "gather", "launched_by", "open_ranks", "sum_numbers"]


class Ranks(Protocol):
    """The processes of one training, counted from 0."""

    @property
    def rank(self) -> int:
        """This process."""

    @property
    def size(self) -> int:
        """All of them."""

    def sum_vector(self, vector: Vector) -> Vector:
        """The sum over all processes, the same on each; every one of them must call this.

        Raises:
            EngineError: another process was lost.
        """


@dataclass(frozen=True)
class _Alone:
    """One process: nothing to sum."""

    rank: int = 0
    size: int = 1

    def sum_vector(self, vector: Vector) -> Vector:
        return vector


ALONE: Ranks = _Alone()
_OF_ITS_CODE = re.compile(r"^\[\S*:\d+\] ")
"""Where in gloo's own code an error was raised."""

_ONE = np.ones(1, dtype=np.float32)


@dataclass(frozen=True)
class _Together:
    rank: int
    size: int
    _sum: Callable[[Vector], Vector]

    def sum_vector(self, vector: Vector) -> Vector:
        """With a one at both ends: MLX's ring has been seen to return a sum that was cut off by a lost process."""
        counted = np.concatenate([_ONE, vector.astype(np.float32, copy=False), _ONE])
        with _naming_the_loss(self.rank):
            total = self._sum(counted)
            if total[0] != self.size or total[-1] != self.size:
                raise RuntimeError("a sum was cut off")
        return total[1:-1]


def launched_by(environment: Mapping[str, str]) -> tuple[str, int] | None:
    """The launcher that started this process among others, `torchrun` or `mlx.launch`, and the rank it gave."""
    if int(environment.get("WORLD_SIZE") or 1) > 1 and "RANK" in environment:
        return "torchrun", int(environment["RANK"])
    if "MLX_RANK" in environment:
        return "mlx.launch", int(environment["MLX_RANK"])
    return None


@functools.cache
def open_ranks() -> Ranks:
    """Meet the other processes, once; alone if no launcher started this one.

    Raises:
        EngineError: the launcher's library is not installed, or the others can't be reached.
    """
    launched = launched_by(os.environ)
    if launched is None:
        return ALONE
    launcher, rank = launched
    try:
        with _naming_the_loss(rank):
            return _torch() if launcher == "torchrun" else _mlx()
    except ImportError as error:
        raise EngineError(f"{launcher} started this process, but its library is not installed ({error}).") from None


def gather(ranks: Ranks, payload: bytes) -> list[bytes]:
    """Every process's bytes, by rank."""
    lengths = np.zeros(ranks.size, dtype=np.float32)
    lengths[ranks.rank] = len(payload)
    lengths = ranks.sum_vector(lengths)
    table = np.zeros((ranks.size, int(lengths.max())), dtype=np.float32)
    table[ranks.rank, : len(payload)] = np.frombuffer(payload, dtype=np.uint8)
    table = ranks.sum_vector(table.ravel()).reshape(table.shape)
    return [table[at, : int(length)].astype(np.uint8).tobytes() for at, length in enumerate(lengths)]


def sum_numbers(ranks: Ranks, number: float) -> float:
    """A sum of one number each, in full precision and in the order of the ranks."""
    return math.fsum(struct.unpack("<d", each)[0] for each in gather(ranks, struct.pack("<d", number)))


def _torch() -> Ranks:
    """gloo: the vectors are on the processor, also where a GPU computes them."""
    import torch
    import torch.distributed

    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    torch.distributed.init_process_group("gloo")
    atexit.register(torch.distributed.destroy_process_group)  # its threads must not outlive the interpreter

    def total(vector: Vector) -> Vector:
        tensor = torch.from_numpy(vector.copy())
        torch.distributed.all_reduce(tensor)
        summed: Vector = tensor.numpy()
        return summed

    return _Together(torch.distributed.get_rank(), torch.distributed.get_world_size(), total)


def _mlx() -> Ranks:
    """The ring tells of a lost process only those that wait for it just then; later sums would wait for ever."""
    import mlx.core as mx

    group: Any = mx.distributed.init()

    def total(vector: Vector) -> Vector:
        summed = mx.distributed.all_sum(mx.array(vector), group=group, stream=mx.cpu)
        return np.array(summed, dtype=np.float32)

    own = json.dumps([platform.node(), os.getpid()]).encode()
    met = [json.loads(each) for each in gather(_Together(group.rank(), group.size(), total), own)]
    here = [process for host, process in met if host == platform.node()]
    worker = _Worker(total, lambda: all(map(_lives, here)))
    return _Together(group.rank(), group.size(), worker)


class _Worker:
    """Calls a function in a thread of its own, and gives up when the processes it waits for have ended."""

    def __init__(self, work: Callable[[Vector], Vector], all_live: Callable[[], bool]) -> None:
        self._work, self._all_live = work, all_live
        self._asked: queue.SimpleQueue[Vector] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Vector | RuntimeError] = queue.SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()

    def __call__(self, vector: Vector) -> Vector:
        self._asked.put(vector)
        while True:
            with contextlib.suppress(queue.Empty):
                done = self._done.get(timeout=1.0)
                if isinstance(done, RuntimeError):
                    raise done
                return done
            if not self._all_live():
                raise RuntimeError("it has ended")

    def _run(self) -> None:
        while True:
            try:
                self._done.put(self._work(self._asked.get()))
            except RuntimeError as error:
                self._done.put(error)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextlib.contextmanager
def _naming_the_loss(rank: int) -> Iterator[None]:
    """Both libraries raise a RuntimeError where a connection is lost or can't be made."""
    try:
        yield
    except RuntimeError as error:
        reason = _OF_ITS_CODE.sub("", str(error)).partition("\n")[0].partition(". ")[0] or type(error).__name__
        raise EngineError(
            f"rank {rank}: another process of this training is gone ({reason[:200]}). Unless it said why, start all of "
            "them again with --resume."
        ) from None
