"""Laws of paired differences that hold for all data: antisymmetry, no order, scale, and nothing from nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from runoff.comparison.selection import indistinguishable_from_best, select_and_confirm
from runoff.comparison.statistics import Outcome, PairedDifference, max_t, outcome, paired_difference, questions_needed
from runoff.estimates.clusters import Clusters
from runoff.estimates.estimate import mean, ratio_mean

UNIT = "nats per target token"
Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """Scores of three checkpoints on n examples, their clusters and target tokens, and a shuffled order."""

    values: Floats
    labels: npt.NDArray[np.str_]
    tokens: Floats
    order: npt.NDArray[np.intp]

    def compare(self, a: Floats, b: Floats) -> PairedDifference:
        return paired_difference(a, b, self.labels, unit=UNIT, seed=1, weights=self.tokens, flips=199)

    def shuffled(self) -> Sample:
        return Sample(self.values[:, self.order], self.labels[self.order], self.tokens[self.order], self.order)


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    n = draw(st.integers(2, 40))
    score = st.integers(-(10**6), 10**6).map(lambda millionths: millionths / 10**5)
    values = draw(st.lists(st.lists(score, min_size=n, max_size=n), min_size=3, max_size=3))
    labels = draw(st.lists(st.integers(0, 20).map("video {}".format), min_size=n, max_size=n))
    tokens = draw(st.one_of(st.just([1] * n), st.lists(st.integers(1, 500), min_size=n, max_size=n)))
    order = draw(st.permutations(range(n)))
    return Sample(np.array(values), np.array(labels), np.array(tokens, dtype=np.float64), np.array(order))


def everything(s: Sample) -> tuple[object, ...]:
    """All results but the paired difference; comparable with ==."""
    return (
        mean(s.values[0], s.labels, unit=UNIT),
        ratio_mean(s.values[0], s.tokens, s.labels, unit=UNIT),
        max_t(s.values, s.labels, seed=2, weights=s.tokens, flips=199).tolist(),
        select_and_confirm(s.values, s.labels, unit=UNIT, seed=2, baseline=s.values[0], weights=s.tokens, flips=199),
        indistinguishable_from_best(s.values, s.labels, seed=2, weights=s.tokens, flips=199),
    )


def negated(number: float | None) -> float | None:
    return None if number is None else -number


@given(samples())
def test_swapping_negates_every_estimate_and_keeps_every_p_value(sample: Sample) -> None:
    one, other = (sample.compare(*pair) for pair in (sample.values[:2], sample.values[1::-1]))
    expected = replace(
        one,
        difference=replace(
            one.difference,
            value=negated(one.difference.value),
            low=negated(one.difference.high),
            high=negated(one.difference.low),
        ),
        median_difference=negated(one.median_difference),
        share_lower=float(np.mean(sample.values[0] > sample.values[1])),
    )
    assert other == expected
    mirror = {Outcome.BETTER: Outcome.WORSE, Outcome.WORSE: Outcome.BETTER}
    assert outcome(other, 0.5) is mirror.get(outcome(one, 0.5), outcome(one, 0.5))
    rows = sample.values[1:] - sample.values[0]
    there, back = (max_t(r, sample.labels, seed=1, weights=sample.tokens, flips=199) for r in (rows, -rows))
    assert np.array_equal(there, back)


@given(samples())
def test_the_order_of_the_examples_changes_no_bit(sample: Sample) -> None:
    other = sample.shuffled()
    assert other.compare(*other.values[:2]) == sample.compare(*sample.values[:2])
    assert everything(other) == everything(sample)


@given(samples(), st.integers(-20, 20))
def test_scaling_by_a_power_of_two_scales_every_estimate_exactly(sample: Sample, exponent: int) -> None:
    factor = 2.0**exponent
    one, other = sample.compare(*sample.values[:2]), sample.compare(*factor * sample.values[:2])

    def scaled(number: float | None) -> float | None:
        return None if number is None else factor * number

    estimate = one.difference
    assert other == replace(
        one,
        difference=replace(
            estimate, value=scaled(estimate.value), low=scaled(estimate.low), high=scaled(estimate.high)
        ),
        standard_error=scaled(one.standard_error),
        median_difference=scaled(one.median_difference),
        sd=scaled(one.sd),
        smallest_detectable=scaled(one.smallest_detectable),
    )
    assert outcome(other, factor * 0.5) is outcome(one, 0.5)
    assert questions_needed(other, factor * 0.5) == questions_needed(one, 0.5)


@given(samples())
def test_a_run_equals_itself(sample: Sample) -> None:
    result = sample.compare(sample.values[0], sample.values[0].copy())
    single = len(Clusters.of(sample.labels, len(sample.labels))) == 1
    assert result.exact_zero
    assert result.difference.value == 0
    assert result.p_value == (None if single else 1.0)
    assert outcome(result, 1e-300) is (Outcome.INSUFFICIENT if single else Outcome.EQUIVALENT)
    if not single:
        assert (result.difference.low, result.difference.high) == (0, 0)


@given(samples())
def test_numbers_stay_in_their_ranges(sample: Sample) -> None:
    result = sample.compare(*sample.values[:2])
    assert result.p_value is None or 0 < result.p_value <= 1
    assert result.icc is None or 0 <= result.icc <= 1
    assert result.design_effect is None or result.design_effect >= 1
    assert result.sd is not None
    assert result.sd >= 0
    assert (result.difference.low is None) == (result.clusters < 2)


@given(samples(), st.floats(0.001, 0.9))
def test_bounds_cut_an_interval_and_change_nothing_else(sample: Sample, margin: float) -> None:
    """Of shares: what is cut off could not be true, so no decision rests on it."""
    shares = (sample.values[:2] > 0).astype(np.float64)
    plain = sample.compare(shares[0], shares[1])
    cut = paired_difference(
        shares[0], shares[1], sample.labels, unit=UNIT, seed=1, weights=sample.tokens, bounds=(0, 1), flips=199
    )
    for level in (0.9, 0.95, 0.999):
        ends, wide = cut.interval(level), plain.interval(level)
        assert (ends is None) == (wide is None)
        if ends and wide:
            assert ends == (max(wide[0], -1), min(wide[1], 1))
    assert outcome(cut, margin) is outcome(plain, margin)
    whole = replace(plain.difference, low=cut.difference.low, high=cut.difference.high, method=cut.difference.method)
    assert cut == replace(plain, difference=whole, bounds=(-1, 1))


@settings(max_examples=50)
@given(samples())
def test_adjusted_p_values_are_never_below_plain_ones(sample: Sample) -> None:
    rows = sample.values[1:] - sample.values[0]
    adjusted = max_t(rows, sample.labels, seed=1, flips=199)
    plain = [max_t(row[None], sample.labels, seed=1, flips=199)[0] for row in rows]
    assert np.all(adjusted >= plain)


@given(samples())
def test_the_best_checkpoint_is_among_its_equals(sample: Sample) -> None:
    equals = indistinguishable_from_best(sample.values, sample.labels, seed=1, flips=199)
    totals = Clusters.of(sample.labels, len(sample.labels)).totals(sample.values).sum(axis=1)
    assert int(np.argmin(totals)) in equals
