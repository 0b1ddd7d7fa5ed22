"""Voting from the first question to the end: what is drawn, undone, repeated, told and kept back."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tests.support.polls import QUESTIONS, answered, booth, chooses, make_voted_runs

from runoff.errors import RunError
from runoff.evaluation.votes import Choice, open_poll
from runoff.evaluation.votes.sentences import standing
from runoff.evaluation.votes.voting import Stale, voter_name


def undecided(left: str, right: str, example: str) -> Choice:
    """Each run on every second question."""
    liked = ("long", "short")[int(example, 16) % 2]
    return chooses(liked)(left, right, example)


def test_a_clear_preference_ends_it_and_only_then_is_told(tmp_path: Path) -> None:
    made = booth(tmp_path)
    voting = made.vote(chooses("short"), most=6)
    assert not voting.ended
    assert not made.box.knows("ada", made.poll.adapters)
    voting = made.vote(chooses("short"))
    assert voting.revealed
    assert made.box.knows("ada", made.poll.adapters)
    (one,) = voting.results.pairs
    assert one.decided == "short"
    assert (one.wins, one.losses) == (0, 7)  # 26.8 is the first e-value above 20
    with pytest.raises(Stale):
        voting.vote("", "left")


def test_no_preference_ends_with_the_questions_and_is_not_decided(tmp_path: Path) -> None:
    made = booth(tmp_path)
    voting = made.vote(undecided)
    assert voting.revealed
    (one,) = voting.results.pairs
    assert one.decided is None
    assert one.questions == QUESTIONS


def test_sides_are_balanced_sources_take_turns_and_a_tenth_is_repeated_with_the_sides_swapped(tmp_path: Path) -> None:
    made = booth(tmp_path, questions=150, per_source=10)
    made.vote(undecided)
    votes = made.box.votes()
    first = [vote for vote in votes if not vote.repeat]
    assert len(first) == len({vote.example for vote in first}) == 150
    lefts = Counter(vote.left.run for vote in first)
    assert abs(lefts["long"] - lefts["short"]) <= 1
    sources = [int(vote.example, 16) // 10 for vote in first]
    assert all(set(sources[at : at + 15]) == set(range(15)) for at in range(0, 150, 15))
    repeats = [vote for vote in votes if vote.repeat]
    assert 7 <= len(repeats) <= 25
    earlier = {vote.example: vote for vote in first}
    assert all((vote.left, vote.right) == (earlier[vote.example].right, earlier[vote.example].left) for vote in repeats)
    places = {vote.id: at for at, vote in enumerate(votes)}
    assert all(places[vote.id] - places[earlier[vote.example].id] > 5 for vote in repeats)


def test_identical_answers_are_ties_that_nobody_is_shown(tmp_path: Path) -> None:
    runs = make_voted_runs(tmp_path)
    texts = [f"long says {at} minutes." for at in range(QUESTIONS)]
    answered(runs[1], [f"{text}  \n" if at < 20 else f"Else {at}." for at, text in enumerate(texts)])
    made = booth(tmp_path / "more")
    poll = open_poll(runs)
    assert poll.identical(("long", "short")) == tuple(f"{at:016x}" for at in range(20))
    made.poll, made.runs = poll, runs
    voting = made.vote(chooses("long"))
    assert {vote.example for vote in made.box.votes()} == {f"{at:016x}" for at in range(20, 24)}
    assert voting.results.pairs[0].identical == 20


def test_undo_takes_the_last_vote_back_and_shows_it_again_as_it_was(tmp_path: Path) -> None:
    voting = booth(tmp_path).voting()
    assert not voting.can_undo
    first = voting.show()
    assert first is not None
    voting.vote(first.id, "left")
    voting.undo()
    again = voting.show()
    assert again is not None
    assert (again.example, again.left, again.right) == (first.example, first.left, first.right)
    assert again.id != first.id
    assert voting.votes == 0
    voting.vote(again.id, "right")
    (vote,) = voting.box.votes()
    assert vote.choice == "right"


def test_what_was_skipped_is_not_shown_again_and_does_not_count(tmp_path: Path) -> None:
    made = booth(tmp_path, questions=4)
    voting = made.vote(lambda *_: "skip")
    assert voting.ended
    assert voting.votes == 0
    assert voting.results.pairs == ()


def test_a_second_click_on_the_same_ballot_is_refused(tmp_path: Path) -> None:
    voting = booth(tmp_path).voting()
    ballot = voting.show()
    assert ballot is not None
    voting.vote(ballot.id, "left")
    with pytest.raises(Stale):
        voting.vote(ballot.id, "left")
    assert voting.votes == 1


def test_a_pause_reveals_nothing_and_the_next_time_goes_on(tmp_path: Path) -> None:
    made = booth(tmp_path)
    voting = made.vote(undecided, most=5)
    voting.end(reveal=False)
    assert voting.ended
    assert not voting.revealed
    assert not made.box.knows("ada", made.poll.adapters)
    made.vote(undecided, most=3, seed=1)
    assert len(made.box.votes()) == 8
    assert len({vote.example for vote in made.box.votes() if not vote.repeat}) >= 7


def test_votes_after_the_end_are_kept_and_do_not_count(tmp_path: Path) -> None:
    made = booth(tmp_path)
    made.vote(undecided, most=5).end(reveal=True)
    voting = made.vote(chooses("short"), most=15, seed=1)
    assert "you have seen the result, so these votes are kept and do not count" in standing(voting)
    assert sum(one.questions for one in voting.results.pairs) == 5
    (voter,) = voting.results.voters
    assert voter.apart == 15


def test_a_vote_from_before_the_result_was_seen_stays(tmp_path: Path) -> None:
    made = booth(tmp_path)
    made.vote(undecided, most=5).end(reveal=True)
    voting = made.voting(seed=1)
    assert not voting.can_undo
    voting.undo()
    assert len(made.box.votes()) == 5


def test_a_second_voter_may_go_on_after_the_decision(tmp_path: Path) -> None:
    made = booth(tmp_path)
    made.vote(chooses("short"))
    voting = made.vote(chooses("short"), voter="bob", most=9)
    assert not voting.ended
    assert "decided already" in standing(voting)
    assert "short" not in standing(voting)
    assert voting.results.pairs[0].losses >= 7


def test_the_bar_moves_every_fifth_vote_and_never_names_anybody(tmp_path: Path) -> None:
    voting = booth(tmp_path).voting()
    seen = []
    for _ in range(6):
        ballot = voting.show()
        assert ballot is not None
        seen.append(voting.progress.share)
        assert not {"long", "short"} & set(standing(voting).replace(";", "").split())
        voting.vote(ballot.id, chooses("long")(ballot.left, ballot.right, ballot.example))
    assert seen[:5] == pytest.approx([0.0] * 5)
    assert seen[5] > 0.3


def test_a_hidden_repeat_does_not_show_by_the_questions_left(tmp_path: Path) -> None:
    made = booth(tmp_path, questions=150, per_source=10)
    voting = made.voting()
    told: list[tuple[bool, bool, bool]] = []
    while (ballot := voting.show()) is not None and len(told) < 60:
        before = standing(voting).partition("about ")[2]
        voting.vote(ballot.id, undecided(ballot.left, ballot.right, ballot.example))
        told.append((ballot.repeat, standing(voting).partition("about ")[2] != before, voting.votes % 5 == 0))
    assert any(repeat for repeat, _, fifth in told if not fifth)
    assert not any(moved for _, moved, fifth in told if not fifth)
    assert all(moved for _, moved, fifth in told if fifth)


def test_of_three_runs_every_pair_is_put_and_the_decided_ones_are_left_alone(tmp_path: Path) -> None:
    made = booth(tmp_path, ("long", "short", "third"), questions=60)
    voting = made.vote(chooses("third", "short"))
    assert voting.revealed
    assert {one.pair: one.decided for one in voting.results.pairs} == {
        ("long", "short"): "short",
        ("long", "third"): "third",
        ("short", "third"): "third",
    }
    assert {one.threshold for one in voting.results.pairs} == {60.0}
    assert all(one.questions <= 10 for one in voting.results.pairs)


def test_one_run_and_its_base(tmp_path: Path) -> None:
    made = booth(tmp_path, ("long",), with_base=True)
    voting = made.vote(chooses("long"))
    assert voting.results.pairs[0].pair == ("long", "base")
    assert voting.results.pairs[0].decided == "long"


def test_what_can_not_be_voted_on_is_one_sentence(tmp_path: Path) -> None:
    runs = make_voted_runs(tmp_path)
    with pytest.raises(RunError, match="needs two runs or more"):
        open_poll(runs[:1])
    with pytest.raises(RunError, match="two runs are called long, and one would hide the other"):
        open_poll([runs[0], runs[0]])
    answered(runs[1], [f"long says {at} minutes." for at in range(QUESTIONS)])
    with pytest.raises(RunError, match="nothing to vote on"):
        open_poll(runs)
    (runs[1].folder.evaluation("testset") / "answers.jsonl").unlink()
    with pytest.raises(
        RunError, match=r"short: no generated answers are stored\. Run: runoff evaluate long short --gen"
    ):
        open_poll(runs)
    single = make_voted_runs(tmp_path / "single", questions=1)
    with pytest.raises(RunError, match="no other answer of the author"):
        open_poll(single)


def test_anchors_are_the_authors_answers_to_other_questions(tmp_path: Path) -> None:
    poll = booth(tmp_path).poll
    for example, texts in poll.anchors.items():
        assert len(texts) == 3
        assert f"Listen: dish {int(example, 16)}, friend." not in texts
        assert all(text.startswith("Listen: ") for text in texts)


def test_a_voters_name() -> None:
    assert voter_name(None) == voter_name("  ") == "anonymous"
    assert voter_name(" Ada ") == "Ada"
    for name in ("x" * 41, "a\nb", "a\x1b[2J"):
        with pytest.raises(RunError, match="--voter"):
            voter_name(name)
