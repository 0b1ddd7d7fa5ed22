"""Validation: the fixed held-out rows, in one order, scored after the update.

Owns: which rows are scored. Must not: decide what follows from the loss.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from runoff.config import Settings
from runoff.data import Batch, Encoded
from runoff.engines.base import Engine
from runoff.engines.ranks import ALONE, Ranks, gather
from runoff.engines.scoring import ScoredRow, score_batches, scoring_batches
from runoff.files import jsonl

__all__ = ["Validator", "make_validator"]


@dataclass(frozen=True)
class Validator:
    """The fixed batches of a run's validation."""

    batches: tuple[Batch, ...]
    ranks: Ranks = ALONE

    @property
    def rows(self) -> int:
        """Rows scored each time."""
        return sum(len(batch.examples) for batch in self.batches)

    def score(self, engine: Engine) -> list[ScoredRow]:
        """Every row, in row order; each process scores its share of the batches, and all of them know all rows."""
        own = score_batches(engine, self.batches[self.ranks.rank :: self.ranks.size])
        if self.ranks.size == 1:
            return own
        parts = gather(self.ranks, jsonl(row.to_json() for row in own))
        rows = [ScoredRow.from_json(json.loads(line)) for part in parts for line in part.splitlines()]
        return sorted(rows, key=lambda row: row.row)


def make_validator(examples: Sequence[Encoded], settings: Settings, ranks: Ranks = ALONE) -> Validator:
    """The whole set, or with val_batches a part drawn once by the seed and kept for the whole run."""
    chosen = list(examples)
    if settings.val_batches >= 0:
        random = np.random.Generator(np.random.PCG64([settings.seed, 0x7A11]))
        count = min(len(chosen), settings.val_batches * settings.batch_size)
        picked = sorted(random.permutation(len(chosen))[:count].tolist())
        chosen = [chosen[index] for index in picked]
    return Validator(scoring_batches(chosen), ranks)
