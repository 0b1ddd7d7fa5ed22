"""Validation: the fixed held-out rows, in one order, scored after the update.

Owns: which rows and batches, and the per-example record. Must not: decide what follows from the loss.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from runoff.config import Settings
from runoff.data import Batch, Encoded, fixed_order, make_batch
from runoff.engines.base import Engine

__all__ = ["SCORING_BATCH_ROWS", "ScoredRow", "Validator", "make_validator", "score_batches", "scoring_batches"]

SCORING_BATCH_ROWS = 8


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """One held-out example under one adapter: summed nats over its target tokens."""

    row: int
    source: str | None
    sha256: str
    nats: float
    target_tokens: int
    end_nats: float

    def to_json(self) -> dict[str, Any]:
        """As stored."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True)
class Validator:
    """The fixed batches of a run's validation."""

    batches: tuple[Batch, ...]

    @property
    def rows(self) -> int:
        """Rows scored each time."""
        return sum(len(batch.examples) for batch in self.batches)

    def score(self, engine: Engine) -> list[ScoredRow]:
        """Every row, in row order."""
        return score_batches(engine, self.batches)


def make_validator(examples: Sequence[Encoded], settings: Settings) -> Validator:
    """The whole set, or with val_batches a part drawn once by the seed and kept for the whole run."""
    chosen = list(examples)
    if settings.val_batches >= 0:
        random = np.random.Generator(np.random.PCG64([settings.seed, 0x7A11]))
        count = min(len(chosen), settings.val_batches * settings.batch_size)
        picked = sorted(random.permutation(len(chosen))[:count].tolist())
        chosen = [chosen[index] for index in picked]
    return Validator(scoring_batches(chosen))


def scoring_batches(examples: Sequence[Encoded]) -> tuple[Batch, ...]:
    """Batches of near lengths, the same for every run."""
    order = fixed_order([len(example.ids) for example in examples], SCORING_BATCH_ROWS)
    return tuple(make_batch([examples[index] for index in rows]) for rows in order)


def score_batches(engine: Engine, batches: Sequence[Batch]) -> list[ScoredRow]:
    """Score every row, in row order. `end_nats` is the last target token's share: the end of the answer."""
    scored = []
    for batch in batches:
        for example, nats in zip(batch.examples, engine.score(batch), strict=True):
            row = example.row
            scored.append(ScoredRow(row.number, row.source, row.sha256, math.fsum(nats), len(nats), float(nats[-1])))
    return sorted(scored, key=lambda one: one.row)
