"""What the summary says beside the headline: what was left open of the run to ship, and of no other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.support.run_folders import made_measure, make_run, random_losses

from runoff.comparison import Comparison, Verdict, compare, verdict
from runoff.report import report
from runoff.report.model import Table
from runoff.report.sections.decision import summary

LOSSES = random_losses(1)


@pytest.mark.parametrize(("shares", "said"), [((0.025, 0.0), True), ((0.0, 0.0), False), ((0.0, 0.025), False)])
def test_a_gate_that_is_open_for_the_run_to_ship_is_said_there(
    tmp_path: Path, shares: tuple[float, float], *, said: bool
) -> None:
    runs = [
        make_run(
            tmp_path,
            name,
            losses=LOSSES + worse,
            measures=[made_measure("broken", share, half=0.01, higher_is_better=False)],
        )
        for name, worse, share in zip(("a", "b"), (0.0, 0.1), shares, strict=True)
    ]
    comparison = compare(runs)
    found = verdict(comparison)
    assert found.ship == "a"
    texts = [getattr(block, "text", "") for block in summary(comparison, found)]
    assert any("can't be decided with these answers" in text for text in texts) is said


def many(root: Path, broken: set[int], runs: int) -> tuple[Comparison, Verdict]:
    """Runs of growing loss; these of them give broken answers."""
    made = [
        make_run(
            root,
            f"run{at}",
            losses=LOSSES + 0.1 * at,
            measures=[made_measure("broken", 0.5 * (at in broken), half=0.01, higher_is_better=False)],
        )
        for at in range(runs)
    ]
    comparison = compare(made)
    return comparison, verdict(comparison)


@pytest.mark.parametrize(("broken", "said"), [({3, 7}, True), (set(), False)])
def test_of_many_runs_those_that_failed_are_named_and_their_numbers_come_first(
    tmp_path: Path, broken: set[int], *, said: bool
) -> None:
    comparison, found = many(tmp_path, broken, 20)
    texts = [getattr(block, "text", "") for block in summary(comparison, found)]
    named = "run3 (broken output) and run7 (broken output) must not be shipped: see the table of gates."
    assert (named in texts) is said
    (section,) = [one for one in report(comparison, found).sections if one.key == "verdict"]
    gates, sentences = [block for block in section.blocks if isinstance(block, Table)]
    assert {row[0].text for row in gates.rows if row[1].text == "failed"} == {f"run{at}" for at in broken}
    assert len(gates.rows) == 20
    assert not any("passed" in row[1].text for row in sentences.rows)
    assert [row[1].text[:5] for row in sentences.rows if row[0].text == "warning"] == ["run3:", "run7:"] * said
    if said:
        assert sentences.rows[0][1].text.startswith("run3: 60 of 120 answers are broken")


def test_of_many_runs_that_all_failed_the_headline_alone_names_them(tmp_path: Path) -> None:
    comparison, found = many(tmp_path, set(range(8)), 8)
    assert found.headline.text.startswith(
        "None of these runs is to be shipped: each failed a gate, run0 (broken output)"
    )
    assert not any("see the table of gates" in getattr(block, "text", "") for block in summary(comparison, found))


@pytest.mark.parametrize(("sources", "said"), [(4, True), (12, False)])
def test_where_nothing_is_shipped_what_would_settle_it_comes_before_the_next_step(
    tmp_path: Path, sources: int, *, said: bool
) -> None:
    losses = LOSSES[: 10 * sources]
    runs = [make_run(tmp_path, name, losses=losses + shift) for name, shift in (("a", 0.0), ("b", 0.1))]
    comparison = compare(runs)
    found = verdict(comparison)
    blocks = list(summary(comparison, found))
    wanted = f"A test against b takes answers from 6 sources or more; there are {sources}."
    assert (wanted in [getattr(block, "text", "") for block in blocks]) is said
    assert any(command.startswith("runoff train") for command in found.commands) is not said


def test_a_second_seed_is_asked_of_those_that_may_be_the_best(tmp_path: Path) -> None:
    tie = np.random.Generator(np.random.PCG64(8)).normal(0, 0.3, len(LOSSES))
    runs = [
        make_run(tmp_path, name, losses=losses)
        for name, losses in (("a", LOSSES), ("b", LOSSES + tie), ("c", LOSSES + 0.5))
    ]
    found = verdict(compare(runs))
    trained = [command.split(" --name ")[1].split()[0] for command in found.commands if " train " in command]
    assert trained == ["a-seed1", "b-seed1"]
    asked = [text.text for text in found.would_change if text.text.startswith("Each run was trained once")]
    assert asked[0].endswith("A second seed of a and b would show it.")
    assert verdict(compare(runs[:2])).would_change[-1].text.endswith("A second seed of both would show it.")
