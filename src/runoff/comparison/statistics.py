"""Paired differences between two runs on the same examples. Owns: the difference, its test, power, and the outcome.

Must not: read scores, choose what to compare, or write sentences. Randomness comes from the seed that is passed in.

The unit is the example, the cluster is its source; A - B is always the direction. Swapping A and B negates every
estimate and leaves every p-value as it was, bit for bit; the order of the examples changes nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from runoff.comparison.sign_flips import flip_method, flip_p_values, minimum_clusters_for
from runoff.estimates.bounded import Bounds, clipped, of_difference
from runoff.estimates.clusters import (
    Clusters,
    FloatArray,
    Labels,
    design_effect,
    finite,
    intraclass_correlation,
    robust_ratio,
    student_t,
)
from runoff.estimates.estimate import Estimate, t_estimate
from runoff.estimates.quantiles import chi_squared_quantile, normal_quantile

__all__ = [
    "Need",
    "Outcome",
    "PairedDifference",
    "max_t",
    "minimum_clusters_for",
    "outcome",
    "paired_difference",
    "questions_needed",
]

_ALPHA = 0.05  # two-sided level of "better" and "worse", and each one-sided level of "equivalent"
_POWER = 0.80
_FEW_CLUSTERS = 20  # below this, plans use an upper limit of the variance
_PLANNING_LEVEL = 0.80  # of that one-sided limit (Browne 1995)


class Outcome(StrEnum):
    """What a paired difference says about A against B."""

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    NOT_DETECTABLE = "not_detectable"
    INSUFFICIENT = "insufficient"


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """A - B over the examples that both have. Every number that can't be known is None.

    difference: the (weighted) mean difference with its cluster-robust t interval. standard_error: of it.
    p_value: two-sided, cluster sign-flip. p_method: how it came about, or why there is none.
    exact_zero: there are examples, and A equals B on each of them.
    median_difference: over examples, without weights. share_lower: share of examples where A is lower than B.
    sd: of the examples' contributions to the mean, d_i unweighted, else D + w_i (d_i - D) / mean w.
    icc: intraclass correlation of the same contributions, within [0, 1]. design_effect: >= 1.
    smallest_detectable: true difference found with 80 % power at 5 % two-sided, see `paired_difference`.
    bounds: of the difference, beyond which no interval reaches; None where it has none.

    `difference`, `standard_error`, `median_difference`, `sd` and `smallest_detectable` are in the unit of the estimate.
    """

    difference: Estimate
    p_method: str
    exact_zero: bool = False
    p_value: float | None = None
    standard_error: float | None = None
    median_difference: float | None = None
    share_lower: float | None = None
    sd: float | None = None
    icc: float | None = None
    design_effect: float | None = None
    smallest_detectable: float | None = None
    bounds: Bounds | None = None

    @property
    def n(self) -> int:
        """Examples."""
        return self.difference.n

    @property
    def clusters(self) -> int:
        """Sources that the examples come from."""
        return self.difference.clusters

    def interval(self, level: float) -> tuple[float, float] | None:
        """The two-sided interval at any level, 0.90 for TOST; None with fewer than 2 clusters."""
        if self.difference.value is None or self.standard_error is None:
            return None
        half = student_t((1 + level) / 2, self.clusters) * self.standard_error
        return clipped((self.difference.value - half, self.difference.value + half), self.bounds)

    def within_margin(self, margin: float, level: float = 0.95) -> bool:
        """Whether the whole interval lies strictly inside ±margin: too small to matter, detectable or not."""
        ends = self.interval(level)
        return ends is not None and -margin < ends[0] and ends[1] < margin


def paired_difference(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    clusters: Labels,
    *,
    unit: str,
    seed: int,
    weights: npt.ArrayLike | None = None,
    bounds: Bounds | None = None,
    level: float = 0.95,
    flips: int = 9999,
) -> PairedDifference:
    """Compare A with B on the same n examples; needs no assumption on how examples of one cluster hang together.

    The mean difference is sum w_i (a_i - b_i) / sum w_i: for held-out loss a_i and b_i are nats per target token of
    example i and w_i its target tokens, which gives the difference of the two corpus losses. Its interval is
    cluster-robust t with k-1 degrees of freedom (Miller 2024, arXiv:2411.00640); its p-value flips the signs of the k
    cluster totals, exactly up to 13 clusters and with `flips` random patterns beyond.

    smallest_detectable = (t(.975) + t(.80)) * sd * sqrt(design_effect / n), both quantiles with k-1 degrees of freedom
    (Bloom 1995, Evaluation Review 19), which tends to the familiar 2.80 as k grows. It is None under 6 clusters, where
    no p-value reaches .05, and where the differences do not vary. With exactly 6 clusters only one pattern in 32 counts
    as detected, and the power there is about 65 %.

    bounds: the least and the largest value of a and b, where there are such: the difference of two shares lies within
    -1 and 1, and its interval is cut there. A score interval (estimates/bounded.py) would not reach beyond by itself,
    but would be another one than the two one-sided tests and the power rest on.

    a, b, weights: (n,); weights not negative, equal if None. clusters: (n,) labels. Without examples or weight the
    difference is unknown, and from a single cluster there is neither interval nor p-value.
    Raises ValueError on lengths that differ, values that are not finite, or negative weights.
    """
    first, second = finite(a, "a"), finite(b, "b")
    weight = np.ones(len(first)) if weights is None else finite(weights, "weights")
    if not len(first) == len(second) == len(weight) or np.any(weight < 0):
        raise ValueError("a, b and weights must pair up, and no weight may be negative")
    difference, groups = first - second, Clusters.of(clusters, len(first))
    n, k = len(difference), len(groups)
    if not np.any(weight):
        reason = "every weight is 0" if n else "there are no examples"
        estimate = Estimate.unknown_because(reason, unit, n=n, clusters=k, level=level)
        return PairedDifference(estimate, p_method=f"none: {reason}")
    totals, total_weights = groups.totals(weight * difference), groups.totals(weight)
    value, error = robust_ratio(totals, total_weights)
    contributions = weight * (difference - value) * (n / math.fsum(total_weights))
    sd = math.sqrt(math.fsum(contributions**2) / (n - 1)) if n > 1 else None
    icc = intraclass_correlation(contributions, groups)
    effect = design_effect(icc, groups) if k > 1 else None
    method = f"paired {'mean' if weights is None else 'weighted mean'}, cluster-robust t"
    ends = of_difference(bounds)
    return PairedDifference(
        difference=_cut(t_estimate(value, error, unit=unit, level=level, n=n, clusters=k, method=method), ends),
        p_method=flip_method(k, flips) if k > 1 else "none: there is a single cluster",
        exact_zero=not np.any(difference),
        p_value=float(flip_p_values(totals[None], seed=seed, flips=flips)[0]) if k > 1 else None,
        standard_error=error,
        median_difference=float(np.median(difference)),
        share_lower=float(np.mean(difference < 0)),
        sd=sd,
        icc=icc,
        design_effect=effect,
        smallest_detectable=_smallest_detectable(sd, effect, n, k),
        bounds=ends,
    )


def _cut(estimate: Estimate, bounds: Bounds | None) -> Estimate:
    if bounds is None or estimate.low is None or estimate.high is None:
        return estimate
    low, high = clipped((estimate.low, estimate.high), bounds)
    return replace(estimate, low=low, high=high, method=f"{estimate.method}, cut at {bounds[0]:g} and {bounds[1]:g}")


def _smallest_detectable(sd: float | None, effect: float | None, n: int, k: int) -> float | None:
    if not sd or effect is None or k < minimum_clusters_for(1 - _ALPHA):
        return None
    return (student_t(1 - _ALPHA / 2, k) + student_t(_POWER, k)) * sd * math.sqrt(effect / n)


def outcome(paired: PairedDifference, margin: float, *, lower_is_better: bool = True) -> Outcome:
    """Better, worse, equivalent, not detectable, or insufficient: the first that holds.

    insufficient: no examples, or fewer than 2 clusters. better, worse: the 95 % interval excludes 0 and the sign-flip
    p-value is at most .05. The two seldom disagree, and then neither is believed: a few lopsided clusters can fool the
    interval. equivalent: the 90 % interval lies inside ±margin, which is two one-sided tests at 5 % (TOST: Schuirmann
    1987). Anything else is not detectable, or insufficient under 6 clusters: there the p-value can't be small however
    large the difference, so that not to have detected one says nothing.
    A difference that is both detectable and negligible is better or worse; `PairedDifference.within_margin` tells.

    margin: smallest difference that matters, > 0, in the unit of the difference; ValueError otherwise.
    """
    if not margin > 0:
        raise ValueError(f"a margin must be positive, not {margin}")
    ends = paired.interval(1 - _ALPHA)
    if ends is None or paired.p_value is None:
        return Outcome.INSUFFICIENT
    if paired.p_value <= _ALPHA and not ends[0] <= 0 <= ends[1]:
        return Outcome.BETTER if (ends[1] < 0) == lower_is_better else Outcome.WORSE
    if paired.within_margin(margin, 1 - 2 * _ALPHA):
        return Outcome.EQUIVALENT
    testable = paired.clusters >= minimum_clusters_for(1 - _ALPHA)
    return Outcome.NOT_DETECTABLE if testable else Outcome.INSUFFICIENT


@dataclass(frozen=True, slots=True)
class Need:
    """How much data would show a difference as large as the margin; None, and `unknown` the reason, if nobody can say.

    questions: examples in all, those at hand included. clusters: sources in all, of the size of those at hand.
    cautious: counted from an upper limit of the variance, because that was observed over few clusters.
    """

    questions: int | None
    clusters: int | None
    cautious: bool = False
    unknown: str | None = None


def questions_needed(paired: PairedDifference, margin: float) -> Need:
    """Examples and clusters with which a true difference of `margin` is found with 80 % power at 5 % two-sided.

    questions = 7.85 * sd^2 * design_effect / margin^2, where 7.85 = (z(.975) + z(.80))^2; clusters keep their size n/k,
    and number at least 6. Under 20 clusters sd^2 * design_effect is replaced by its one-sided 80 % upper limit, with
    k-1 degrees of freedom (Browne 1995, Statistics in Medicine 14): a plan from the point estimate falls short about
    every second time. Uses the variance observed, never the difference observed.

    margin: > 0, in the unit of the difference; ValueError otherwise. The need can be less than what is at hand: the
    data then could well have shown a difference of `margin`, and the true one is probably smaller.
    """
    if not margin > 0:
        raise ValueError(f"a margin must be positive, not {margin}")
    if not paired.sd or paired.design_effect is None:
        return Need(None, None, unknown="the variation between examples and clusters is not known from this data")
    k, fewest = paired.clusters, minimum_clusters_for(1 - _ALPHA)
    variance = paired.sd**2 * paired.design_effect
    cautious = k < _FEW_CLUSTERS
    if cautious:
        variance *= (k - 1) / chi_squared_quantile(1 - _PLANNING_LEVEL, k - 1)
    quantiles = normal_quantile(1 - _ALPHA / 2) + normal_quantile(_POWER)
    questions = quantiles**2 * variance / margin**2
    sources = max(fewest, math.ceil(questions * k / paired.n))
    return Need(max(sources, math.ceil(questions)), sources, cautious)


def max_t(
    differences: npt.ArrayLike,
    clusters: Labels,
    *,
    seed: int,
    weights: npt.ArrayLike | None = None,
    flips: int = 9999,
) -> FloatArray:
    """Adjusted two-sided p-values of K challengers against one incumbent: single-step max-T over shared sign flips.

    The chance that any challenger without a real difference gets p <= .05 is at most 5 %, whatever K, and less is lost
    than with Bonferroni when challengers are alike, as checkpoints are (Westfall and Young 1993). With K = 1 it is the
    p-value of `paired_difference`.

    differences: (K, n), challenger - incumbent per example. clusters: (n,) labels. weights: (n,) or None, as in
    `paired_difference`. Returns (K,), all 1 if there are fewer than 2 clusters.
    Raises ValueError on shapes that do not fit, values that are not finite, or no differences.
    """
    rows = finite(differences, "differences", ndim=2)
    weight = np.ones(rows.shape[1]) if weights is None else finite(weights, "weights")
    if not rows.size or len(weight) != rows.shape[1] or np.any(weight < 0):
        raise ValueError("differences must be (K, n) with K, n >= 1, and weights (n,) and not negative")
    return flip_p_values(Clusters.of(clusters, len(weight)).totals(weight * rows), seed=seed, flips=flips)
