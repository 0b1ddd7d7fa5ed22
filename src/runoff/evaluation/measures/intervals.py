"""Intervals that the measures need beyond a mean's. Owns: the delete-one-source jackknife.

Must not: know what is measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from runoff.estimates.bounded import Bounds, bounded_estimate
from runoff.estimates.clusters import Clusters, Labels
from runoff.estimates.estimate import Estimate

__all__ = ["jackknife"]


def jackknife(
    statistic: Callable[[npt.NDArray[Any]], float],
    clusters: Labels,
    *,
    unit: str,
    method: str,
    bounds: Bounds,
    level: float = 0.95,
) -> Estimate:
    """A statistic of all examples with a score interval from the delete-one-cluster jackknife's standard error.

    SE = sqrt((k-1)/k * sum of (theta without cluster c - their mean)^2): Efron and Stein 1981, Annals of Statistics 9.

    statistic: from the indices of the examples that are kept to a finite number within `bounds`. clusters: (n,) labels.
    No interval from a single cluster.
    """
    groups = Clusters.of(clusters, len(clusters))
    k, value = len(groups), statistic(np.arange(len(clusters)))
    error = None
    if k > 1:
        without = np.array([statistic(np.flatnonzero(groups.codes != code)) for code in range(k)])
        error = math.sqrt((k - 1) / k * math.fsum((without - without.mean()) ** 2))
    name = f"{method}, jackknife"
    return bounded_estimate(
        value, error, bounds=bounds, unit=unit, level=level, n=len(clusters), clusters=k, method=name
    )
