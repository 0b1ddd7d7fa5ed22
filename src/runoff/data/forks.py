"""A row and other ends of it: sentences that begin as the row does and then go on otherwise.

Owns: which positions a fork shares with its row, and the identity of both together. Must not: know why they are scored,
or how an engine computes the shared part only once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from runoff.data.encode import Encoded, Ids

__all__ = ["Fork", "Forked"]


@dataclass(frozen=True, eq=False)
class Fork:
    """Another end of a row: its first `at` ids, then `ids` (none, if the row itself goes on that way).

    start: where the targets begin, counted from the row's first id. Targets before `at` are the row's own too.
    """

    at: int
    ids: Ids
    start: int

    @property
    def first_target(self) -> int:
        """Index into `ids` of the first target that is the fork's alone."""
        return max(self.start - self.at, 0)

    @property
    def target_tokens(self) -> int:
        """Targets, shared or not."""
        return self.at + len(self.ids) - self.start

    @classmethod
    def of(cls, row: Encoded, ids: Ids, start: int) -> Fork:
        """Fork where these ids leave the row's; where the row has no targets at all from `start` on, before `start`."""
        shared = min(len(ids), row.target_end)
        differing = np.flatnonzero(ids[:shared] != row.ids[:shared])
        at = int(differing[0]) if len(differing) else shared
        at = at if start >= row.target_start else min(at, start)
        return cls(at, ids[at:], start)


@dataclass(frozen=True, eq=False)
class Forked:
    """A row with its forks."""

    row: Encoded
    forks: tuple[Fork, ...] = ()

    @cached_property
    def ids(self) -> Ids:
        """The row's ids, then each fork's own, end to end."""
        return np.concatenate([self.row.ids, *(fork.ids for fork in self.forks)])

    @cached_property
    def key(self) -> str:
        """Identity of the ids and of where they fork; the row's own key where all forks lie within it."""
        forks = [fork for fork in self.forks if len(fork.ids)]
        if not forks:
            return self.row.key
        digest = hashlib.sha256(self.row.ids.tobytes())
        for fork in forks:
            digest.update(f"|{fork.at}|".encode() + fork.ids.tobytes())
        return digest.hexdigest()[:32]

    @property
    def predicted(self) -> tuple[Ids, Ids, list[int]]:
        """Where in `ids` a target is predicted, (n,); the targets, (n,); how many are the row's and each fork's.

        A fork's first id is predicted from the last position that it shares.
        """
        row, start = self.row, len(self.row.ids)
        places = [np.arange(row.target_start, row.target_end) - 1]
        targets = [row.ids[row.target_start : row.target_end]]
        for fork in self.forks:
            before = np.concatenate([[fork.at - 1], np.arange(start, start + len(fork.ids))])[:-1]
            places.append(before[fork.first_target :])
            targets.append(fork.ids[fork.first_target :])
            start += len(fork.ids)
        at, wanted = (np.concatenate(parts).astype(np.int32) for parts in (places, targets))
        return at, wanted, [len(part) for part in places]

    @property
    def opening(self) -> int:
        """The row's, where nothing is predicted within it and no fork leaves it there; else 0."""
        first = min([self.row.target_start, *(fork.at for fork in self.forks)])
        return self.row.opening if self.row.opening < first else 0

    def whole(self, fork: Fork) -> Encoded:
        """A fork as a row by itself, whose targets are those that are its alone."""
        row, ids = self.row.row, np.concatenate([self.row.ids[: fork.at], fork.ids])
        return Encoded(row, ids, fork.at + fork.first_target, len(ids), 0, self.row.prompt_is_prefix)
