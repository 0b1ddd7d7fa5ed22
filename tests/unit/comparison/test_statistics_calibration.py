"""What the statistics promise, simulated: error rates, coverage and power with clustered, heavy-tailed differences.

Every bound is a 99.9 % binomial quantile of the promised rate, so that a pass is no accident and a failure no noise.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from runoff.comparison.selection import indistinguishable_from_best, select_and_confirm
from runoff.comparison.statistics import Outcome, max_t, outcome, paired_difference

DESIGNS = [(k, icc) for k in (9, 15, 30) for icc in (0.1, 0.4)]
SIMULATIONS = 300
RATES = ("p_value", "interval", "decided", "found", "equivalent")


def t4(random: np.random.Generator, *shape: int) -> npt.NDArray[np.float64]:
    """Heavy-tailed noise with variance 1."""
    noise: npt.NDArray[np.float64] = random.standard_t(4, shape) / np.sqrt(2)
    return noise


def at_most(rate: float, trials: int) -> float:
    return float(stats.binom.ppf(0.999, trials, rate)) / trials


@cache
def simulated(k: int, icc: float) -> dict[str, float]:
    """Shares of simulations with a false p-value, a false interval, a false decision, a true finding, a false tie."""
    random = np.random.default_rng([k, round(10 * icc)])
    hits = dict.fromkeys(RATES, 0)
    for seed in range(SIMULATIONS):
        labels = np.repeat(np.arange(k), random.integers(10, 15, k))
        tokens = random.integers(100, 400, len(labels)) if seed % 2 else None
        noise = np.sqrt(icc) * t4(random, k)[labels] + np.sqrt(1 - icc) * t4(random, len(labels))
        zero = np.zeros(len(labels))
        null = paired_difference(noise, zero, labels, unit="", seed=seed, weights=tokens, flips=999)
        assert null.p_value is not None
        assert null.difference.low is not None
        assert null.difference.high is not None
        assert null.smallest_detectable is not None
        hits["p_value"] += null.p_value <= 0.05
        hits["interval"] += not null.difference.low <= 0 <= null.difference.high
        hits["decided"] += outcome(null, 1e-9) is not Outcome.NOT_DETECTABLE
        large = noise + 2 * null.smallest_detectable
        found = paired_difference(large, zero, labels, unit="", seed=seed, weights=tokens, flips=999)
        hits["found"] += outcome(found, 1e-9) is Outcome.WORSE
        margin = 5 * math.sqrt((1 + 11 * icc) / len(labels))  # five standard errors: wide enough to conclude something
        edge = paired_difference(noise + margin, zero, labels, unit="", seed=seed, weights=tokens, flips=1)
        hits["equivalent"] += edge.within_margin(margin, 0.90)
    return {name: count / SIMULATIONS for name, count in hits.items()}


@pytest.mark.parametrize(("k", "icc"), DESIGNS)
def test_errors_stay_at_five_percent_in_every_design(k: int, icc: float) -> None:
    rates, bound = simulated(k, icc), at_most(0.05, SIMULATIONS)
    assert rates["p_value"] <= bound
    assert rates["interval"] <= bound
    assert rates["decided"] <= bound
    assert rates["equivalent"] <= bound


@pytest.mark.parametrize("error", ["p_value", "interval", "decided", "equivalent"])
def test_errors_stay_near_five_percent_over_all_designs(error: str) -> None:
    rate = np.mean([simulated(*design)[error] for design in DESIGNS])
    assert 0.03 <= rate <= at_most(0.05, SIMULATIONS * len(DESIGNS))


@pytest.mark.parametrize(("k", "icc"), DESIGNS)
def test_twice_the_smallest_detectable_difference_is_found(k: int, icc: float) -> None:
    assert simulated(k, icc)["found"] >= 0.9


@pytest.mark.parametrize(("k", "icc"), DESIGNS)
def test_the_smallest_detectable_difference_is_found_four_times_in_five(k: int, icc: float) -> None:
    random = np.random.default_rng([1, k, round(10 * icc)])
    multiple = stats.t.ppf(0.975, k - 1) + stats.t.ppf(0.8, k - 1)
    shift, labels = multiple * np.sqrt((1 + 11 * icc) / (12 * k)), np.repeat(np.arange(k), 12)
    noise = np.sqrt(icc) * t4(random, SIMULATIONS, k)[:, labels] + np.sqrt(1 - icc) * t4(random, SIMULATIONS, 12 * k)
    results = [paired_difference(row + shift, 0 * row, labels, unit="", seed=0, flips=999) for row in noise]
    power = np.mean([outcome(result, 1e-9) is Outcome.WORSE for result in results])
    assert power == pytest.approx(0.8, abs=0.08)


@cache
def equal_checkpoints(checkpoints: int = 10, k: int = 16, simulations: int = 500) -> dict[str, float]:
    """Shares of simulations in which equals are told apart, by method."""
    random = np.random.default_rng(11)
    labels = np.repeat(np.arange(k), 6)
    hits = dict.fromkeys(("naive", "confirmed", "max_t", "set"), 0)
    for seed in range(simulations):
        values = 0.5 * t4(random, checkpoints, k)[:, labels] + t4(random, checkpoints, len(labels))
        base = 0.5 * t4(random, k)[labels] + t4(random, len(labels))
        best = values[np.argmin(values.sum(axis=1))]
        naive = paired_difference(best, base, labels, unit="", seed=seed, flips=499)
        picked = select_and_confirm(values, labels, unit="", seed=seed, baseline=base, flips=499)
        assert picked.against_baseline is not None
        hits["naive"] += outcome(naive, 1e-9) is Outcome.BETTER
        hits["confirmed"] += outcome(picked.against_baseline, 1e-9) is Outcome.BETTER
        hits["max_t"] += bool(np.any(max_t(values - base, labels, seed=seed, flips=499) <= 0.05))
        hits["set"] += len(indistinguishable_from_best(values, labels, seed=seed, flips=499)) < checkpoints
    return {name: count / simulations for name, count in hits.items()}


def test_the_simulation_shows_the_error_that_the_others_avoid() -> None:
    assert equal_checkpoints()["naive"] > 3 * 0.025


@pytest.mark.parametrize(("method", "promised"), [("confirmed", 0.025), ("max_t", 0.05), ("set", 0.05)])
def test_the_best_of_equal_checkpoints_is_not_called_better(method: str, promised: float) -> None:
    assert equal_checkpoints()[method] <= at_most(promised, 500)
