"""Quantiles of the normal, t and chi-squared distributions, from the standard library.

Owns: three inverses, held equal to scipy.special's in the tests. scipy itself would do, but importing scipy.special
takes half as long as comparing two runs may take altogether. Must not: know what they are used for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist

__all__ = ["chi_squared_quantile", "normal_quantile", "t_quantile"]


def normal_quantile(p: float) -> float:
    """x with P(Z <= x) = p."""
    return NormalDist().inv_cdf(p)


@lru_cache(maxsize=1024)
def t_quantile(p: float, freedom: int) -> float:
    """x with P(T <= x) = p for Student's t with `freedom` degrees; 0 < p < 1, freedom >= 1."""
    if p == 0.5:
        return 0.0
    tail = min(p, 1 - p)

    def upper(x: float) -> float:
        """P(T > x) for x >= 0: half the regularised incomplete beta function at freedom / (freedom + x^2)."""
        return 0.5 * _beta(freedom / 2, 0.5, freedom / (freedom + x * x))

    x = _falling(upper, tail)
    return x if p > 0.5 else -x


@lru_cache(maxsize=1024)
def chi_squared_quantile(p: float, freedom: int) -> float:
    """x with P(X <= x) = p for chi-squared with `freedom` degrees; 0 < p < 1, freedom >= 1."""
    return _falling(lambda x: 1.0 - _gamma(freedom / 2, x / 2), 1.0 - p)


def _falling(function: Callable[[float], float], wanted: float) -> float:
    """Where a function that falls from its value at 0 takes a value: doubling, then bisection to the last bit."""
    low, high = 0.0, 1.0
    while function(high) > wanted:
        low, high = high, 2 * high
    while True:
        middle = (low + high) / 2
        if middle in (low, high):
            return middle
        low, high = (middle, high) if function(middle) > wanted else (low, middle)


def _beta(a: float, b: float, x: float) -> float:
    """Regularised incomplete beta function by its continued fraction (Abramowitz and Stegun 26.5.8, Lentz's method)."""
    if x <= 0.0 or x >= 1.0:
        return 0.0 if x <= 0.0 else 1.0
    if x > (a + 1) / (a + b + 2):  # the fraction converges on the other side
        return 1.0 - _beta(b, a, 1.0 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    fraction, c, d = 1.0, 1.0, 0.0
    for index in range(500):
        half = index // 2
        if index == 0:
            numerator = 1.0
        elif index % 2 == 0:
            numerator = half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))
        else:
            numerator = -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
        d = 1.0 / (1.0 + numerator * d)
        c = 1.0 + numerator / c
        fraction *= c * d
        if abs(1.0 - c * d) < 1e-16:
            break
    return front * (fraction - 1.0)


def _gamma(a: float, x: float) -> float:
    """Regularised lower incomplete gamma function by its series (Abramowitz and Stegun 6.5.29)."""
    if x <= 0.0:
        return 0.0
    term = total = 1.0 / a
    index = 0
    while abs(term) > 1e-17 * abs(total):
        index += 1
        term *= x / (a + index)
        total += term
    return min(total * math.exp(-x + a * math.log(x) - math.lgamma(a)), 1.0)
