"""Intervals that the measures need beyond a mean's. Owns: clustered rates, the delete-one-source jackknife.

Must not: know what is measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from runoff.estimates.clusters import Clusters, Labels, design_effect, intraclass_correlation
from runoff.estimates.estimate import Estimate, rate, t_estimate

__all__ = ["clustered_rate", "jackknife"]


def clustered_rate(values: Sequence[float], clusters: Labels, *, unit: str) -> Estimate:
    """The share of ones with a Wilson interval over n / design effect examples.

    values: (n,) of 0 and 1. clusters: (n,) labels. Where the values do not vary, clustering can't be seen and the
    interval is Wilson's own.
    """
    array, groups = np.asarray(values, dtype=np.float64), Clusters.of(clusters, len(values))
    effect = design_effect(intraclass_correlation(array, groups), groups) or 1.0
    return rate(int(array.sum()), len(array), unit=unit, clusters=len(groups), design_effect=effect)


def jackknife(
    statistic: Callable[[npt.NDArray[Any]], float], clusters: Labels, *, unit: str, method: str, level: float = 0.95
) -> Estimate:
    """A statistic of all examples with a delete-one-cluster jackknife interval, t with k-1 degrees of freedom.

    SE = sqrt((k-1)/k * sum of (theta without cluster c - their mean)^2): Efron and Stein 1981, Annals of Statistics 9.

    statistic: from the indices of the examples that are kept to a finite number. clusters: (n,) labels. No interval
    from a single cluster.
    """
    groups = Clusters.of(clusters, len(clusters))
    k, value = len(groups), statistic(np.arange(len(clusters)))
    error = None
    if k > 1:
        without = np.array([statistic(np.flatnonzero(groups.codes != code)) for code in range(k)])
        error = math.sqrt((k - 1) / k * math.fsum((without - without.mean()) ** 2))
    name = f"{method}, jackknife over sources"
    return t_estimate(value, error, unit=unit, level=level, n=len(clusters), clusters=k, method=name)
