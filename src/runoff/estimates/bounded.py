"""Intervals of what has bounds: shares, probabilities, areas under curves, counts. Owns: the score interval by source.

Must not: know what is measured. A t interval is symmetric, so near a bound it reaches beyond it and covers too seldom:
docs/statistics.md has the figures.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from runoff.estimates.clusters import Clusters, Labels, finite, robust_ratio, student_t
from runoff.estimates.estimate import Estimate, rate, t_estimate

__all__ = ["SHARE", "Bounds", "bounded_estimate", "bounded_mean", "clipped", "of_difference"]

Bounds = tuple[float, float]
"""The least and the largest value that a quantity can have; the latter may be infinite."""

SHARE: Bounds = (0.0, 1.0)

_ROUNDING = 1e-9  # beyond a bound by no more than this is at it


def clipped(ends: tuple[float, float], bounds: Bounds | None) -> tuple[float, float]:
    """An interval without the part that can't be true; so it holds the truth exactly as often as before."""
    if bounds is None:
        return ends
    low, high = (min(max(end, bounds[0]), bounds[1]) for end in ends)
    return low, high


def of_difference(bounds: Bounds | None) -> Bounds | None:
    """The bounds of a - b where each lies within these: of two shares -1 and 1."""
    return None if bounds is None else (bounds[0] - bounds[1], bounds[1] - bounds[0])


def bounded_mean(
    values: npt.ArrayLike, clusters: Labels, *, unit: str, bounds: Bounds = SHARE, level: float = 0.95
) -> Estimate:
    """The mean over examples with a score interval, which stays within the bounds of the values.

    values: (n,), in `unit`, each within `bounds`. clusters: (n,) labels. Unknown without examples; without an interval
    from a single cluster. Raises ValueError on lengths that differ, or values that are not finite or out of bounds.
    """
    array, (low, high) = finite(values, "values"), bounds
    groups = Clusters.of(clusters, len(array))
    if not len(array):
        return Estimate.unknown_because("there are no examples", unit, level=level)
    if np.any((array < low - _ROUNDING) | (array > high + _ROUNDING)):
        raise ValueError(f"values must lie between {low} and {high}")
    value, error = robust_ratio(groups.totals(array), groups.sizes.astype(np.float64))
    return bounded_estimate(
        value, error, bounds=bounds, unit=unit, level=level, n=len(array), clusters=len(groups), method="mean"
    )


def bounded_estimate(
    value: float,
    standard_error: float | None,
    *,
    bounds: Bounds,
    unit: str,
    level: float,
    n: int,
    clusters: int,
    method: str,
) -> Estimate:
    """All x with |value - x| <= t * (standard error at x), where t has `clusters` - 1 degrees of freedom.

    The standard error at x is the one seen at `value` times sqrt(V(x) / V(value)), with V(x) = (x - low) * (high - x),
    or x - low without an upper bound. For a share that is Wilson's (1927) interval with the sample size that would give
    this standard error, and t for the few sources: Korn and Graubard 1998, Survey Methodology 24; Dean and Pagano 2015,
    Journal of Survey Statistics and Methodology 3. Far from the bounds it is the t interval.

    value: within `bounds`. At a bound nothing varies and clustering can't be seen: between two bounds the interval is
    then Wilson's for n examples (see `rate`); with a lower bound alone it has no width.
    """
    low, high = bounds
    value = min(max(value, low), high)
    if value in bounds and math.isfinite(high):
        return _at_bound(rate(n if value == high else 0, n, unit=unit, level=level, clusters=clusters), bounds)
    if standard_error is None:
        return t_estimate(value, None, unit=unit, level=level, n=n, clusters=clusters, method=method)
    named = f"{method}, score interval over sources"
    if value == low or standard_error == 0:
        return Estimate(value, value, value, level, unit, n, clusters, named)
    t, above_low, inverse = student_t((1 + level) / 2, clusters), value - low, 1 / (high - low)
    # With y = x - low: (y - above_low)^2 = spread * y * (1 - y * inverse), a quadratic in y.
    spread = t**2 * standard_error**2 / (above_low * (1 - above_low * inverse))
    middle, scale = 2 * above_low + spread, 2 * (1 + spread * inverse)
    half = math.sqrt(spread * (4 * above_low * (1 - above_low * inverse) + spread))
    ends = low + max(0.0, middle - half) / scale, min(high, low + (middle + half) / scale)
    return Estimate(value, min(value, ends[0]), max(value, ends[1]), level, unit, n, clusters, named)


def _at_bound(share: Estimate, bounds: Bounds) -> Estimate:
    """A share of 0 or 1 of the way between the bounds, as a value."""
    if bounds == SHARE:
        return share
    low, high = bounds
    value, *ends = (low + (high - low) * one for one in (share.value, share.low, share.high) if one is not None)
    return replace(share, value=value, low=ends[0], high=ends[1], method="Wilson, all at one bound")
