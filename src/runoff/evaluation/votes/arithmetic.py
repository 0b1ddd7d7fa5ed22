"""The statistics of votes, from counts alone. Must not: know what was voted on."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

__all__ = ["FAR", "THRESHOLD", "cohen_kappa", "log_e_value", "sign_test", "votes_to_go"]

THRESHOLD = 20.0
"""An e-value that decides: under no preference it is ever reached with a chance of at most 1/20 (Ville 1939)."""

FAR = 2_000
"""Votes that nobody looks beyond."""
_NEVER = 1e-9


def log_e_value(wins: float, losses: float) -> float:
    """ln of the beta-binomial e-value against a preference of one half: 2^n B(w + 1/2, l + 1/2) / B(1/2, 1/2).

    The wealth of a bettor who starts with 1 and mixes all preferences by Jeffreys' prior; it may be looked at after
    each vote (Ramdas et al. 2023, Statistical Science 38; the mixture is Robbins' 1970).

    wins, losses: >= 0; fractions are allowed, for a path that is only thought of.
    """
    n = wins + losses
    return (
        n * math.log(2) + math.lgamma(wins + 0.5) + math.lgamma(losses + 0.5) - math.lgamma(n + 1) - math.log(math.pi)
    )


def sign_test(wins: int, losses: int) -> float | None:
    """Two-sided exact p-value against a preference of one half; None without a decisive vote."""
    n = wins + losses
    if n == 0:
        return None
    tail = sum(math.comb(n, count) for count in range(max(wins, losses), n + 1))
    return min(1.0, 2 * tail / (1 << n))


def votes_to_go(wins: int, losses: int, *, share: float, threshold: float = THRESHOLD) -> int | None:
    """Decisive votes until the e-value has passed the threshold with a chance of one half: the median, exactly.

    share: of the votes to come that go to who leads now. 0 if it has passed already; None beyond 2,000 votes.
    """
    if log_e_value(wins, losses) >= math.log(threshold):
        return 0
    chances, passed = {max(wins, losses): 1.0}, 0.0
    for votes in range(1, FAR + 1):
        n = wins + losses + votes
        needed = _needed(n, threshold)
        after: dict[int, float] = {}
        for count, chance in chances.items():
            after[count + 1] = after.get(count + 1, 0.0) + share * chance
            after[count] = after.get(count, 0.0) + (1 - share) * chance
        passed += sum(chance for count, chance in after.items() if not (n - needed < count < needed))
        if passed >= 0.5:
            return votes
        chances = {count: chance for count, chance in after.items() if n - needed < count < needed and chance > _NEVER}
    return None


@lru_cache(maxsize=2 * FAR)
def _needed(n: int, threshold: float) -> int:
    """The fewest wins of n votes whose e-value passes; n + 1 if even n do not."""
    counts = range((n + 1) // 2, n + 1)
    return counts.start + bisect_left(counts, math.log(threshold), key=lambda wins: log_e_value(wins, n - wins))


def cohen_kappa(pairs: Sequence[tuple[str, str]]) -> float | None:
    """Agreement of two raters beyond chance: (observed - expected) / (1 - expected), Cohen 1960.

    pairs: the two categories of each rated thing. None without any, or where both use one category alone.
    """
    n = len(pairs)
    if n == 0:
        return None
    first, second = Counter(one for one, _ in pairs), Counter(two for _, two in pairs)
    expected = sum(first[category] * second[category] for category in first) / n**2
    if expected == 1:
        return None
    return (sum(one == two for one, two in pairs) / n - expected) / (1 - expected)
