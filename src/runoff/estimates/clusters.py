"""Examples grouped by their source. Owns: cluster sums, cluster-robust standard errors, the intraclass correlation.

Must not: know what is measured, who is compared, or what follows from a number.

Sums over examples are correctly rounded (`math.fsum`), and clusters are kept in the order of their labels. So no result
depends on the order in which the examples arrive, and negating the values negates every sum bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from runoff.estimates.quantiles import t_quantile

__all__ = [
    "Clusters",
    "FloatArray",
    "Labels",
    "design_effect",
    "finite",
    "intraclass_correlation",
    "robust_ratio",
    "student_t",
]

FloatArray: TypeAlias = npt.NDArray[np.float64]
Labels: TypeAlias = Sequence[str] | Sequence[int] | npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """Which of k clusters each of n examples belongs to.

    labels: the k distinct labels, sorted. codes: (n,) index into labels. sizes: (k,) examples per cluster, all >= 1.
    """

    labels: tuple[str | int, ...]
    codes: npt.NDArray[np.intp]
    sizes: npt.NDArray[np.intp]

    @classmethod
    def of(cls, labels: Labels, n: int) -> Clusters:
        """Group n examples by their labels, all of one sortable type. Raises ValueError unless there are n labels."""
        array = np.asarray(labels)
        if array.shape != (n,):
            raise ValueError(f"{n} examples need {n} cluster labels, not an array of shape {array.shape}")
        names, codes, sizes = np.unique(array, return_inverse=True, return_counts=True)
        return cls(tuple(names.tolist()), codes, sizes)

    def __len__(self) -> int:
        return len(self.labels)

    def totals(self, values: FloatArray) -> FloatArray:
        """Sum within each cluster: (n,) -> (k,), or row by row (K, n) -> (K, k); correctly rounded."""
        if values.ndim == 2:
            return np.array([self.totals(row) for row in values]).reshape(len(values), len(self))
        grouped = values[np.argsort(self.codes, kind="stable")]
        parts = np.split(grouped, np.cumsum(self.sizes))[:-1]
        return np.array([math.fsum(part.tolist()) for part in parts], dtype=np.float64)


def finite(values: npt.ArrayLike, name: str, *, ndim: int = 1) -> FloatArray:
    """`values` as a float64 array; raises ValueError if it has other than `ndim` axes or holds NaN or infinity."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} axes, not {array.ndim}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite: leave examples without a value out, and count them")
    return array


def robust_ratio(numerators: FloatArray, denominators: FloatArray) -> tuple[float, float | None]:
    """Sum over sum of k cluster totals, and its cluster-robust standard error, None when k < 2.

    With residuals r_c = numerator_c - ratio * denominator_c, the standard error is sqrt(k/(k-1) * sum r_c^2) / sum of
    denominators: the linearised ("sandwich") variance of a ratio with the finite-cluster factor. With denominators that
    count examples it is the clustered standard error of a mean (Miller 2024, arXiv:2411.00640, appendix A).

    numerators, denominators: (k,), k >= 1; the denominators' sum must be positive.
    """
    k, total = len(numerators), math.fsum(denominators)
    ratio = math.fsum(numerators) / total
    if k < 2:
        return ratio, None
    residuals = numerators - ratio * denominators
    return ratio, math.sqrt(k / (k - 1) * math.fsum(residuals**2)) / total


def student_t(probability: float, clusters: int) -> float:
    """The quantile of Student's t with `clusters` - 1 degrees of freedom; clusters >= 2, 0 < probability < 1."""
    return t_quantile(probability, clusters - 1)


def intraclass_correlation(values: FloatArray, clusters: Clusters) -> float | None:
    """Share of the variance that lies between clusters: one-way ANOVA estimator for unequal sizes, floored at 0.

    Donner (1986), International Statistical Review 54. None where it has no meaning: fewer than 2 clusters, no cluster
    with 2 examples, or values that do not vary.

    values: (n,), in any unit; the result has none.
    """
    n, k = len(values), len(clusters)
    if k < 2 or n == k or not np.ptp(values):  # asked of the values: equal ones leave a rest of rounding in the sums
        return None
    means = clusters.totals(values) / clusters.sizes
    between = math.fsum(clusters.sizes * (means - math.fsum(values) / n) ** 2) / (k - 1)
    within = math.fsum((values - means[clusters.codes]) ** 2) / (n - k)
    typical_size = (n - float(np.sum(clusters.sizes**2)) / n) / (k - 1)
    spread = between + (typical_size - 1) * within
    return max(0.0, (between - within) / spread) if spread > 0 else None  # squares of the tiniest values are 0


def design_effect(correlation: float | None, clusters: Clusters) -> float | None:
    """How many times larger clustering makes the variance of a mean: 1 + (m - 1) * correlation, at least 1.

    m = sum(sizes^2) / n is the size of the cluster that an example finds itself in; it is n/k when all are equal (Kish
    1965). None if the correlation is unknown and some cluster holds more than one example.
    """
    if np.all(clusters.sizes == 1):
        return 1.0
    size = float(np.sum(clusters.sizes**2) / np.sum(clusters.sizes))
    return None if correlation is None else 1 + (size - 1) * correlation
