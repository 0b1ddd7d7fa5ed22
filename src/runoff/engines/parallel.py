"""An engine of one process among several: it passes its own rows of each batch, and the gradients are summed.

Owns: which rows are whose. To the loop it is an engine like any other: the nats are those of the whole batch, the
gradient is that of all processes, and only the first one carries what a checkpoint puts back. Must not: average (the
loop divides by the target tokens of all rows, which every process can count).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from runoff.data import Batch, Forked, make_batch
from runoff.engines.base import Engine, Vector
from runoff.engines.ranks import Ranks, gather, sum_numbers
from runoff.plan import Slot

__all__ = ["ParallelEngine", "restore_random_state"]

_MARK = b"ranks:"


@dataclass(frozen=True)
class ParallelEngine:
    """`engine` on this process's rows. Scoring and decoding are left to it alone."""

    engine: Engine
    ranks: Ranks

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The adapter's tensors."""
        return self.engine.slots

    def parameters(self) -> Vector:
        """The same on every process."""
        return self.engine.parameters()

    def set_parameters(self, parameters: Vector) -> None:
        """The same on every process."""
        self.engine.set_parameters(parameters)

    def accumulate(self, batch: Batch, weight: float = 1.0) -> float:
        """Own rows: every size-th from the rank on, as mlx-lm deals them. Returns the nats of the whole batch."""
        own = batch.examples[self.ranks.rank :: self.ranks.size]
        nats = self.engine.accumulate(make_batch(list(own)), weight) if own else 0.0
        return sum_numbers(self.ranks, nats)

    def take_gradient(self) -> Vector:
        """The sum over all processes."""
        return self.ranks.sum_vector(self.engine.take_gradient())

    def add_gradient(self, gradient: Vector) -> None:
        """Kept by the first process alone, since all of them will be summed."""
        if self.ranks.rank == 0:
            self.engine.add_gradient(gradient)

    def score(self, batch: Batch) -> Any:
        """As the engine does."""
        return self.engine.score(batch)

    def score_alone(self, forked: Forked) -> Any:
        """As the engine does."""
        return self.engine.score_alone(forked)

    def log_chances(self, batch: Batch) -> Any:
        """As the engine does."""
        return self.engine.log_chances(batch)

    def decoder(self, prompts: Sequence[np.ndarray[Any, np.dtype[np.int32]]]) -> Any:
        """As the engine does."""
        return self.engine.decoder(prompts)

    def random_state(self) -> bytes:
        """Of every process, since each draws its own dropout."""
        states = gather(self.ranks, self.engine.random_state())
        return _MARK + json.dumps([base64.b64encode(state).decode() for state in states]).encode()

    def set_random_state(self, state: bytes) -> None:
        """This process's own; one that was not there before keeps its fresh one."""
        states = _states(state)
        if self.ranks.rank < len(states):
            self.engine.set_random_state(states[self.ranks.rank])


def restore_random_state(engine: Engine, state: bytes) -> None:
    """Go on from a checkpoint's random state, whatever number of processes made it."""
    engine.set_random_state(state if isinstance(engine, ParallelEngine) else _states(state)[0])


def _states(state: bytes) -> list[bytes]:
    if not state.startswith(_MARK):
        return [state]
    return [base64.b64decode(each) for each in json.loads(state.removeprefix(_MARK))]
