"""A deterministic engine in numpy: a real model with real gradients, small enough that a test takes milliseconds.

The "model" predicts the bucket of the next token from the bucket of the present one: fixed random features of the
present token, through the low-rank matrices of the adapter, give the logits over the buckets. All adapted layers of one
block share a feature map, so that every adapter tensor has a gradient. It implements `runoff.engines.base` as the torch
engine does and passes the same contract suite.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from runoff.data import Batch, Forked, make_batch
from runoff.engines.base import EngineFacts, Vector
from runoff.engines.forked import RowScore, forks_as_rows
from runoff.plan import AdapterSpec, LoraSpec, Slot, layout

BUCKETS = 32


@functools.cache
def _features(seed: int, width: int) -> npt.NDArray[np.float64]:
    features: npt.NDArray[np.float64] = np.random.Generator(np.random.PCG64(seed)).standard_normal((BUCKETS, width))
    return features / math.sqrt(width)


@dataclass
class FakeBase:
    """Holds nothing but its attached adapters."""

    attached: int = 0
    trunk: int | None = None
    trunk_budget_bytes: int | None = None
    trunk_folder: Path | None = None

    @property
    def facts(self) -> EngineFacts:
        return EngineFacts("fake", "cpu", "float64", {"fake": "1"})

    def attach(self, spec: AdapterSpec | None, *, seed: int = 0, checkpointing: bool = False) -> FakeEngine:
        self.attached += 1
        return FakeEngine(spec, np.random.Generator(np.random.PCG64(seed)))

    def share_trunk(self, lowest_block: int, *, budget_bytes: int, folder: Path | None = None) -> str:
        if lowest_block <= 0:
            return "Trunk cache off: the first block is adapted."
        self.trunk, self.trunk_budget_bytes, self.trunk_folder = lowest_block, budget_bytes, folder
        return f"Trunk cache on: {lowest_block} blocks."

    def peak_memory_bytes(self) -> int | None:
        return 123_456_789


@dataclass
class FakeEngine:
    """One adapter."""

    spec: AdapterSpec | None
    random: np.random.Generator
    _parameters: Vector = field(default_factory=lambda: np.zeros(0, dtype=np.float32))
    _gradient: Vector = field(default_factory=lambda: np.zeros(0, dtype=np.float32))

    def __post_init__(self) -> None:
        size = self.slots[-1].stop if self.slots else 0
        self._parameters = np.zeros(size, dtype=np.float32)
        self._gradient = np.zeros(size, dtype=np.float32)

    @property
    def slots(self) -> tuple[Slot, ...]:
        return layout(self.spec) if self.spec else ()

    def parameters(self) -> Vector:
        return self._parameters.copy()

    def set_parameters(self, parameters: Vector) -> None:
        self._parameters = np.array(parameters, dtype=np.float32)

    def accumulate(self, batch: Batch, weight: float = 1.0) -> float:
        present, target = _pairs(batch)
        dropout = self.spec.dropout if isinstance(self.spec, LoraSpec) else 0.0
        keep = (self.random.random((len(target), 1)) >= dropout) / (1 - dropout)
        nats, delta = self._nats(present, target, keep)
        for a, b in zip(self.slots[::2], self.slots[1::2], strict=True):
            first, second = self._view(a), self._view(b)
            x = _features(a.block, a.shape[1])[present] * keep
            out = delta @ _readout(b.shape[0]) * self._scale()
            self._gradient[b.start : b.stop] += (weight * (out.T @ (x @ first.T))).ravel().astype(np.float32)
            self._gradient[a.start : a.stop] += (weight * ((out @ second).T @ x)).ravel().astype(np.float32)
        return float(nats.sum())

    def take_gradient(self) -> Vector:
        taken = self._gradient
        self._gradient = np.zeros_like(taken)
        return taken

    def add_gradient(self, gradient: Vector) -> None:
        self._gradient = self._gradient + gradient

    def score(self, batch: Batch) -> list[npt.NDArray[np.float64]]:
        present, target = _pairs(batch)
        nats, _ = self._nats(present, target, np.ones((len(target), 1)))
        return list(np.split(nats, np.cumsum(batch.targets.sum(axis=1))[:-1]))

    def score_alone(self, forked: Forked) -> RowScore:
        batch = make_batch([forked.row])
        present, target = _pairs(batch)
        logits = self.logits(present)
        ranks = (logits > np.take_along_axis(logits, target[:, None], axis=1)).sum(axis=1) + 1
        return RowScore(self.score(batch)[0], int(ranks[-1]) if len(ranks) else None, forks_as_rows(self.score, forked))

    def log_chances(self, batch: Batch) -> list[npt.NDArray[np.float32]]:
        present, _ = _pairs(batch)
        logits = self.logits(present)
        chances = (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(np.float32)
        return list(np.split(chances, np.cumsum(batch.targets.sum(axis=1))[:-1]))

    def decoder(self, prompts: Sequence[npt.NDArray[np.int32]]) -> FakeDecoder:
        return FakeDecoder(self, np.array([prompt[-1] for prompt in prompts], dtype=np.int64))

    def random_state(self) -> bytes:
        return repr(self.random.bit_generator.state).encode()

    def set_random_state(self, state: bytes) -> None:
        import ast

        self.random.bit_generator.state = ast.literal_eval(state.decode())

    def _nats(
        self, present: npt.NDArray[np.int64], target: npt.NDArray[np.int64], keep: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        logits = self.logits(present, keep)
        shifted = logits - logits.max(axis=1, keepdims=True)
        chances = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
        rows = np.arange(len(target))
        delta = chances.copy()
        delta[rows, target] -= 1
        return -np.log(chances[rows, target]), delta

    def logits(
        self, present: npt.NDArray[np.int64], keep: npt.NDArray[np.float64] | float = 1.0
    ) -> npt.NDArray[np.float64]:
        """(n, buckets) of the token after each of these."""
        logits = np.zeros((len(present), BUCKETS))
        for a, b in zip(self.slots[::2], self.slots[1::2], strict=True):
            x = _features(a.block, a.shape[1])[present] * keep
            logits += self._scale() * (x @ self._view(a).T @ self._view(b).T) @ _readout(b.shape[0]).T
        return logits

    def _scale(self) -> float:
        return self.spec.scale if isinstance(self.spec, LoraSpec) else 0.0

    def _view(self, slot: Slot) -> npt.NDArray[np.float64]:
        return self._parameters[slot.start : slot.stop].reshape(slot.shape).astype(np.float64)


@dataclass
class FakeDecoder:
    """Only the present token matters; the next one's id is its bucket."""

    engine: FakeEngine
    present: npt.NDArray[np.int64]

    def logits(self) -> npt.NDArray[np.float32]:
        return self.engine.logits(self.present % BUCKETS).astype(np.float32)

    def push(self, ids: npt.NDArray[np.int32]) -> None:
        self.present = ids.astype(np.int64)

    def keep(self, rows: Sequence[int]) -> None:
        self.present = self.present[list(rows)]


def _readout(width: int) -> npt.NDArray[np.float64]:
    return _features(10_000 + width, width)


def _pairs(batch: Batch) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Buckets of the present token and of the target, row after row."""
    rows, columns = np.nonzero(batch.targets)
    ids = batch.ids.astype(np.int64) % BUCKETS
    return ids[rows, columns - 1], ids[rows, columns]
