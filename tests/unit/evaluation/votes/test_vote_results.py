"""What votes come to: majorities, what stands beside the share, voters, agreement; each sentence when it is true."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from tests.support.polls import Booth, booth

from runoff.evaluation.votes import PairResult, VoteResults, count_votes
from runoff.evaluation.votes.agreement import judge_agreement, voters_agreement
from runoff.evaluation.votes.record import Choice
from runoff.evaluation.votes.sentences import agreement_sentence, result_sentences


def counted(made: Booth) -> VoteResults:
    return count_votes(made.poll, made.box.votes())


def only(made: Booth) -> PairResult:
    (one,) = counted(made).pairs
    return one


def said(made: Booth) -> str:
    return "\n".join(result_sentences(counted(made), voters_agreement(made.poll, made.box.votes())))


def test_the_majority_of_the_voters_decides_a_question(tmp_path: Path) -> None:
    made = booth(tmp_path)
    ballots: dict[int, tuple[Choice, ...]] = {
        0: ("left", "left", "right"),
        1: ("right", "right", "tie"),
        2: ("left", "right", "tie"),
        3: ("both bad", "tie", "both bad"),
        4: ("tie", "tie", "tie"),
        5: ("left", "both bad", "tie"),
    }
    for example, choices in ballots.items():
        for voter, choice in zip(("ada", "bob", "cy"), choices, strict=True):
            made.cast(example, choice, voter=voter)
    one = only(made)
    assert (one.wins, one.losses, one.ties, one.both_bad) == (2, 1, 2, 1)
    assert one.questions == 6
    assert one.votes == 18
    assert one.share.n == 3


def test_the_e_value_takes_first_preferences_that_later_voters_do_not_turn(tmp_path: Path) -> None:
    made = booth(tmp_path)
    made.cast(0, "tie")
    made.cast(0, "left", voter="bob")
    for voter in ("cy", "di"):
        made.cast(0, "right", voter=voter)
    one = only(made)
    assert (one.wins, one.losses) == (0, 1)
    assert (one.first_wins, one.first_losses) == (1, 0)


def test_repeats_skips_and_second_votes_do_not_count(tmp_path: Path) -> None:
    made = booth(tmp_path)
    made.cast(0, "left")
    made.cast(0, "left", swapped=True, repeat=True)
    made.cast(0, "right")
    made.cast(1, "skip")
    one = only(made)
    assert (one.wins, one.losses, one.questions) == (1, 0, 1)


def test_a_side_is_no_run(tmp_path: Path) -> None:
    made = booth(tmp_path)
    made.cast(0, "left")
    made.cast(1, "right", swapped=True)
    assert only(made).wins == 2


def test_seven_of_seven_decide_and_six_do_not(tmp_path: Path) -> None:
    made = booth(tmp_path)
    for example in range(0, 12, 2):
        made.cast(example, "left")
    assert only(made).decided is None
    assert "about 1 more question with a preference would settle the votes on long and short; 18 are answered" in said(
        made
    )
    made.cast(12, "left")
    assert only(made).decided == "long"
    assert "about" not in said(made)
    assert said(made).startswith(
        "long was preferred to short on 7 of 7 questions with a preference (100 %, 95 % interval 65 % to 100 %; "
        "p = 0.016; e-value 26.8 of the 20 that decide): decided for long."
    )


def test_the_second_is_told_from_its_own_side(tmp_path: Path) -> None:
    made = booth(tmp_path)
    for example in range(4):
        made.cast(example, "right" if example else "left")
    assert (
        "short was preferred to long on 3 of 4 questions with a preference (75 %, 95 % interval 1 % to 100 %"
        in said(made)
    )


def test_equal_preference_names_no_winner(tmp_path: Path) -> None:
    made = booth(tmp_path)
    made.cast(0, "left")
    made.cast(3, "right")
    assert "long and short were preferred equally often, on 1 of 2 questions" in said(made)


def test_questions_of_one_source_that_are_voted_alike_widen_the_interval(tmp_path: Path) -> None:
    alike, mixed = booth(tmp_path / "alike", per_source=4), booth(tmp_path / "mixed", per_source=4)
    for example in range(24):
        alike.cast(example, "left" if example < 16 else "right")
        mixed.cast(example, "left" if example % 3 else "right")
    one, other = only(alike).share, only(mixed).share
    assert one.value == other.value == pytest.approx(2 / 3)
    assert one.low is not None
    assert other.low is not None
    assert one.low < other.low


def test_an_e_value_that_few_sources_made_does_not_decide(tmp_path: Path) -> None:
    made = booth(tmp_path, questions=48, per_source=16)
    for example in range(48):
        made.cast(example, "left" if example < 32 or example % 4 == 0 else "right")
    one = only(made)
    assert one.e_value >= 20
    assert one.decided is None
    assert "more sources are needed, not more votes" in said(made)
    spread = booth(tmp_path / "spread", questions=48, per_source=1)
    for example in range(48):
        spread.cast(example, "left" if example < 32 or example % 4 == 0 else "right")
    assert only(spread).decided == "long"
    assert "more sources" not in said(spread)


def test_what_stands_beside_the_share_is_said_where_there_is_any(tmp_path: Path) -> None:
    made = booth(tmp_path)
    made.cast(0, "left")
    assert "apart from these" not in said(made)
    made.cast(1, "tie")
    made.cast(2, "both bad")
    assert "Questions between long and short apart from these: 1 tied, 1 where both were bad." in said(made)
    only_ties = booth(tmp_path / "ties")
    only_ties.cast(0, "tie")
    assert "long and short: no preference on any of 1 question." in said(only_ties)
    assert said(booth(tmp_path / "none")) == "No vote counts so far."


def test_a_voters_consistency_and_side(tmp_path: Path) -> None:
    made = booth(tmp_path)
    for example in range(8):
        made.cast(example, "left", swapped=example % 2 == 1)
    assert "ada: 8 votes, 9 s each (median); no hidden repeat was drawn, so consistency is unknown" in said(made)
    made.cast(0, "right", swapped=True, repeat=True)
    made.cast(2, "left", swapped=True, repeat=True)
    (voter,) = counted(made).voters
    assert (voter.repeats, voter.same, voter.left, voter.decisive) == (2, 1, 9, 10)
    assert (
        "of 2 hidden repeats with the sides swapped 1 got the same answer; the left side was chosen in 9 of 10"
        in said(made)
    )
    assert "ada seems to prefer the left side (p = 0.021)" in said(made)


def test_a_voter_without_a_side_is_not_accused(tmp_path: Path) -> None:
    made = booth(tmp_path)
    for example in range(10):
        made.cast(example, "left" if example % 2 else "right")
    assert "seems to prefer" not in said(made)
    assert "after seeing the result" not in said(made)


def test_two_voters_agreement_is_kappa(tmp_path: Path) -> None:
    made = booth(tmp_path)
    for example in range(12):
        made.cast(example, "left" if example < 6 else "right")
        made.cast(example, "left" if example < 5 else "right", voter="bob")
    (found,) = voters_agreement(made.poll, made.box.votes())
    assert found.same == 11
    assert found.kappa.value == pytest.approx((11 / 12 - 0.5) / 0.5)
    assert found.kappa.low is not None
    assert agreement_sentence(found).startswith(
        "Ada and bob say the same on 11 of 12 questions (first, second or neither); Cohen's kappa 0.83 ("
    )
    alone = booth(tmp_path / "alone")
    alone.cast(0, "left")
    assert voters_agreement(alone.poll, alone.box.votes()) == ()


def test_the_judge_is_held_against_the_voters_on_the_questions_that_both_have(tmp_path: Path) -> None:
    made = booth(tmp_path)
    for example in range(6):
        made.cast(example, "left" if example < 3 else "right")

    def rows(score: int, criterion: str = "style") -> list[dict[str, object]]:
        return [
            {"criterion": criterion, "against": "short", "example": f"{at:016x}", "score": score if at < 4 else -score}
            for at in range(12)
        ]

    found = judge_agreement(made.poll, counted(made), {"long": rows(1)})
    assert found is not None
    assert (found.same, found.kappa.n) == (5, 6)
    assert "The judge and the voters say the same on 5 of 6 questions" in agreement_sentence(found)
    assert judge_agreement(made.poll, counted(made), {"long": rows(1, "correctness")}) is None
    assert judge_agreement(made.poll, counted(made), {}) is None


def test_agreement_without_any_variation_is_unknown(tmp_path: Path) -> None:
    made = booth(tmp_path)
    for voter in ("ada", "bob"):
        made.cast(0, "left", voter=voter)
    (found,) = voters_agreement(made.poll, made.box.votes())
    assert "Cohen's kappa is unknown: both say the same of every question." in agreement_sentence(found)


def test_of_coin_tossing_voters_few_end_with_a_winner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way: drawn, kept, counted after each vote, by two voters of whom the second may turn majorities."""
    monkeypatch.setattr("os.fsync", lambda _file: None)  # durability is not in question here, and takes the most time
    made = booth(tmp_path, questions=24)
    random, winners = Random(7), 0
    for trial in range(24):
        for voter in ("ada", "bob"):
            voting = made.vote(lambda *_: random.choice(("left", "right")), voter=voter, seed=trial)
            winners += any(one.decided for one in voting.results.pairs)
        made.box.path.unlink()
    assert winners <= 2 * 3  # each winner may be seen by both voters; 1.2 of 24 are expected at the most


def test_votes_come_in_any_order_of_the_file(tmp_path: Path) -> None:
    made = booth(tmp_path)
    for example in range(10):
        made.cast(example, ("left", "right", "tie")[example % 3])
    lines = made.box.path.read_text().splitlines(keepends=True)
    before = only(made)
    Random(1).shuffle(lines)
    made.box.path.write_text("".join(lines))
    assert only(made) == before
