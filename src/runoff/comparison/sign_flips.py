"""The sign-flip test over clusters. Owns: its p-values, alone or adjusted for several comparisons by max-T.

Must not: see examples (it gets one total per cluster), know directions or margins, or draw from anything but its seed.

If two runs are equally good, the sign of a cluster's total difference is a coin toss, whatever the correlation within
the cluster. Flipping whole clusters therefore keeps its level with few clusters, where a bootstrap does not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from runoff.estimates.clusters import FloatArray

__all__ = ["EXACT_UP_TO", "flip_method", "flip_p_values", "minimum_clusters_for", "sign_patterns"]

EXACT_UP_TO = 13
"""Clusters up to which all 2^k sign patterns are enumerated instead of drawn."""

_BLOCK = 1024
_TIE = 1e-9  # what rounding may move a statistic that lies between 0 and sqrt(k)


def minimum_clusters_for(level: float = 0.95) -> int:
    """The fewest clusters with which a two-sided sign-flip p-value can be as small as 1 - level: 6 for 0.95.

    With k clusters the smallest p-value is 2 / 2^k. Raises ValueError unless 0 < level < 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"a level lies between 0 and 1, not {level}")
    return 1 + math.ceil(-math.log2(1 - level))


def flip_method(clusters: int, flips: int) -> str:
    """How `flip_p_values` gets its p-values from this many clusters, in a few words."""
    ways = f"all {2**clusters}" if clusters <= EXACT_UP_TO else f"{flips} random"
    return f"cluster sign-flip, {ways} sign patterns"


def flip_p_values(totals: FloatArray, *, seed: int, flips: int = 9999) -> FloatArray:
    """Two-sided p-values of K comparisons over the same k clusters, adjusted by single-step max-T; plain if K is 1.

    The statistic of a row is |sum_c t_c| / sqrt(sum_c t_c^2), which sorts sign patterns as the t statistic does and
    puts rows of different scale on one footing. One pattern of signs is applied to all rows at once, so that their
    correlation is kept; a row's p-value is the share of patterns whose largest statistic reaches its own (Westfall and
    Young 1993). All 2^k patterns count if k <= EXACT_UP_TO; otherwise `flips` random ones and the one observed:
    (1 + hits) / (flips + 1) (Phipson and Smyth 2010). Family-wise error is at most p for any K.

    totals: (K, k) sum of differences per cluster, K >= 1, k >= 1, any unit; the order of clusters matters to the draw
    only. Returns (K,). Negating all totals changes no bit of the result.
    """
    k = totals.shape[1]
    largest = np.abs(totals).max(axis=1, keepdims=True)
    scaled = totals / np.where(largest > 0, largest, 1)
    norms = np.sqrt((scaled**2).sum(axis=1, keepdims=True))
    scaled = scaled / np.where(norms > 0, norms, 1)
    null = np.sort(np.concatenate([np.abs(signs @ scaled.T).max(axis=1) for signs in sign_patterns(k, flips, seed)]))
    hits = len(null) - np.searchsorted(null, np.abs(scaled.sum(axis=1)) - _TIE)
    p_values: FloatArray = hits / len(null) if k <= EXACT_UP_TO else (1 + hits) / (flips + 1)
    return p_values


def sign_patterns(k: int, flips: int, seed: int) -> Iterator[FloatArray]:
    """Blocks of rows of k signs: all that differ by more than a change of every sign, or `flips` random ones."""
    return iter((_every_pattern(k),)) if k <= EXACT_UP_TO else _random_patterns(k, flips, seed)


@lru_cache(maxsize=4)
def _every_pattern(k: int) -> FloatArray:
    """All sign patterns whose last sign is +: the other half are their mirror images, with the same statistics."""
    minus = np.arange(2 ** (k - 1))[:, None] >> np.arange(k) & 1
    return np.where(minus, -1.0, 1.0)


def _random_patterns(k: int, flips: int, seed: int) -> Iterator[FloatArray]:
    """`flips` rows of k fair signs, in blocks that keep memory small."""
    random = np.random.default_rng(seed)
    for start in range(0, flips, _BLOCK):
        minus = random.integers(0, 2, (min(_BLOCK, flips - start), k), dtype=np.int8)
        yield np.where(minus, -1.0, 1.0)
