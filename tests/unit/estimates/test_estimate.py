"""Estimates: their invariants, and means, ratios and rates against hand-computed cases and scipy."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from runoff.estimates.clusters import Clusters, design_effect, intraclass_correlation
from runoff.estimates.estimate import Estimate, mean, rate, ratio_mean

UNIT = "nats per target token"
KNOWN = Estimate(1.0, 0.5, 1.5, 0.95, UNIT, 10, 3, "by hand")


@pytest.mark.parametrize(
    "change",
    [
        {"value": math.nan},
        {"high": math.inf},
        {"value": None},
        {"unknown": "but it is known"},
        {"low": None},
        {"value": None, "unknown": "an interval without a value"},
        {"low": 1.1},
        {"level": 95.0},
        {"n": -1},
    ],
)
def test_an_impossible_estimate_cannot_be_made(change: dict[str, float | str | None]) -> None:
    with pytest.raises(ValueError, match="estimate"):
        replace(KNOWN, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "estimate",
    [KNOWN, replace(KNOWN, low=None, high=None), Estimate.unknown_because("the log has no losses", UNIT)],
)
def test_json_keeps_every_field_and_never_writes_nan(estimate: Estimate) -> None:
    text = json.dumps(estimate.to_json(), allow_nan=False)
    assert Estimate.from_json(json.loads(text)) == estimate


def test_unknown_is_null_and_says_why() -> None:
    written = Estimate.unknown_because("the log has no losses", UNIT).to_json()
    assert written["value"] is None
    assert written["unknown"] == "the log has no losses"


def test_json_with_missing_or_foreign_fields_is_refused() -> None:
    written = KNOWN.to_json()
    with pytest.raises(ValueError, match="colour"):
        Estimate.from_json(written | {"colour": "red"})
    del written["low"]
    with pytest.raises(ValueError, match="low"):
        Estimate.from_json(written)


def test_mean_of_two_clusters_by_hand() -> None:
    estimate = mean([1, 3, 5, 7], ["a", "a", "b", "b"], unit=UNIT)
    half = 12.706204736432095 * 2  # t(.975, df=1) * sqrt(2 * (4^2 + 4^2)) / 4
    assert (estimate.value, estimate.n, estimate.clusters) == (4.0, 4, 2)
    assert (estimate.low, estimate.high) == pytest.approx((4 - half, 4 + half))


def test_ratio_by_hand_is_sum_over_sum() -> None:
    estimate = ratio_mean([2, 4, 9], [1, 2, 3], ["a", "a", "b"], unit=UNIT, level=0.5)
    assert estimate.value == 2.5
    assert (estimate.low, estimate.high) == pytest.approx((2.0, 3.0))  # t(.75, df=1) = 1; sqrt(2 * 2 * 1.5^2) / 6 = .5


def test_ratio_with_equal_denominators_is_the_mean() -> None:
    values, labels = [0.3, 1.2, 0.7, 2.2, 1.9], [1, 1, 2, 3, 3]
    of_sums = ratio_mean([4 * v for v in values], [4] * 5, labels, unit=UNIT)
    assert of_sums.to_json() | {"method": ""} == pytest.approx(
        mean(values, labels, unit=UNIT).to_json() | {"method": ""}
    )


def test_singleton_clusters_give_the_ordinary_t_interval() -> None:
    values = np.random.default_rng(0).normal(2, 1, 17)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    estimate = mean(values, list(range(17)), unit=UNIT, level=0.9)
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high))


def test_one_cluster_has_a_value_and_no_interval() -> None:
    estimate = mean([1, 2], ["a", "a"], unit=UNIT)
    assert (estimate.value, estimate.low, estimate.high, estimate.unknown) == (1.5, None, None, None)
    assert "single cluster" in estimate.method


def test_what_cannot_be_divided_is_unknown() -> None:
    assert mean([], [], unit=UNIT).unknown == "there are no examples"
    nothing = ratio_mean([0.0, 0.0], [0, 0], ["a", "b"], unit=UNIT)
    assert (nothing.value, nothing.n, nothing.unknown) == (None, 2, "every denominator is 0")


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="numerators must be finite: leave examples without a value out"):
        mean([1.0, math.nan], ["a", "b"], unit=UNIT)
    with pytest.raises(ValueError, match="denominators must be finite"):
        ratio_mean([1.0, 1.0], [1.0, math.inf], ["a", "b"], unit=UNIT)
    with pytest.raises(ValueError, match="labels"):
        mean([1.0, 2.0], ["a"], unit=UNIT)
    with pytest.raises(ValueError, match="axes"):
        mean([[1.0]], ["a"], unit=UNIT)
    with pytest.raises(ValueError, match="pair up"):
        ratio_mean([1.0], [1.0, 2.0], ["a"], unit=UNIT)
    with pytest.raises(ValueError, match="negative"):
        ratio_mean([1.0], [-1.0], ["a"], unit=UNIT)


@pytest.mark.parametrize(("successes", "n"), [(0, 100), (1, 1), (3, 40), (17, 34), (200, 200)])
def test_wilson_is_scipys(successes: int, n: int) -> None:
    expected = stats.binomtest(successes, n).proportion_ci(0.95, method="wilson")
    estimate = rate(successes, n)
    assert estimate.value == successes / n
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_rule_of_three_is_noted_at_both_ends_only() -> None:
    assert rate(0, 100).method == "Wilson; rule of three: at most 2.95%"
    assert rate(200, 200).method == "Wilson; rule of three: at least 98.51%"
    assert rate(1, 100).method == "Wilson"
    assert rate(0, 100).low == 0.0


def test_impossible_rates() -> None:
    assert rate(0, 0).unknown == "there are no examples"
    with pytest.raises(ValueError, match="3 of 2"):
        rate(3, 2)


def test_intraclass_correlation_and_design_effect_by_hand() -> None:
    clusters = Clusters.of(["a", "a", "b", "b"], 4)
    correlation = intraclass_correlation(np.array([1.0, 3.0, 5.0, 7.0]), clusters)
    assert correlation == pytest.approx(14 / 18)  # between 16, within 2, size 2: (16 - 2) / (16 + 2)
    assert design_effect(correlation, clusters) == pytest.approx(1 + 14 / 18)


def test_intraclass_correlation_of_unequal_clusters_is_that_of_the_f_statistic() -> None:
    """(F - 1) / (F - 1 + m), with m the typical size of Donner's formula."""
    groups = [[1.0, 2.0, 1.5], [4.0, 5.5], [3.0, 2.0, 4.5, 3.5], [6.0]]
    labels = [label for label, group in enumerate(groups) for _ in group]
    size = (10 - (9 + 4 + 16 + 1) / 10) / 3
    f = float(stats.f_oneway(*groups).statistic)
    found = intraclass_correlation(np.concatenate(groups), Clusters.of(labels, 10))
    assert found == pytest.approx((f - 1) / (f - 1 + size))


def test_totals_are_made_row_by_row() -> None:
    clusters = Clusters.of(["b", "a", "b"], 3)
    assert clusters.totals(np.array([1.0, 2.0, 4.0])).tolist() == [2, 5]
    assert clusters.totals(np.array([[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]])).tolist() == [[2, 5], [16, 40]]
    assert clusters.totals(np.zeros((0, 3))).shape == (0, 2)


def test_intraclass_correlation_is_floored_and_unknown_where_it_has_no_meaning() -> None:
    pairs = Clusters.of(["a", "a", "b", "b"], 4)
    assert intraclass_correlation(np.array([1.0, 9.0, 1.0, 9.0]), pairs) == 0.0
    assert intraclass_correlation(np.zeros(4), pairs) is None
    assert intraclass_correlation(np.array([0, 1e-200, 2e-200, 0]), pairs) is None
    sevenths = Clusters.of([0] * 5 + [1] * 7, 12)
    for value in np.random.default_rng(0).normal(size=50):
        assert intraclass_correlation(np.full(12, value), sevenths) is None
    assert design_effect(None, pairs) is None
    singletons = Clusters.of([3, 1, 2], 3)
    assert intraclass_correlation(np.array([1.0, 2.0, 3.0]), singletons) is None
    assert design_effect(None, singletons) == 1.0


def test_design_effect_of_unequal_clusters_weighs_the_large_one() -> None:
    clusters = Clusters.of(["a"] * 9 + ["b"], 10)
    assert design_effect(0.5, clusters) == pytest.approx(1 + (8.2 - 1) * 0.5)
