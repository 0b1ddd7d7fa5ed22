"""A number with its uncertainty. Owns: `Estimate`, and the means, ratios and rates that make one.

Must not: compare runs, test hypotheses, or turn what is unknown into a 0 or a NaN.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from runoff.estimates.clusters import Clusters, Labels, finite, robust_ratio, student_t
from runoff.estimates.quantiles import normal_quantile

__all__ = ["Estimate", "mean", "rate", "ratio_mean", "t_estimate"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value, its confidence interval and where both come from; or nothing, and why.

    value, low, high: in `unit`; None where unknown, else finite with low <= value <= high. A value may stand without an
    interval, and then `method` says why. level: of the interval, 0.95 for 95 %. unit: "nats per target token". n:
    examples. clusters: sources that they come from. method: short name. unknown: why there is no value; None if there
    is one.

    Raises ValueError if made otherwise.
    """

    value: float | None
    low: float | None
    high: float | None
    level: float
    unit: str
    n: int
    clusters: int
    method: str
    unknown: str | None = None

    def __post_init__(self) -> None:
        numbers = (self.value, self.low, self.high)
        known = [number for number in numbers if number is not None]
        if not all(map(math.isfinite, known)):
            raise ValueError("an estimate's numbers must be finite; what is unknown is None")
        if (self.value is None) != bool(self.unknown):
            raise ValueError("an estimate has either a value or the reason why it has none")
        if tuple(known) not in ((), numbers, (self.value,)):
            raise ValueError("an estimate's interval needs a value and two ends")
        if len(known) == 3 and not known[1] <= known[0] <= known[2]:
            raise ValueError("an estimate's interval must hold its value")
        if not 0 < self.level < 1 or min(self.n, self.clusters) < 0:
            raise ValueError("an estimate's level lies between 0 and 1, and its counts are not negative")

    @classmethod
    def unknown_because(cls, reason: str, unit: str, *, n: int = 0, clusters: int = 0, level: float = 0.95) -> Estimate:
        """An estimate without a value; `reason` completes "unknown, because ..."."""
        return cls(None, None, None, level, unit, n, clusters, "none", reason)

    def to_json(self) -> dict[str, Any]:
        """Its fields by name, ready for `json.dumps`; what is unknown is null."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Estimate:
        """The estimate that `to_json` wrote. Raises ValueError if a field is missing, unknown to us, or impossible."""
        names = {field.name for field in fields(cls)}
        if names != set(data):
            raise ValueError(f"not an estimate: {', '.join(sorted(names ^ set(data)))} missing or not known")
        return cls(**data)


def t_estimate(
    value: float, standard_error: float | None, *, unit: str, level: float, n: int, clusters: int, method: str
) -> Estimate:
    """value ± t * standard_error, where t has `clusters` - 1 degrees of freedom; no interval without a standard error.

    value, standard_error: in `unit`.
    """
    if standard_error is None:
        return Estimate(value, None, None, level, unit, n, clusters, f"{method}; no interval from a single cluster")
    half = student_t((1 + level) / 2, clusters) * standard_error
    return Estimate(value, value - half, value + half, level, unit, n, clusters, method)


def ratio_mean(
    numerators: npt.ArrayLike, denominators: npt.ArrayLike, clusters: Labels, *, unit: str, level: float = 0.95
) -> Estimate:
    """Sum of numerators over sum of denominators with a cluster-robust t interval: held-out loss is nats over tokens.

    The variance is the linearised one of a ratio (`robust_ratio`); t has k-1 degrees of freedom.

    numerators, denominators: (n,), per example; denominators not negative. clusters: (n,) labels. The result has
    `unit`. Unknown without examples or if all denominators are 0; no interval from a single cluster.
    Raises ValueError on lengths that differ, values that are not finite, or negative denominators.
    """
    return _clustered(numerators, denominators, clusters, unit, level, "ratio of sums, cluster-robust t")


def mean(values: npt.ArrayLike, clusters: Labels, *, unit: str, level: float = 0.95) -> Estimate:
    """The mean over examples with a cluster-robust t interval: mean ± t(k-1) * SE, robust to few clusters.

    SE = sqrt(k/(k-1) * sum over clusters of (sum of residuals)^2) / n: Miller 2024, arXiv:2411.00640, appendix A, with
    the finite-cluster factor. With one example per cluster it is the ordinary t interval.

    values: (n,), in `unit`. clusters: (n,) labels. Unknown without examples; no interval from a single cluster.
    Raises ValueError on lengths that differ or values that are not finite.
    """
    return _clustered(values, np.ones(np.shape(values)), clusters, unit, level, "mean, cluster-robust t")


def rate(
    successes: int,
    n: int,
    *,
    unit: str = "share of examples",
    level: float = 0.95,
    clusters: int | None = None,
) -> Estimate:
    """successes / n with a Wilson (1927) score interval, which knows no sources (`bounded_mean` does).

    Where nothing (or everything) happened the method also gives the one-sided exact limit, 1 - (1-level)^(1/n), of
    which 3/n is the well-known approximation at 95 % (rule of three: Hanley and Lippman-Hand 1983, JAMA 249).

    clusters: sources behind the n examples, n if not given. Unknown if n is 0. Raises ValueError unless
    0 <= successes <= n.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"no rate from {successes} of {n}")
    if n == 0:
        return Estimate.unknown_because("there are no examples", unit, level=level)
    share = successes / n
    z2 = normal_quantile((1 + level) / 2) ** 2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (share * (1 - share) + z2 / (4 * n)) / n) / (1 + z2 / n)
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return Estimate(share, low, high, level, unit, n, n if clusters is None else clusters, _wilson(share, n, level))


def _wilson(share: float, n: int, level: float) -> str:
    """The method's name; at the two ends, with the one-sided limit that the rule of three approximates."""
    name = "Wilson"
    if 0 < share < 1:
        return name
    limit = -math.expm1(math.log1p(-level) / n)
    return f"{name}; rule of three: {f'at most {limit:.2%}' if share == 0 else f'at least {1 - limit:.2%}'}"


def _clustered(
    numerators: npt.ArrayLike, denominators: npt.ArrayLike, labels: Labels, unit: str, level: float, method: str
) -> Estimate:
    top, bottom = finite(numerators, "numerators"), finite(denominators, "denominators")
    if top.shape != bottom.shape or np.any(bottom < 0):
        raise ValueError("numerators and denominators must pair up, and no denominator may be negative")
    n, clusters = len(top), Clusters.of(labels, len(top))
    if not np.any(bottom):
        reason = "every denominator is 0" if n else "there are no examples"
        return Estimate.unknown_because(reason, unit, n=n, clusters=len(clusters), level=level)
    value, error = robust_ratio(clusters.totals(top), clusters.totals(bottom))
    return t_estimate(value, error, unit=unit, level=level, n=n, clusters=len(clusters), method=method)
