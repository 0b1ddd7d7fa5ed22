"""The quantiles against scipy's, over the range that comparisons use."""

from __future__ import annotations

import pytest
from scipy import special

from runoff.estimates.quantiles import chi_squared_quantile, normal_quantile, t_quantile

CHANCES = [0.001, 0.025, 0.05, 0.2, 0.4, 0.5, 0.8, 0.9, 0.95, 0.975, 0.995, 0.9999]


@pytest.mark.parametrize("p", CHANCES)
def test_normal(p: float) -> None:
    assert normal_quantile(p) == pytest.approx(float(special.ndtri(p)), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("freedom", [1, 2, 3, 5, 7, 11, 29, 100, 1999])
@pytest.mark.parametrize("p", CHANCES)
def test_t(p: float, freedom: int) -> None:
    assert t_quantile(p, freedom) == pytest.approx(float(special.stdtrit(freedom, p)), rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("freedom", [1, 2, 3, 5, 7, 11, 19, 100])
@pytest.mark.parametrize("p", CHANCES)
def test_chi_squared(p: float, freedom: int) -> None:
    assert chi_squared_quantile(p, freedom) == pytest.approx(float(special.chdtri(freedom, 1 - p)), rel=1e-9)
