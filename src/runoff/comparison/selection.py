"""Choosing one of several checkpoints without fooling oneself. Owns: select-and-confirm, and the set of equals.

Must not: report a checkpoint's score on the examples that it was chosen by. Randomness comes from the seed passed in.

Whoever picks the best of 20 identical checkpoints and tests it on the same examples finds a false improvement in 17 %
(simulated with 30 sources) instead of 2.5 % of cases. Choosing on half of the sources and measuring on the other half
brings that back to 2.5 %, at the price of half the data.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, compress

import numpy as np
import numpy.typing as npt

from runoff.comparison.sign_flips import flip_p_values, sign_patterns
from runoff.comparison.statistics import PairedDifference, paired_difference
from runoff.estimates.clusters import Clusters, FloatArray, Labels, finite
from runoff.estimates.estimate import Estimate, ratio_mean

__all__ = ["Selection", "indistinguishable_from_best", "select_and_confirm"]


MOST_PAIRED = 50
"""Checkpoints up to which each pair of them has a scale of its own."""


@dataclass(frozen=True, slots=True)
class Selection:
    """A checkpoint chosen on some sources and measured on the others.

    chosen: its index; None if the sources can't be halved, and then the estimate says why. selection_clusters,
    confirmation_clusters: labels of the two halves. estimate: the chosen checkpoint's (weighted) mean on the
    confirmation half. against_baseline: chosen - baseline there; None without a baseline or choice.
    """

    chosen: int | None
    selection_clusters: tuple[str | int, ...]
    confirmation_clusters: tuple[str | int, ...]
    estimate: Estimate
    against_baseline: PairedDifference | None


def select_and_confirm(
    values: npt.ArrayLike,
    clusters: Labels,
    *,
    unit: str,
    seed: int,
    baseline: npt.ArrayLike | None = None,
    weights: npt.ArrayLike | None = None,
    lower_is_better: bool = True,
    level: float = 0.95,
    flips: int = 9999,
) -> Selection:
    """Choose the best of C checkpoints on a random half of the clusters; estimate it on the other half.

    The confirmation half is independent of the choice, so its interval and p-value need no correction for C (data
    splitting: Cox 1975, Biometrika 62). Of equals the first is chosen: pass checkpoints from early to late. An odd
    cluster goes to confirmation.

    values: (C, n) per checkpoint and example, in `unit`, C >= 1. clusters: (n,) labels. baseline: (n,), in `unit`.
    weights: (n,), as in `paired_difference`. Raises ValueError on shapes that do not fit or values that are not finite.
    """
    scores, weight = _scores(values, weights)
    base = None if baseline is None else finite(baseline, "baseline")
    if base is not None and base.shape != weight.shape:
        raise ValueError(f"the baseline has {len(base)} values for {len(weight)} examples")
    groups = Clusters.of(clusters, len(weight))
    if len(groups) < 2:
        reason = "choosing on some sources and confirming on others needs at least two of them"
        estimate = Estimate.unknown_because(reason, unit, n=len(weight), clusters=len(groups), level=level)
        return Selection(None, (), (), estimate, None)
    selecting = np.zeros(len(groups), dtype=bool)
    selecting[np.random.default_rng(seed).permutation(len(groups))[: len(groups) // 2]] = True
    chosen = _best(groups.totals(weight * scores)[:, selecting], lower_is_better)
    kept = ~selecting[groups.codes]
    labels, w, score = np.asarray(clusters)[kept], weight[kept], scores[chosen][kept]
    against = None
    if base is not None:
        given = None if weights is None else w
        against = paired_difference(
            score, base[kept], labels, unit=unit, seed=seed, weights=given, level=level, flips=flips
        )
    return Selection(
        chosen,
        tuple(compress(groups.labels, selecting)),
        tuple(compress(groups.labels, ~selecting)),
        ratio_mean(w * score, w, labels, unit=unit, level=level),
        against,
    )


def indistinguishable_from_best(
    values: npt.ArrayLike,
    clusters: Labels,
    *,
    seed: int,
    weights: npt.ArrayLike | None = None,
    lower_is_better: bool = True,
    level: float = 0.95,
    flips: int = 9999,
) -> tuple[int, ...]:
    """Indices of the checkpoints that the data can't tell from the best one, which is among them; ascending.

    A checkpoint leaves the set if its difference from the observed best has an adjusted p-value of at most 1 - level.
    The family is all C(C-1)/2 pairs, by max-T over shared sign flips, since the best was picked by looking: comparing
    it with the other C-1 alone would throw out one of 20 equals in 28 % of cases, all pairs do so in 3 % (simulated
    with 30 sources). It plays the part of the model confidence set of Hansen, Lunde and Nason (2011).
    Above MOST_PAIRED checkpoints the differences are not put on one scale pair by pair, whose number grows with the
    square: the largest difference under a pattern of signs then is the range of the flipped totals (Tukey's
    studentized range is the same idea). The error is the same, the power a little less where runs vary unequally.

    values, clusters, weights: as in `select_and_confirm`. With fewer than 6 clusters nothing leaves at 0.95.
    Raises ValueError on shapes that do not fit, values that are not finite, or no examples.
    """
    scores, weight = _scores(values, weights)
    if not len(weight):
        raise ValueError("there are no examples to tell checkpoints apart by")
    totals = Clusters.of(clusters, len(weight)).totals(weight * scores)
    best = _best(totals, lower_is_better)
    if len(scores) > MOST_PAIRED:
        return _within_range(totals, best, level, sign_patterns(totals.shape[1], flips, seed))
    pairs = list(combinations(range(len(scores)), 2))
    if not pairs:
        return (best,)
    first, second = np.array(pairs).T
    p_values = flip_p_values(totals[first] - totals[second], seed=seed, flips=flips)
    worse = {
        index for pair, p in zip(pairs, p_values, strict=True) if best in pair and p <= 1 - level for index in pair
    }
    return tuple(index for index in range(len(scores)) if index == best or index not in worse)


def _within_range(totals: FloatArray, best: int, level: float, patterns: Iterator[FloatArray]) -> tuple[int, ...]:
    """Those whose summed difference from the best one a pattern of signs reaches in more than 1 - level of cases."""
    ranges = np.sort(np.concatenate([np.ptp(signs @ totals.T, axis=1) for signs in patterns]))
    differences = np.abs(totals.sum(axis=1) - totals[best].sum())
    hits = len(ranges) - np.searchsorted(ranges, differences * (1 - 1e-9))
    p_values = np.maximum(hits, 1) / len(ranges)
    return tuple(int(index) for index in np.flatnonzero((p_values > 1 - level) | (np.arange(len(totals)) == best)))


def _scores(values: npt.ArrayLike, weights: npt.ArrayLike | None) -> tuple[FloatArray, FloatArray]:
    """The (C, n) values and their (n,) weights, checked."""
    scores = finite(values, "values", ndim=2)
    weight = np.ones(scores.shape[1]) if weights is None else finite(weights, "weights")
    if not len(scores) or len(weight) != scores.shape[1] or np.any(weight < 0):
        raise ValueError("values must be (C, n) with C >= 1, and weights (n,) and not negative")
    return scores, weight


def _best(totals: FloatArray, lower_is_better: bool) -> int:
    """The first row of (C, k) cluster totals with the best sum."""
    sums = totals.sum(axis=1)
    return int(np.argmin(sums) if lower_is_better else np.argmax(sums))
