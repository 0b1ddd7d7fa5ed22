"""Paired differences, outcomes and needs: hand-computed cases, and scipy where clusters are single examples."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from runoff.comparison.sign_flips import flip_p_values
from runoff.comparison.statistics import (
    Need,
    Outcome,
    PairedDifference,
    max_t,
    minimum_clusters_for,
    outcome,
    paired_difference,
    questions_needed,
)
from runoff.estimates.estimate import Estimate, ratio_mean

UNIT = "nats per target token"


def paired(
    value: float, error: float, p: float, k: int = 30, sd: float = 0.12, effect: float = 2.05
) -> PairedDifference:
    estimate = Estimate(value, None, None, 0.95, UNIT, round(11.5 * k), k, "by hand")
    return PairedDifference(estimate, "by hand", p_value=p, standard_error=error, sd=sd, design_effect=effect)


def test_by_hand() -> None:
    result = paired_difference([2, 5, 1, 4], [1, 2, 6, 11], ["x", "x", "y", "y"], unit=UNIT, seed=0)
    # differences 1, 3, -5, -7; cluster sums 4, -12; residual sums 8, -8
    assert result.difference.value == -2.0
    assert result.standard_error == pytest.approx(math.sqrt(2 * 128) / 4)
    assert result.p_value == 1.0  # |4 - 12| is the smaller of the two sums
    assert result.p_method == "cluster sign-flip, all 4 sign patterns"
    assert (result.median_difference, result.share_lower) == (-2.0, 0.5)
    assert result.sd == pytest.approx(math.sqrt((9 + 25 + 9 + 25) / 3))
    assert result.icc == pytest.approx((64 - 2) / (64 + 2))
    assert result.design_effect == pytest.approx(1 + 62 / 66)
    assert result.smallest_detectable is None
    assert (result.n, result.clusters, result.exact_zero) == (4, 2, False)


def test_correlation_of_three_sources_by_hand() -> None:
    result = paired_difference([1, 3, 2, 4, 9, 7], [0] * 6, list("xxyyyz"), unit=UNIT, seed=0)
    # between (2 * 49/9 + 3 * 4/9 + 64/9) / 2 = 29/3; within (2 + 26) / 3 = 28/3; typical size (6 - 14/6) / 2 = 11/6
    assert result.icc == pytest.approx(3 / 157)
    assert result.design_effect == pytest.approx(1 + (14 / 6 - 1) * 3 / 157)
    assert result.difference.method == "paired mean, cluster-robust t"
    weighted = paired_difference([1, 3], [0, 0], ["x", "y"], unit=UNIT, seed=0, weights=[1, 2])
    assert weighted.difference.method == "paired weighted mean, cluster-robust t"


def test_exact_p_by_hand() -> None:
    result = paired_difference([1, 2, -1], [0, 0, 0], ["x", "y", "z"], unit=UNIT, seed=0)
    assert result.p_value == 0.75  # of |±1 ±2 - 1| = 2, 4, 2, 0, three are at least 2


def test_singletons_agree_with_scipy() -> None:
    random = np.random.default_rng(3)
    a, b = random.normal(0.4, 1, (2, 12))
    result = paired_difference(a, b, list(range(12)), unit=UNIT, seed=0)
    interval = stats.ttest_rel(a, b).confidence_interval()
    assert (result.difference.low, result.difference.high) == pytest.approx((interval.low, interval.high))
    exact = stats.permutation_test((a, b), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=np.inf)
    assert result.p_value == pytest.approx(exact.pvalue)
    assert (result.icc, result.design_effect) == (None, 1.0)


def test_many_singletons_come_near_the_t_test() -> None:
    random = np.random.default_rng(4)
    a, b = random.normal(0, 1, 200), random.normal(0.15, 1, 200)
    result = paired_difference(a, b, list(range(200)), unit=UNIT, seed=0)
    assert result.p_method == "cluster sign-flip, 9999 random sign patterns"
    assert result.p_value == pytest.approx(stats.ttest_rel(a, b).pvalue, abs=0.02)


def test_random_flips_agree_with_all_flips() -> None:
    totals = np.random.default_rng(5).normal(0.5, 1, (1, 14))
    every = np.array(np.meshgrid(*[[-1.0, 1.0]] * 14)).reshape(14, -1)
    exact = np.mean(np.abs(totals @ every) >= abs(totals.sum()) - 1e-9)
    assert flip_p_values(totals, seed=1, flips=20_000)[0] == pytest.approx(exact, abs=0.01)


def test_of_random_flips_the_observed_pattern_is_one() -> None:
    """No p-value is 0: of 99 random patterns none reaches 14 equal clusters, so it is 1 of 100."""
    assert flip_p_values(np.ones((1, 14)), seed=1, flips=99)[0] == 0.01


def test_token_weights_give_the_difference_of_corpus_losses() -> None:
    random = np.random.default_rng(6)
    tokens, labels = random.integers(5, 400, 60), np.repeat(np.arange(6), 10)
    a, b = random.normal(2, 0.3, (2, 60))
    result = paired_difference(a, b, labels, unit=UNIT, seed=0, weights=tokens)
    loss_a, loss_b = (ratio_mean(x * tokens, tokens, labels, unit=UNIT).value for x in (a, b))
    assert loss_a is not None
    assert loss_b is not None
    assert result.difference.value == pytest.approx(loss_a - loss_b)
    of_sums = ratio_mean((a - b) * tokens, tokens, labels, unit=UNIT)
    assert (result.difference.low, result.difference.high) == pytest.approx((of_sums.low, of_sums.high))


def test_equal_weights_change_nothing() -> None:
    a, b = np.random.default_rng(7).normal(size=(2, 40))
    labels = np.repeat(np.arange(8), 5)
    plain = paired_difference(a, b, labels, unit=UNIT, seed=0)
    weighted = paired_difference(a, b, labels, unit=UNIT, seed=0, weights=np.full(40, 8.0))
    assert replace(weighted, difference=plain.difference) == plain


def test_the_90_percent_interval_is_inside_the_95_percent_one() -> None:
    result = paired(0.01, 0.005, 0.04)
    wide, narrow = result.interval(0.95), result.interval(0.90)
    assert wide is not None
    assert narrow is not None
    assert wide[0] < narrow[0] < 0.01 < narrow[1] < wide[1]


def test_no_examples_no_weight_one_cluster() -> None:
    nothing = paired_difference([], [], [], unit=UNIT, seed=0)
    assert nothing.difference.unknown == "there are no examples"
    assert (nothing.p_value, nothing.sd, nothing.exact_zero) == (None, None, False)
    weightless = paired_difference([1], [2], ["x"], unit=UNIT, seed=0, weights=[0])
    assert weightless.p_method == "none: every weight is 0"
    single = paired_difference([1, 2], [2, 5], ["x", "x"], unit=UNIT, seed=0)
    assert (single.difference.value, single.difference.low, single.p_value) == (-2.0, None, None)
    assert (single.design_effect, single.smallest_detectable) == (None, None)
    assert single.p_method == "none: there is a single cluster"
    for result in (nothing, weightless, single):
        assert outcome(result, 0.02) is Outcome.INSUFFICIENT
        assert questions_needed(result, 0.02).questions is None


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="pair up"):
        paired_difference([1.0], [1.0, 2.0], ["x"], unit=UNIT, seed=0)
    with pytest.raises(ValueError, match="finite"):
        paired_difference([1.0], [math.inf], ["x"], unit=UNIT, seed=0)
    with pytest.raises(ValueError, match="negative"):
        paired_difference([1.0], [2.0], ["x"], unit=UNIT, seed=0, weights=[-1])
    with pytest.raises(ValueError, match="K, n"):
        max_t(np.empty((0, 3)), ["x", "y", "z"], seed=0)


@pytest.mark.parametrize(
    ("value", "error", "p", "expected"),
    [
        (-0.05, 0.01, 0.001, Outcome.BETTER),
        (0.05, 0.01, 0.001, Outcome.WORSE),
        (-0.05, 0.01, 0.06, Outcome.NOT_DETECTABLE),  # the interval alone is not believed
        (-0.05, 0.03, 0.04, Outcome.NOT_DETECTABLE),  # nor is the p-value
        (-0.009, 0.004, 0.06, Outcome.EQUIVALENT),
        (0.0, 0.005, 1.0, Outcome.EQUIVALENT),
        (0.0, 0.02, 1.0, Outcome.NOT_DETECTABLE),
        (-0.01, 0.002, 0.001, Outcome.BETTER),  # detectable, if negligible
    ],
)
def test_outcomes(value: float, error: float, p: float, expected: Outcome) -> None:
    assert outcome(paired(value, error, p), 0.02) is expected


def test_higher_may_be_better() -> None:
    assert outcome(paired(0.05, 0.01, 0.001), 0.02, lower_is_better=False) is Outcome.BETTER
    assert outcome(paired(-0.05, 0.01, 0.001), 0.02, lower_is_better=False) is Outcome.WORSE


def test_within_margin_tells_negligible_from_large() -> None:
    assert paired(-0.01, 0.002, 0.001).within_margin(0.02)
    assert not paired(-0.05, 0.01, 0.001).within_margin(0.02)
    assert not PairedDifference(Estimate.unknown_because("no examples", UNIT), "none").within_margin(0.02)


def test_two_clusters_can_be_equal_but_never_better() -> None:
    far = paired_difference([1, 1.01], [9, 9], ["x", "y"], unit=UNIT, seed=0)
    assert outcome(far, 0.02) is Outcome.INSUFFICIENT
    same = paired_difference([1, 2], [1, 2], ["x", "y"], unit=UNIT, seed=0)
    assert outcome(same, 0.02) is Outcome.EQUIVALENT


@pytest.mark.parametrize(("sources", "expected"), [(5, Outcome.INSUFFICIENT), (6, Outcome.BETTER)])
def test_five_sources_can_not_show_even_a_huge_difference_and_six_can(sources: int, expected: Outcome) -> None:
    labels = [f"s{at}" for at in range(sources)]
    far = paired_difference([1 + at / 100 for at in range(sources)], [9] * sources, labels, unit=UNIT, seed=0)
    assert outcome(far, 0.02) is expected
    noise = paired_difference([1, 2, 1, 2, 1, 2][:sources], [2, 1, 2, 1, 2, 1][:sources], labels, unit=UNIT, seed=0)
    assert outcome(noise, 0.02) is (Outcome.INSUFFICIENT if sources < 6 else Outcome.NOT_DETECTABLE)


@pytest.mark.parametrize("margin", [0.0, -1.0, math.nan])
def test_a_margin_is_positive(margin: float) -> None:
    for ask in (outcome, questions_needed):
        with pytest.raises(ValueError, match="margin"):
            ask(paired(0.0, 0.01, 1.0), margin)


def test_the_worked_example_of_the_specification() -> None:
    assert questions_needed(paired(0.0, 0.01, 1.0), 0.02) == Need(580, 51)


def test_few_clusters_plan_from_the_upper_limit() -> None:
    need = questions_needed(paired(0.0, 0.01, 1.0, k=10), 0.02)
    assert need.cautious
    assert need.questions == math.ceil(579.25 * 9 / stats.chi2.ppf(0.2, 9))


def test_a_need_is_at_least_what_the_test_needs() -> None:
    assert questions_needed(paired(0.0, 0.01, 1.0), 10.0) == Need(6, 6)


def test_no_variation_no_plan() -> None:
    same = paired_difference([1, 2], [1, 2], ["x", "y"], unit=UNIT, seed=0)
    assert same.smallest_detectable is None
    assert questions_needed(same, 0.02).questions is None
    assert questions_needed(same, 0.02).unknown


def test_smallest_detectable_of_many_clusters_uses_2_80() -> None:
    differences = np.random.default_rng(8).normal(0, 0.12, 2000)
    result = paired_difference(differences, np.zeros(2000), list(range(2000)), unit=UNIT, seed=0, flips=9)
    assert result.sd is not None
    assert result.smallest_detectable == pytest.approx(2.80 * result.sd / math.sqrt(2000), rel=2e-3)


@pytest.mark.parametrize(("level", "fewest"), [(0.5, 2), (0.9, 5), (0.95, 6), (0.99, 8), (0.999, 11)])
def test_minimum_clusters(level: float, fewest: int) -> None:
    assert minimum_clusters_for(level) == fewest
    assert (
        flip_p_values(np.ones((1, fewest)), seed=0)[0]
        <= 1 - level + 1e-12
        < flip_p_values(np.ones((1, fewest - 1)), seed=0)[0]
    )


def test_minimum_clusters_needs_a_level() -> None:
    with pytest.raises(ValueError, match="level"):
        minimum_clusters_for(95)


@pytest.mark.parametrize("k", [9, 20])
def test_max_t_of_one_challenger_is_its_p_value(k: int) -> None:
    labels = np.repeat(np.arange(k), 3)
    a, b, tokens = np.random.default_rng(k).uniform(1, 2, (3, 3 * k))
    single = paired_difference(a, b, labels, unit=UNIT, seed=5, weights=tokens)
    assert max_t((a - b)[None], labels, seed=5, weights=tokens).tolist() == [single.p_value]


def test_max_t_does_not_charge_for_copies_and_ignores_scale() -> None:
    labels = np.repeat(np.arange(10), 4)
    row = np.random.default_rng(9).normal(0.3, 1, 40)
    single = max_t(row[None], labels, seed=0)[0]
    np.testing.assert_allclose(max_t(np.array([row, row, 1000 * row]), labels, seed=0), single)


def test_max_t_charges_for_independent_challengers() -> None:
    labels = np.arange(12)
    rows = np.random.default_rng(10).normal(0.5, 1, (8, 12))
    alone = np.array([max_t(row[None], labels, seed=0)[0] for row in rows])
    adjusted = max_t(rows, labels, seed=0)
    assert np.all(adjusted >= alone)
    assert np.all(adjusted <= np.minimum(1, 8 * alone) + 1e-12)
    assert np.array_equal(np.argsort(adjusted, kind="stable")[:1], np.argsort(alone, kind="stable")[:1])


def test_max_t_of_a_copy_of_the_incumbent_is_1() -> None:
    rows = np.vstack([np.zeros(8), np.ones(8)])
    assert max_t(rows, np.arange(8), seed=0).tolist() == [1.0, 2 / 2**8]
