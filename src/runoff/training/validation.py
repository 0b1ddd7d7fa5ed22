"""Validation: the fixed held-out rows, in one order, scored after the update.

Owns: which rows are scored. Must not: decide what follows from the loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from runoff.config import Settings
from runoff.data import Batch, Encoded
from runoff.engines.base import Engine
from runoff.engines.scoring import ScoredRow, score_batches, scoring_batches

__all__ = ["Validator", "make_validator"]


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
