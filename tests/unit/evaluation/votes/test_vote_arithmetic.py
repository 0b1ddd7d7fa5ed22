"""The statistics of votes against values worked out by hand or by scipy, and the promise of the e-value, simulated."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from scipy.stats import binomtest

from runoff.evaluation.votes.arithmetic import THRESHOLD, cohen_kappa, log_e_value, sign_test, votes_to_go


def test_the_e_value_has_its_known_values() -> None:
    assert log_e_value(0, 0) == pytest.approx(0)
    assert math.exp(log_e_value(1, 0)) == pytest.approx(1.0)
    assert math.exp(log_e_value(2, 0)) == pytest.approx(1.5)  # 4 * (1/2 * 3/2) / 2
    assert math.exp(log_e_value(1, 1)) == pytest.approx(0.5)  # 4 * (1/2 * 1/2) / 2
    assert log_e_value(12, 3) == log_e_value(3, 12)
    assert math.exp(log_e_value(6, 0)) < THRESHOLD < math.exp(log_e_value(7, 0))


def test_the_e_value_is_a_fair_game() -> None:
    for wins in range(12):
        for losses in range(12):
            after = (math.exp(log_e_value(wins + 1, losses)) + math.exp(log_e_value(wins, losses + 1))) / 2
            assert after == pytest.approx(math.exp(log_e_value(wins, losses)))


@pytest.mark.parametrize(("share", "median"), [(0.65, 94), (0.8, 19)])
def test_simulated_voters_stop_where_the_table_says(share: float, median: int) -> None:
    random = np.random.Generator(np.random.PCG64(1))
    assert np.median(_stops(random.random((800, 600)) < share)) == pytest.approx(median, rel=0.2)


def test_without_a_preference_at_most_one_voter_in_twenty_is_told_of_one() -> None:
    random = np.random.Generator(np.random.PCG64(2))
    stops = _stops(random.random((3000, 600)) < 0.5)
    assert np.mean(stops < 600) <= 0.05


def _stops(votes: np.ndarray[tuple[int, int], np.dtype[np.bool_]]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """After how many votes each row passes the threshold; the length of the row if never."""
    wins = votes.cumsum(axis=1)
    n = np.arange(1, votes.shape[1] + 1)
    log_gamma = np.vectorize(math.lgamma)(np.arange(votes.shape[1] + 2) + 0.5)
    log_e = n * math.log(2) + log_gamma[wins] + log_gamma[n - wins] - np.array([math.lgamma(m + 1) for m in n])
    passed = log_e - math.log(math.pi) >= math.log(THRESHOLD)
    return np.where(passed.any(axis=1), passed.argmax(axis=1) + 1, votes.shape[1])


@pytest.mark.parametrize("counts", [(1, 0), (5, 0), (9, 2), (40, 60), (700, 800)])
def test_the_sign_test_is_the_exact_binomial(counts: tuple[int, int]) -> None:
    assert sign_test(*counts) == pytest.approx(binomtest(counts[0], sum(counts)).pvalue)


def test_the_sign_test_of_nothing_is_unknown_and_of_equals_1() -> None:
    assert sign_test(0, 0) is None
    assert sign_test(3, 3) == 1.0


@pytest.mark.parametrize(("share", "median"), [(0.6, 231), (0.65, 94), (0.7, 48), (0.75, 32), (0.8, 19)])
def test_votes_to_go_are_the_median_of_simulated_voters(share: float, median: int) -> None:
    assert votes_to_go(0, 0, share=share) == pytest.approx(median, rel=0.08)


def test_votes_to_go_from_where_the_votes_stand() -> None:
    assert votes_to_go(6, 0, share=0.65) == 1
    assert votes_to_go(2, 6, share=0.65) == votes_to_go(6, 2, share=0.65)
    assert (votes_to_go(6, 2, share=0.65) or 0) < (votes_to_go(4, 4, share=0.65) or 0)
    assert votes_to_go(20, 0, share=0.65) == 0
    assert votes_to_go(0, 0, share=0.501) is None


@pytest.mark.parametrize(("share", "threshold"), [(0.5, 1.2), (0.65, 1.3), (0.8, 2.0), (0.9, 4.0), (1.0, 20.0)])
@pytest.mark.parametrize("wins", [0, 1])
def test_votes_to_go_are_the_median_of_all_ways_to_vote(share: float, threshold: float, wins: int) -> None:
    """Every path of 14 votes, with its chance and the vote at which its e-value passes."""
    passed = [0.0] * 15
    for path in product((1, 0), repeat=14):
        ahead, behind = wins, 0
        for at, vote in enumerate(path, start=1):
            ahead, behind = ahead + vote, behind + 1 - vote
            if log_e_value(ahead, behind) >= math.log(threshold):
                passed[at] += share ** sum(path) * (1 - share) ** (14 - sum(path))
                break
    expected = next(at for at in range(15) if sum(passed[: at + 1]) >= 0.5 - 1e-9)
    assert votes_to_go(wins, 0, share=share, threshold=threshold) == expected


def test_kappa_has_its_known_values() -> None:
    table = [("yes", "yes")] * 20 + [("yes", "no")] * 5 + [("no", "yes")] * 10 + [("no", "no")] * 15
    assert cohen_kappa(table) == pytest.approx(0.4)
    assert cohen_kappa([("a", "b"), ("b", "a")]) == -1.0
    assert cohen_kappa([("a", "a"), ("b", "b")]) == 1.0
    assert cohen_kappa([]) is None
    assert cohen_kappa([("a", "a")]) is None
