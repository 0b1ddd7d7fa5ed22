"""Rows that say the same: exactly, or nearly.

Owns: what "nearly" means (the share of three-word sequences that two texts have in common, of those that either has:
Jaccard, Broder 1997), finding the candidates by MinHash, and grouping them. Every share that is returned is counted,
not
estimated; MinHash only decides which pairs are looked at. It is rensa's, which takes 2 ms to import where datasketch
takes 800. Must not: know splits or files.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rensa import RMinHash

__all__ = ["NEAR", "Pair", "clusters", "exact_duplicates", "near_duplicates"]

NEAR = 0.7
"""Share of three-word sequences from which two texts are near-duplicates."""

BANDS, ROWS_PER_BAND = 16, 4
"""A pair at the limit of 0.7 becomes a candidate with 1 - (1 - 0.7^4)^16 = 98.8 %, one at 0.8 with 99.98 %."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two texts by their index, `first` < `second`, and the share of three-word sequences that they have in common."""

    first: int
    second: int
    shared: float


def exact_duplicates(keys: Sequence[str]) -> list[Pair]:
    """For each key that was seen before, the pair of it and the one just before it that is equal."""
    seen: dict[str, int] = {}
    pairs = []
    for index, key in enumerate(keys):
        if key in seen:
            pairs.append(Pair(seen[key], index, 1.0))
        seen[key] = index
    return pairs


def near_duplicates(texts: Sequence[str], *, least: float = NEAR) -> list[Pair]:
    """Pairs of different texts that share at least `least` of their three-word sequences.

    Enough pairs are returned that `clusters` joins all of a group, not every pair of a large group.
    """
    first_of: dict[str, int] = {}
    for index, text in enumerate(texts):
        first_of.setdefault(text, index)
    distinct = list(first_of.values())
    sequences = [_sequences(texts[index]) for index in distinct]
    pairs = []
    for one, other in sorted(_candidates(sequences)):
        a, b = sequences[one], sequences[other]
        if min(len(a), len(b)) < least * max(len(a), len(b)):
            continue
        common = len(a & b)
        shared = common / (len(a) + len(b) - common)
        if shared >= least:
            pairs.append(Pair(distinct[one], distinct[other], shared))
    return pairs


def clusters(count: int, pairs: Iterable[Pair]) -> list[int]:
    """For each of `count` texts the index of its group's first text."""
    head = list(range(count))

    def find(index: int) -> int:
        while head[index] != index:
            head[index] = head[head[index]]
            index = head[index]
        return index

    for pair in pairs:
        low, high = sorted((find(pair.first), find(pair.second)))
        head[high] = low
    return [find(index) for index in range(count)]


def _sequences(text: str) -> frozenset[str]:
    """Three-word sequences without case and punctuation; a shorter text is one sequence."""
    words = re.findall(r"\w+", text.lower().encode("utf-8", "replace").decode())
    if len(words) < 3:
        return frozenset([" ".join(words)])
    return frozenset(map(" ".join, zip(words, words[1:], words[2:], strict=False)))


def _candidates(sequences: Sequence[frozenset[str]]) -> set[tuple[int, int]]:
    """Index pairs that agree in a band of their MinHash; in a crowd, each with the crowd's first and the one before."""
    digests = RMinHash.digests_from_token_sets(sequences, num_perm=BANDS * ROWS_PER_BAND, seed=1)
    crowds: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, digest in enumerate(digests):
        for at in range(0, BANDS * ROWS_PER_BAND, ROWS_PER_BAND):
            crowds[at, *digest[at : at + ROWS_PER_BAND]].append(index)
    found = set()
    for crowd in crowds.values():
        for before, index in pairwise(crowd):
            found |= {(before, index), (crowd[0], index)}
    return found
