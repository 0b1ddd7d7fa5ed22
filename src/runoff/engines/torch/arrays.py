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
    """Where in a packed row with forks a target is predicted, the targets, and how many are the row's and each fork's.

    A fork's first id is predicted from the last position that it shares.
    """
    row, start = forked.row, len(forked.row.ids)
    places = [np.arange(row.target_start, row.target_end) - 1]
    targets = [row.ids[row.target_start : row.target_end]]
    for fork in forked.forks:
        before = np.concatenate([[fork.at - 1], np.arange(start, start + len(fork.ids))])[:-1]
        places.append(before[fork.first_target :])
        targets.append(fork.ids[fork.first_target :])
        start += len(fork.ids)
    found, wanted = (np.concatenate(parts).astype(np.int64) for parts in (places, targets))
    return torch.from_numpy(found), torch.from_numpy(wanted), [len(part) for part in places]


def to_array(states: torch.Tensor) -> State:
    """numpy has no bfloat16: its bits are kept as 16-bit integers."""
    plain = states.detach().cpu()
    array: State = plain.view(torch.int16).numpy() if plain.dtype == torch.bfloat16 else plain.numpy()
    return array


def from_array(array: State) -> torch.Tensor:
    """The way back."""
    tensor = torch.from_numpy(np.array(array))
    return tensor.view(torch.bfloat16) if tensor.dtype == torch.int16 else tensor
