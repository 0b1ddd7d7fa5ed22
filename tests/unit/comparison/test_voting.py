"""Blind votes in a verdict: before the measures where they decide, never against a gate, and shown either way."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from shutil import copytree, ignore_patterns

import numpy as np
import pytest
from tests.support.polls import answered
from tests.support.run_folders import Told, made_measure, make_run, random_losses

from runoff.comparison import Comparison, Decision, Verdict, compare, verdict
from runoff.errors import RunError
from runoff.evaluation.stored import JUDGE_DECISIONS, StoredMeasure, store_measures
from runoff.evaluation.votes import BallotBox, Cast, open_poll
from runoff.evaluation.votes.record import Choice
from runoff.files import jsonl, write_bytes, write_json
from runoff.report import report
from runoff.runs import Run, votes_file

QUESTIONS = 20
LOSSES = random_losses(1)
NOISE = np.random.Generator(np.random.PCG64(9)).normal(0, 0.02, len(LOSSES))
BROKEN = made_measure("broken", 0.5, half=0.1, higher_is_better=False)
WHOLE = made_measure("broken", 0.0, half=0.0, higher_is_better=False)


def made(
    root: Path,
    names: Sequence[str] = ("a", "b"),
    *,
    gap: float = 0.0,
    level: float = 0.0,
    told: Told | None = None,
    measures: Sequence[StoredMeasure | None] = (),
) -> list[Run]:
    """Runs with answers; each one's loss is higher than the one's before by the gap."""
    runs = []
    for at, name in enumerate(names):
        own = measures[at] if measures else None
        losses = LOSSES + level + at * (gap + NOISE)
        run = make_run(root, name, told if at else None, losses=losses, measures=[own] if own else [])
        answered(run, [f"{name} {at}" for at in range(QUESTIONS)])
        answered(run, [f"base {at}" for at in range(QUESTIONS)], name="base-answers")
        runs.append(run)
    return runs


def voted(runs: Sequence[Run], wins: int, losses: int = 0, *, pair: tuple[str, str] = ("a", "b")) -> None:
    """So many votes for each of the two, one question each; the base by its name."""
    poll = open_poll(runs, with_base=True)
    box = BallotBox(votes_file(runs[0].folder.path.parent))
    for at in range(wins + losses):
        name = f"{at:016x}"
        left, right = (poll.candidate(label).shown(name) for label in pair)
        choice: Choice = "left" if at < wins else "right"
        box.cast(Cast(f"{pair}{at}", "2026-01-02T03:04:05", "ada", poll.test, name, left, right, choice, 9.0))


def decided(runs: Sequence[Run]) -> tuple[Comparison, Verdict]:
    comparison = compare(runs)
    return comparison, verdict(comparison)


def section(runs: Sequence[Run]) -> str:
    comparison, found = decided(runs)
    return "\n".join(str(one) for one in report(comparison, found).sections if one.key == "votes")


def test_decisive_votes_break_a_tie_of_the_measures(tmp_path: Path) -> None:
    runs = made(tmp_path)
    _, before = decided(runs)
    assert before.decision is not Decision.BETTER
    voted(runs, 1, 12)
    _, after = decided(runs)
    assert after.decision is Decision.BETTER
    assert after.ship == "b"
    assert after.headline.text == (
        "Ship b: in blind votes it sounds more like the author than a, on 12 of 13 questions with a preference (92 %, "
        "95 % interval 58 % to 99 %; p = 0.0034; e-value 50.8 of the 20 that decide)."
    )
    assert not any("would settle the votes on a and b" in sentence.text for sentence in after.would_change)


def test_decisive_votes_come_before_the_loss_and_say_so(tmp_path: Path) -> None:
    runs = made(tmp_path, gap=0.1)
    _, before = decided(runs)
    assert before.ship == "a"
    voted(runs, 0, 10)
    _, after = decided(runs)
    assert after.ship == "b"
    overruled = "By held-out loss a is better; decisive votes come before it."
    assert overruled in [sentence.text for sentence in after.because]
    assert overruled not in [sentence.text for sentence in before.because]


def test_votes_that_agree_with_the_loss_overrule_nothing(tmp_path: Path) -> None:
    runs = made(tmp_path, gap=0.1)
    voted(runs, 10)
    _, found = decided(runs)
    assert found.ship == "a"
    assert not any("come before it" in sentence.text for sentence in found.because)


def test_votes_that_do_not_decide_are_told_and_change_nothing(tmp_path: Path) -> None:
    runs = made(tmp_path, gap=0.1)
    _, before = decided(runs)
    voted(runs, 2, 4)
    _, after = decided(runs)
    assert after.headline == before.headline
    assert any(
        sentence.text.startswith("Blind votes: b was preferred to a on 4 of 6 questions") for sentence in after.because
    )
    assert any("would settle the votes on a and b" in sentence.text for sentence in after.would_change)
    assert not any("Blind votes" in sentence.text for sentence in before.because)


def test_votes_never_ship_what_failed_a_gate(tmp_path: Path) -> None:
    runs = made(tmp_path, measures=(WHOLE, BROKEN))
    voted(runs, 0, 12)
    _, found = decided(runs)
    assert found.ship == "a"
    assert "b (broken output) must not be shipped" in found.headline.text
    both = made(tmp_path / "both", measures=(BROKEN, BROKEN))
    voted(both, 0, 12)
    _, found = decided(both)
    assert found.ship is None
    assert found.headline.text.startswith("None of these runs is to be shipped: each failed a gate, a (broken output)")
    assert any(text.text.startswith("b is the best of those that failed: in blind votes") for text in found.because)


def test_a_preferred_run_that_is_no_better_than_the_base_is_not_shipped_unless_votes_say_so(tmp_path: Path) -> None:
    runs = made(tmp_path, level=1.5)
    voted(runs, 12)
    _, found = decided(runs)
    assert found.ship is None
    assert found.headline.text.startswith(
        "None of these runs is to be shipped. a is the best of them, but is worse than the base by held-out loss: in "
        "blind votes"
    )
    voted(runs, 14, pair=("a", "base"))
    _, found = decided(runs)
    assert found.ship == "a"


def test_the_last_run_left_may_be_better_than_the_base_by_votes(tmp_path: Path) -> None:
    runs = made(tmp_path, level=1.5, measures=(WHOLE, BROKEN))
    _, found = decided(runs)
    assert found.ship is None
    voted(runs, 14, pair=("a", "base"))
    _, found = decided(runs)
    assert found.ship == "a"
    assert found.headline.text.startswith(
        "b (broken output) must not be shipped. Ship a: in blind votes it sounds more"
    )


def test_of_three_runs_the_preferred_one_has_to_beat_both(tmp_path: Path) -> None:
    runs = made(tmp_path, ("a", "b", "c"))
    voted(runs, 0, 14)
    voted(runs, 0, 14, pair=("a", "c"))
    _, found = decided(runs)
    assert "blind votes" not in found.headline.text
    voted(runs, 14, 1, pair=("b", "c"))
    _, found = decided(runs)
    assert found.ship == "b"
    assert "than any other run (the next best, c), on 14 of 15 questions" in found.headline.text
    assert "the 60 that decide" in found.headline.text


def test_runs_that_differ_in_their_seed_alone_have_no_winner_by_votes(tmp_path: Path) -> None:
    runs = made(tmp_path, told=Told(settings={"seed": 2}))
    voted(runs, 12)
    _, found = decided(runs)
    assert found.ship is None
    assert found.decision is not Decision.BETTER


@pytest.mark.parametrize(("gap", "generated", "asked"), [(0.0, True, True), (0.1, True, False), (0.0, False, False)])
def test_a_tie_of_generated_answers_asks_for_votes(tmp_path: Path, gap: float, generated: bool, asked: bool) -> None:
    runs = made(tmp_path, gap=gap, measures=(WHOLE, WHOLE) if generated else ())
    _, found = decided(runs)
    text = "Nobody has voted on the answers. Blind votes may tell a and b apart where the measures do not."
    command = f"runoff vote {runs[0].folder.path} {runs[1].folder.path}"
    assert (text in [sentence.text for sentence in found.would_change]) == (command in found.commands) == asked
    voted(runs, 1)
    _, found = decided(runs)
    assert not any("Nobody has voted" in sentence.text for sentence in found.would_change)
    assert command not in found.commands


def test_a_judge_is_held_against_the_votes_and_both_stay_apart(tmp_path: Path) -> None:
    runs = made(tmp_path)
    voted(runs, 10, 4)
    assert "The judge" not in section(runs)
    folder = runs[0].folder.evaluation("testset")
    rows = [{"criterion": "style", "against": "b", "example": f"{at:016x}", "score": 1} for at in range(12)]
    write_bytes(folder / JUDGE_DECISIONS, jsonl(rows))
    store_measures(folder, {}, [], name="judge.json")
    assert "The judge and the voters say the same on 10 of 12 questions" in section(runs)
    store_measures(folder, {"answers_sha256": "of others"}, [], name="judge.json")
    assert "The judge" not in section(runs)


def test_the_report_shows_votes_with_n_interval_method_and_what_they_can_not_see(tmp_path: Path) -> None:
    runs = made(tmp_path)
    assert section(runs) == ""
    voted(runs, 3, 1)
    told = section(runs)
    assert "75 % (1 % to 100 %)" in told
    assert "score interval over sources" in told
    assert "exact sign test" in told
    assert "What this can't see: Whether an answer is right" in told
    assert "ada: 4 votes, 9 s each (median)" in told
    comparison, found = decided(runs)
    facts = report(comparison, found).facts["votes"]
    assert facts["pairs"]["a-b"]["wins"] == 3
    json.dumps(facts, allow_nan=False)


def test_votes_of_other_answers_and_grouped_seeds_show_nothing(tmp_path: Path) -> None:
    runs = made(tmp_path, told=Told(settings={"seed": 2}))
    voted(runs, 12)
    assert compare(runs).evidence.votes is not None
    other = make_run(tmp_path, "c", Told(settings={"num_layers": 4}), losses=LOSSES)
    assert compare([*runs, other], replicates=True).evidence.votes is None
    answered(runs[0], [f"anew {at}" for at in range(QUESTIONS)])
    assert compare(runs).evidence.votes is None


def test_votes_on_a_smaller_test_set_are_found_where_the_larger_one_has_no_answers(tmp_path: Path) -> None:
    runs = made(tmp_path)
    voted(runs, 12)
    for run in runs:
        small = run.folder.evaluation("testset")
        large = copytree(small, run.folder.evaluation("larger"), ignore=ignore_patterns("*answers.jsonl"))
        body = json.loads((large / "evaluation.json").read_text())
        write_json(large / "evaluation.json", body | {"key": "larger"})
        for name in ("rows.jsonl", "base.jsonl"):
            (small / name).write_text("".join((small / name).read_text().splitlines(keepends=True)[:60]))
    comparison, _ = decided(runs)
    assert len(comparison.evidence.evaluations["a"].rows) == len(LOSSES)
    assert comparison.evidence.votes is not None


def test_a_damaged_file_of_votes_is_one_sentence(tmp_path: Path) -> None:
    runs = made(tmp_path)
    votes_file(tmp_path).write_text('{"kind": "vote"}\n')
    with pytest.raises(RunError, match=r"votes\.jsonl:1: is not a vote"):
        compare(runs)
