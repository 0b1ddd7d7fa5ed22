"""The file of votes: append-only, whole after a crash, and what an undo or a reveal does to what is read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.polls import answered, booth, chooses

from runoff.errors import RunError
from runoff.evaluation.votes import BallotBox, open_poll


def test_votes_are_read_as_they_were_cast_and_an_undo_only_appends(tmp_path: Path) -> None:
    made = booth(tmp_path)
    made.cast(0, "left")
    made.cast(1, "both bad", repeat=True)
    before = made.box.path.read_bytes()
    first, second = made.box.votes()
    assert (first.choice, first.chosen, first.repeat) == ("left", first.left, False)
    assert (second.choice, second.chosen, second.repeat) == ("both bad", None, True)
    made.box.undo(second, "2026-01-02T03:04:06")
    assert made.box.votes() == (first,)
    assert made.box.path.read_bytes().startswith(before)


@pytest.mark.parametrize("cut", [1, 40])
def test_a_line_that_a_crash_cut_off_is_lost_alone(tmp_path: Path, cut: int) -> None:
    made = booth(tmp_path)
    made.cast(0, "left")
    made.cast(1, "right")
    whole = made.box.path.read_bytes()
    made.box.path.write_bytes(whole[:-cut])
    kept = ["v0", "v1"] if cut == 1 else ["v0"]
    assert [vote.id for vote in made.box.votes()] == kept
    made.cast(2, "tie")
    assert [vote.example for vote in made.box.votes()][-1] == f"{2:016x}"
    assert len(made.box.votes()) == len(kept) + 1


def test_a_damaged_line_is_one_sentence_with_its_number(tmp_path: Path) -> None:
    made = booth(tmp_path)
    made.cast(0, "left")
    line = json.loads(made.box.path.read_text())
    made.box.path.write_text(json.dumps(line) + "\n" + json.dumps({**line, "choice": "up"}) + "\n")
    with pytest.raises(RunError, match=r"votes\.jsonl:2: is not a vote as Runoff writes it .* the choice is none of"):
        made.box.votes()


def test_a_file_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    made = booth(tmp_path)
    made.box.path.mkdir()
    with pytest.raises(RunError, match="the vote could not be written"):
        made.box.reveal("ada", (), "2026-01-02T03:04:05")
    with pytest.raises(RunError, match="the votes can't be read"):
        made.box.votes()


def test_votes_after_the_result_was_seen_are_marked_for_that_voter_alone(tmp_path: Path) -> None:
    made = booth(tmp_path)
    made.cast(0, "left")
    made.box.reveal("ada", made.poll.adapters, "2026-01-02T03:04:05")
    made.cast(1, "left")
    made.cast(1, "left", voter="bob")
    assert [vote.unblinded for vote in made.box.votes()] == [False, True, False]
    assert made.box.knows("ada", made.poll.adapters)
    assert not made.box.knows("bob", made.poll.adapters)
    assert not made.box.knows("ada", [*made.poll.adapters, "a third"])


def test_votes_on_answers_that_were_generated_anew_do_not_count(tmp_path: Path) -> None:
    made = booth(tmp_path)
    assert made.vote(chooses("long"), most=4).votes == 4
    answered(made.runs[0], [f"Now it says {at}." for at in range(24)])
    poll = open_poll(made.runs)
    assert all(poll.labels(cast) is None for cast in made.box.votes())
    assert len(BallotBox(made.box.path).votes()) == 4


def test_votes_on_another_adapter_do_not_count(tmp_path: Path) -> None:
    made = booth(tmp_path)
    made.cast(0, "left")
    (vote,) = made.box.votes()
    assert made.poll.labels(vote) == ("long", "short")
    assert vote.left.adapter == made.poll.adapters[0] != made.poll.adapters[1]
    made.box.path.write_text(made.box.path.read_text().replace(vote.left.adapter, "0" * 16))
    (vote,) = made.box.votes()
    assert made.poll.labels(vote) is None
