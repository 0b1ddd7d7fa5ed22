"""A row scored by itself, with its forks. Owns: the result, and the way for engines that can't share a prefix.

Must not: know a tensor library, or why rows fork.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from runoff.data import Batch, Forked, make_batch

__all__ = ["Nats", "RowScore", "forks_as_rows"]

Nats = npt.NDArray[np.float64]


class RowScore(NamedTuple):
    """One row under one adapter.

    nats: (targets,) of the row's targets, in order. end_rank: the place of the last target among all tokens, 1 for the
    likeliest (equals share the better place); None without targets. forks: of each fork's own targets.
    """

    nats: Nats
    end_rank: int | None
    forks: tuple[Nats, ...]


def forks_as_rows(score: Callable[[Batch], Sequence[Nats]], forked: Forked) -> tuple[Nats, ...]:
    """Each fork in a pass of its own, which computes the shared part again."""
    return tuple(_scores(score, forked))


def _scores(score: Callable[[Batch], Sequence[Nats]], forked: Forked) -> Iterator[Nats]:
    for fork in forked.forks:
        row = forked.whole(fork)
        yield score(make_batch([row]))[0] if row.target_tokens else np.zeros(0)
