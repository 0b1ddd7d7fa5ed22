"""Between batches and torch: how rows are packed, where targets are predicted in them, and states as kept arrays.

Must not: compute states.
"""

from __future__ import annotations

import numpy as np
import torch

from runoff.data import Batch, Forked
from runoff.engines.trunk import State

__all__ = ["forked_targets", "from_array", "packed_targets", "to_array"]


def packed_targets(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Where in packed states a target is predicted, and the targets: (n,) each, row after row."""
    rows, columns = np.nonzero(batch.targets)
    shared = np.asarray(batch.shared)
    own = batch.lengths - shared
    starts, before = (np.cumsum(own) - own)[rows], shared[rows]
    places = columns - 1
    at = np.where(places < before, places, starts + places - before)
    return torch.from_numpy(at.astype(np.int64)), torch.from_numpy(batch.ids[rows, columns].astype(np.int64))


def forked_targets(forked: Forked) -> tuple[torch.Tensor, torch.Tensor, list[int]]:
    """`Forked.predicted` as tensors."""
    at, targets, sizes = forked.predicted
    return torch.from_numpy(at.astype(np.int64)), torch.from_numpy(targets.astype(np.int64)), sizes


def to_array(states: torch.Tensor) -> State:
    """numpy has no bfloat16: its bits are kept as 16-bit integers."""
    plain = states.detach().cpu()
    array: State = plain.view(torch.int16).numpy() if plain.dtype == torch.bfloat16 else plain.numpy()
    return array


def from_array(array: State) -> torch.Tensor:
    """The way back."""
    tensor = torch.from_numpy(np.array(array))
    return tensor.view(torch.bfloat16) if tensor.dtype == torch.int16 else tensor
