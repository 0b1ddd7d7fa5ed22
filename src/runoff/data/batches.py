"""Which rows meet in a batch, and in which order: plain arithmetic, one seed, the same on every engine.

Owns: length grouping, the order of an epoch, padding. Must not: know losses or tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from runoff.data.encode import Encoded

__all__ = ["Batch", "epoch_order", "fixed_order", "make_batch"]

GROUP_BATCHES = 50
"""Rows are sorted by length inside groups of this many batches: little padding, and membership changes each epoch."""


@dataclass(frozen=True)
class Batch:
    """Rows of one micro-batch, padded on the right with id 0.

    ids: (rows, width) int32. lengths: (rows,) ids that are not padding. targets: (rows, width) bool, true where the id
    is a target token; `targets[:, 0]` is all false.
    """

    examples: tuple[Encoded, ...]
    ids: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.int32]
    targets: npt.NDArray[np.bool_]

    @property
    def target_tokens(self) -> int:
        """Targets in the whole batch."""
        return int(self.targets.sum())

    @cached_property
    def shared(self) -> tuple[int, ...]:
        """How many ids each row begins with as the first row does; at least the last id of a row is its own.

        A template's system prompt stands before every row: its states are the same in all, and computed once.
        """
        first = self.ids[0, : self.lengths[0]]
        return (0, *(_common(first, self.ids[row, : self.lengths[row]]) for row in range(1, len(self.lengths))))


def _common(first: npt.NDArray[np.int32], ids: npt.NDArray[np.int32]) -> int:
    longest = min(len(first), len(ids) - 1)
    other = np.flatnonzero(first[:longest] != ids[:longest])
    return int(other[0]) if len(other) else longest


def make_batch(examples: Sequence[Encoded]) -> Batch:
    """Pad to the longest row."""
    lengths = np.asarray([len(example.ids) for example in examples], dtype=np.int32)
    width = int(lengths.max())
    ids = np.zeros((len(examples), width), dtype=np.int32)
    targets = np.zeros((len(examples), width), dtype=np.bool_)
    for index, example in enumerate(examples):
        ids[index, : len(example.ids)] = example.ids
        targets[index, example.target_start : example.target_end] = True
    return Batch(tuple(examples), ids, lengths, targets)


def epoch_order(lengths: Sequence[int], batch_size: int, *, seed: int, epoch: int) -> list[tuple[int, ...]]:
    """Row indices of each batch of one epoch, every row once, the last batch partial if need be.

    Rows are shuffled, sorted by length inside groups of `GROUP_BATCHES` batches, cut into batches, and the batches
    shuffled. Depends on (lengths, batch_size, seed, epoch) alone, so a resumed run finds its place.
    """
    random = np.random.Generator(np.random.PCG64([seed, epoch]))
    shuffled = random.permutation(len(lengths))
    span = batch_size * GROUP_BATCHES
    batches: list[tuple[int, ...]] = []
    for start in range(0, len(shuffled), span):
        group = sorted(shuffled[start : start + span].tolist(), key=lambda row: lengths[row])
        batches += [tuple(group[at : at + batch_size]) for at in range(0, len(group), batch_size)]
    return [batches[index] for index in random.permutation(len(batches))]


def fixed_order(lengths: Sequence[int], batch_size: int) -> list[tuple[int, ...]]:
    """Batches of near lengths in one order for ever: for validation and scoring."""
    order = sorted(range(len(lengths)), key=lambda row: (lengths[row], row))
    return [tuple(order[at : at + batch_size]) for at in range(0, len(order), batch_size)]
