"""Votes whatever they are: mirrored, read back, counted in any company."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.polls import Booth, booth

from runoff.evaluation.votes import Poll, count_votes
from runoff.evaluation.votes.arithmetic import cohen_kappa, log_e_value, sign_test
from runoff.evaluation.votes.record import CHOICES, Cast, Choice

QUIET = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
COUNTS = st.integers(0, 400)
BALLOTS = st.lists(
    st.tuples(
        st.integers(0, 23), st.sampled_from(CHOICES), st.sampled_from(("ada", "bob")), st.booleans(), st.booleans()
    ),
    max_size=60,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Booth:
    return booth(tmp_path_factory.mktemp("votes"))


def casts(poll: Poll, ballots: Sequence[tuple[int, Choice, str, bool, bool]]) -> list[Cast]:
    found = []
    for at, (example, choice, voter, swapped, repeat) in enumerate(ballots):
        name = f"{example:016x}"
        sides = [one.shown(name) for one in poll.candidates]
        left, right = sides[::-1] if swapped else sides
        found.append(Cast(f"v{at}", "2026-01-02T03:04:05", voter, "t", name, left, right, choice, 9.0, repeat))
    return found


@given(COUNTS, COUNTS)
def test_swapping_the_two_changes_no_evidence(wins: int, losses: int) -> None:
    assert log_e_value(wins, losses) == pytest.approx(log_e_value(losses, wins), abs=1e-9)
    assert sign_test(wins, losses) == sign_test(losses, wins)


@given(COUNTS, COUNTS)
def test_the_e_value_promises_no_more_than_the_sign_test(wins: int, losses: int) -> None:
    """1/e is a p-value too, and it pays for being looked at any time."""
    p_value = sign_test(wins, losses)
    assert p_value is None or math.exp(-log_e_value(wins, losses)) >= p_value - 1e-9


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1))
def test_kappa_is_symmetric_and_at_most_1(pairs: list[tuple[str, str]]) -> None:
    found, mirrored = cohen_kappa(pairs), cohen_kappa([(two, one) for one, two in pairs])
    assert found == mirrored or (found is not None and found == pytest.approx(mirrored))
    assert found is None or found <= 1


@QUIET
@given(BALLOTS)
def test_the_counts_add_up_and_the_mirror_swaps_them(
    made: Booth, ballots: list[tuple[int, Choice, str, bool, bool]]
) -> None:
    votes = casts(made.poll, ballots)
    mirrored = Poll(made.poll.test, made.poll.candidates[::-1])
    counted, other = count_votes(made.poll, votes).pairs, count_votes(mirrored, votes).pairs
    real = {(vote.voter, vote.example) for vote in votes if vote.choice != "skip" and not vote.repeat}
    assert sum(one.votes for one in counted) == len(real)
    for one, two in zip(counted, other, strict=True):
        assert one.questions == len({example for _, example in real})
        assert (one.wins, one.losses, one.ties, one.both_bad) == (two.losses, two.wins, two.ties, two.both_bad)
        assert one.p_value == two.p_value
        assert one.decided == two.decided
        if one.share.value is not None and two.share.value is not None:
            assert one.share.value == pytest.approx(1 - two.share.value)
            assert one.share.low == pytest.approx(1 - (two.share.high or 0.0))


@QUIET
@given(BALLOTS)
def test_the_file_gives_back_what_was_cast(
    made: Booth, tmp_path: Path, ballots: list[tuple[int, Choice, str, bool, bool]]
) -> None:
    votes = casts(made.poll, ballots)
    assert [Cast.from_json(vote.to_json(), unblinded=False) for vote in votes] == votes
