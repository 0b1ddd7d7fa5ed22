"""The verdict on made-up pairs whose truth is known: each outcome, and each sentence when it is true and when not."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from tests.support.run_folders import Losses, Told, make_run, random_losses

from runoff.comparison import Comparison, Decision, Verdict, compare, verdict
from runoff.errors import RunError

NOISE = np.random.Generator(np.random.PCG64(9)).normal(0, 0.02, 120)


def judge(root: Path, a: Losses | None, b: Losses | None, *, told: Told | None = None, margin: float = 0.02) -> Verdict:
    return verdict(pair(root, a, b, told=told, margin=margin))


def pair(
    root: Path, a: Losses | None, b: Losses | None, *, told: Told | None = None, margin: float = 0.02
) -> Comparison:
    return compare([make_run(root, "a", losses=a), make_run(root, "b", told, losses=b)], margin=margin)


def test_a_run_with_lower_losses_everywhere_is_shipped(tmp_path: Path) -> None:
    losses = random_losses(1)
    found = judge(tmp_path, losses, losses + 0.1 + NOISE)
    assert found.decision is Decision.BETTER
    assert found.ship == "a"
    assert found.headline.text.startswith("Ship a: its held-out loss is 0.")
    assert "120 answers from 12 sources" in found.headline.text


def test_the_mirror_names_the_same_run_with_the_same_numbers(tmp_path: Path) -> None:
    losses = random_losses(1)
    a, b = make_run(tmp_path, "a", losses=losses), make_run(tmp_path, "b", losses=losses + 0.1 + NOISE)
    assert verdict(compare([a, b])).headline == verdict(compare([b, a])).headline


def test_a_run_against_itself_is_equivalent_and_exactly_zero(tmp_path: Path) -> None:
    run = make_run(tmp_path, "a", losses=random_losses(2))
    comparison = compare([run, run])
    found = verdict(comparison)
    assert found.decision is Decision.EQUIVALENT
    assert found.ship is None
    (first, second) = [side.label for side in comparison.sides]
    assert comparison.evidence.loss is not None
    assert comparison.evidence.loss.pairs[first, second].exact_zero
    assert any("exactly the same held-out loss" in sentence.text for sentence in found.because)


def test_noise_alone_names_no_winner_and_says_what_would_settle_it(tmp_path: Path) -> None:
    losses = random_losses(3)
    noise = np.random.Generator(np.random.PCG64(4)).normal(0, 0.3, len(losses))
    found = judge(tmp_path, losses, losses + noise)
    assert found.decision is Decision.NOT_DETECTABLE
    assert found.ship is None
    assert found.headline.text.startswith("No difference detectable between a and b by held-out loss")
    assert any("To settle a difference of 0.02" in sentence.text for sentence in found.would_change)


@pytest.mark.parametrize(
    ("below", "says"),
    [(0.4, "is worse than the base by held-out loss: its"), (0.0, "is not shown to be better than the base: its")],
)
def test_a_winner_that_is_no_better_than_the_base_is_not_shipped(tmp_path: Path, below: float, says: str) -> None:
    losses = random_losses(5, level=3.6)
    comparison = compare(
        [
            make_run(tmp_path, "a", losses=losses, base=losses - below),
            make_run(tmp_path, "b", losses=losses + 0.2 + NOISE, base=losses - below),
        ]
    )
    found = verdict(comparison)
    assert found.decision is Decision.BETTER
    assert found.ship is None
    assert found.headline.text.startswith(f"None of these runs is to be shipped. a is the best of them, but {says}")
    worse = [sentence.text for sentence in found.because if "it made the model worse here" in sentence.text]
    assert [text[0] for text in worse] == (["a", "b"] if below else ["b"])


def test_without_an_evaluation_there_is_insufficient_evidence_and_the_command_for_it(tmp_path: Path) -> None:
    found = judge(tmp_path, random_losses(1), None)
    assert found.decision is Decision.INSUFFICIENT
    assert found.headline.text == (
        "Insufficient evidence: b was never scored on a held-out test set, so none is recommended."
    )
    both = f"{tmp_path / 'a'} {tmp_path / 'b'}"
    assert found.commands == (f"runoff evaluate {both}", f"runoff compare {both}")


def test_other_test_rows_are_no_common_measurement(tmp_path: Path) -> None:
    a = make_run(tmp_path, "a", losses=random_losses(1))
    b = make_run(tmp_path, "b", losses=random_losses(1), test={"key": "another"})
    found = verdict(compare([a, b]))
    assert found.decision is Decision.INSUFFICIENT
    assert "different test rows" in found.headline.text


def test_another_base_blocks_the_comparison(tmp_path: Path) -> None:
    other = Told(identity={"model": {"name": "other", "sha256": "11" * 32}})
    found = judge(tmp_path, random_losses(1), random_losses(1) + 0.5, told=other)
    assert found.decision is Decision.NOT_COMPARABLE
    assert found.ship is None
    assert any("The base models differ" in sentence.text for sentence in found.because)


def test_no_metrics_at_all_is_said(tmp_path: Path) -> None:
    found = judge(tmp_path, None, None, told=Told(metrics=()))
    assert found.because[0].text == "b has no recorded metrics at all."


def test_metrics_that_are_there_are_not_called_missing(tmp_path: Path) -> None:
    found = judge(tmp_path, None, None)
    assert not any("no recorded metrics" in sentence.text for sentence in found.because)


def test_one_source_can_not_decide(tmp_path: Path) -> None:
    losses = random_losses(1)[:10]
    found = judge(tmp_path, losses, losses + 0.3)
    assert found.decision is Decision.INSUFFICIENT
    assert found.headline.text == (
        "Insufficient evidence: 1 source allows no test, which takes 6. On these answers a's held-out loss is 0.3000 "
        "nats per target token lower than b's (difference -0.3000, no interval; no p-value; 10 answers from 1 source)."
    )


@pytest.mark.parametrize("sources", [5, 6])
def test_few_sources_tell_what_was_seen_and_how_many_a_test_takes(tmp_path: Path, sources: int) -> None:
    """With 5 no p-value can be small: that nothing was detected would say nothing."""
    losses = random_losses(1, sources=sources)
    found = judge(tmp_path, losses, losses + 0.3 + NOISE[: len(losses)])
    few = sources < 6
    assert found.decision is (Decision.INSUFFICIENT if few else Decision.BETTER)
    assert (
        found.headline.text.startswith(
            "Insufficient evidence: 5 sources allow no test, which takes 6. On these answers a's held-out loss is 0."
        )
        == few
    )
    said = [sentence.text for sentence in (*found.because, *found.would_change)]
    assert ("A test against b takes answers from 6 sources or more; there are 5." in said) == few
    assert any("than the base's, with too few sources for a test" in text for text in said) == few


def test_three_runs_on_few_sources_have_no_loser_by_default(tmp_path: Path) -> None:
    """Two of the same losses are equivalent; that does not make the third one undetectably different."""
    losses = random_losses(1, sources=5)
    runs = [make_run(tmp_path, "a", losses=losses), make_run(tmp_path, "b", losses=losses)]
    found = verdict(compare([*runs, make_run(tmp_path, "c", losses=losses + 1 + NOISE[: len(losses)])]))
    assert found.decision is Decision.INSUFFICIENT
    assert re.search(r"a's held-out loss is [01]\.\d+ nats per target token lower than c's", found.headline.text)


def test_a_lead_that_may_be_below_the_margin_is_said(tmp_path: Path) -> None:
    losses = random_losses(1)
    found = judge(tmp_path, losses, losses + 0.1 + NOISE, margin=0.5)
    assert any("may be as small as" in sentence.text for sentence in found.would_change)
    clear = judge(tmp_path / "clear", losses, losses + 0.1 + NOISE, margin=0.01)
    assert not any("may be as small as" in sentence.text for sentence in clear.would_change)


def test_three_runs_need_a_winner_that_beats_both(tmp_path: Path) -> None:
    losses = random_losses(1)
    tie = np.random.Generator(np.random.PCG64(8)).normal(0, 0.3, len(losses))
    runs = [
        make_run(tmp_path, "a", losses=losses),
        make_run(tmp_path, "b", losses=losses + tie),
        make_run(tmp_path, "c", losses=losses + 0.5 + NOISE),
    ]
    found = verdict(compare(runs))
    assert found.decision is Decision.NOT_DETECTABLE
    assert found.headline.text.startswith("No winner: a and b can't be told apart")
    assert "c" not in found.headline.text.split("can't")[0]


def test_questions_are_asked_for_only_from_a_run_that_is_not_told_apart_already(tmp_path: Path) -> None:
    losses, random = random_losses(1), np.random.Generator(np.random.PCG64(8))
    noise = random.normal(0, 0.3, (2, len(losses)))
    runs = [
        make_run(tmp_path, "a", losses=losses),
        make_run(tmp_path, "b", losses=losses + noise[0] - noise[0].mean() + 0.001),
        make_run(tmp_path, "c", losses=losses + noise[1] + 0.5),
    ]
    asked = [text.text for text in verdict(compare(runs)).would_change if text.text.startswith("To settle")]
    assert [text.split(", about")[0] for text in asked] == [
        "To settle a difference of 0.02 nats per target token from b"
    ]


def test_a_small_p_value_among_several_runs_is_said_to_be_one_of_several(tmp_path: Path) -> None:
    def headline(seed: int) -> str:
        losses, random = random_losses(1), np.random.Generator(np.random.PCG64(seed))
        noisy = [losses + random.normal(0, 0.02, len(losses)) + 0.006 * (at > 0) for at in range(5)]
        root = tmp_path / str(seed)
        return verdict(compare([make_run(root, f"r{at}", losses=own) for at, own in enumerate(noisy)])).headline.text

    assert headline(3).startswith(
        "No winner: r0, r1 and r3 can't be told apart by held-out loss, with 5 runs compared at once (r0 minus r1: -0.0"
    )
    assert headline(4).startswith("No winner: r0 and r3 can't be told apart by held-out loss (r0 minus r3: -0.0023,")


def test_retraining_commands_repeat_the_options_and_raise_the_seed(tmp_path: Path) -> None:
    from runoff.config import Origin
    from runoff.runs import Value

    told = Told(settings={"seed": 7, "learning_rate": Value(2e-4, Origin("option", "--set learning_rate"))})
    found = judge(tmp_path, random_losses(1), random_losses(1), told=told)
    place = tmp_path / "b" / "config.yaml"
    wanted = f"runoff train {place} --name b-seed8 --runs {tmp_path} --set learning_rate=0.0002 --set seed=8"
    assert wanted in found.commands


def test_fewer_than_two_runs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="needs two runs or more"):
        compare([make_run(tmp_path, "a")])


def test_a_margin_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="margin must be above 0"):
        pair(tmp_path, None, None, margin=0.0)


@pytest.mark.parametrize(
    ("counts", "advice"),
    [
        ({"rows_seen": 150}, "Keep the cheaper one, b (training rows seen: 150, a 200)."),
        ({"trainable_parameters": 9}, "Keep the cheaper one, b (trainable parameters: 9, a 651,264)."),
        ({}, "Keep either: they cost the same."),
    ],
)
def test_of_equals_the_cheaper_one_is_named(tmp_path: Path, counts: dict[str, int], advice: str) -> None:
    losses = random_losses(2)
    found = judge(tmp_path, losses, losses, told=Told(counts=counts))
    assert found.decision is Decision.EQUIVALENT
    assert found.headline.text.endswith(advice)


def test_two_seeds_of_one_setting_have_no_winner(tmp_path: Path) -> None:
    losses = random_losses(1)
    found = judge(tmp_path, losses, losses + 0.1 + NOISE, told=Told(settings={"seed": 5}))
    assert (found.decision, found.ship) == (Decision.NOT_DETECTABLE, None)
    assert found.headline.text.startswith(
        "No winner: a and b differ in nothing but their seed. That a has the better held-out loss is the draw of a seed"
    )


def test_replicates_among_other_runs_are_pointed_out(tmp_path: Path) -> None:
    losses = random_losses(1)
    told = {"a": {"seed": 1}, "b": {"seed": 2}, "c": {"seed": 1, "num_layers": 4}}
    runs = [
        make_run(tmp_path, name, Told(settings=own), losses=losses + NOISE * at)
        for at, (name, own) in enumerate(told.items())
    ]
    words = "a and b differ in their seed alone: with --replicates such runs are taken as one setting."
    assert words in [text.text for text in verdict(compare(runs)).would_change]
    assert words not in [text.text for text in verdict(compare(runs[1:])).would_change]
