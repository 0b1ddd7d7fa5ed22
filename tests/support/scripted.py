"""A fake engine whose validation losses and accidents are written down beforehand."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from runoff.data import Batch
from runoff.plan import AdapterSpec
from tests.support.fake_engine import FakeBase, FakeEngine


@dataclass
class ScriptedEngine(FakeEngine):
    """Real gradients, but the losses of validations and chosen iterations are written in the script."""

    losses: list[float] = field(default_factory=list)
    broken_iteration: int | None = None
    broken_gradient: int | None = None
    iterations: int = 0

    def accumulate(self, batch: Batch, weight: float = 1.0) -> float:
        self.iterations += 1
        nats = super().accumulate(batch, weight)
        if self.iterations == self.broken_gradient:
            self._gradient[0] = np.inf
        return math.nan if self.iterations == self.broken_iteration else nats

    def score(self, batch: Batch) -> list[npt.NDArray[np.float64]]:
        if not self.losses:
            return super().score(batch)
        loss = self.losses.pop(0)
        return [np.full(example.target_tokens, loss) for example in batch.examples]


@dataclass
class ScriptedBase(FakeBase):
    """Attaches scripted engines. One validation is one batch, since the valid set is smaller than a scoring batch."""

    losses: list[float] = field(default_factory=list)
    broken_iteration: int | None = None
    broken_gradient: int | None = None

    def attach(self, spec: AdapterSpec | None, *, seed: int = 0, checkpointing: bool = False) -> FakeEngine:
        random = np.random.Generator(np.random.PCG64(seed))
        script = (list(self.losses), self.broken_iteration, self.broken_gradient)
        return ScriptedEngine(spec, random, losses=script[0], broken_iteration=script[1], broken_gradient=script[2])
