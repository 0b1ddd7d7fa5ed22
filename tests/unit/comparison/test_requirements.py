"""Gates and aims: what stops a run from being shipped, and what decides, on made-up measures whose truth is known."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.support.run_folders import Told, made_measure, make_run, random_losses

from runoff.comparison import Aim, Comparison, Decision, compare, verdict
from runoff.comparison.requirements import required, unmeasured_of
from runoff.estimates.estimate import Estimate
from runoff.evaluation.stored import StoredMeasure

LOSSES = random_losses(1)
RANDOM = np.random.Generator(np.random.PCG64(3))
STYLE = RANDOM.normal(0.5, 0.1, len(LOSSES))


def compared(root: Path, *measures: StoredMeasure, others: tuple[StoredMeasure, ...] | None = None) -> Comparison:
    """`a` has the lower loss and these measures, `b` the others (by default the same)."""
    a = make_run(root, "a", losses=LOSSES, measures=measures)
    b = make_run(root, "b", losses=LOSSES + 0.1, measures=measures if others is None else others)
    return compare([a, b])


@pytest.mark.parametrize(
    ("measure", "gate", "status"),
    [
        (made_measure("broken", 0.01, half=0.01, higher_is_better=False), "broken output", "passed"),
        (made_measure("broken", 0.20, half=0.05, higher_is_better=False), "broken output", "failed"),
        (made_measure("broken", 0.04, half=0.03, higher_is_better=False), "broken output", "undecided"),
        (made_measure("retention", 0.98, half=0.01), "forgetting", "passed"),
        (made_measure("retention", 0.60, half=0.05), "forgetting", "failed"),
        (made_measure("retention", 0.94, half=0.04), "forgetting", "undecided"),
        (made_measure("facts", 0.3, per_example=STYLE - 0.2, base_per_example=STYLE), "facts", "failed"),
        (made_measure("facts", 0.5, per_example=STYLE + 0.2, base_per_example=STYLE), "facts", "passed"),
    ],
)
def test_a_gate_says_what_the_interval_says(tmp_path: Path, measure: StoredMeasure, gate: str, status: str) -> None:
    found = [one for one in required(compared(tmp_path, measure).evidence) if one.label == "a"]
    assert [(one.gate, one.status) for one in found] == [(gate, status)]


@pytest.mark.parametrize("answers", [10, 50])
def test_facts_of_few_sources_are_not_passed(tmp_path: Path, answers: int) -> None:
    """With 1 or 5 sources nothing can be shown to be worse: a gate that can't fail has not been passed."""
    few = made_measure("facts", 0.3, per_example=STYLE[:answers] - 0.2, base_per_example=STYLE[:answers])
    assert {one.status for one in required(compared(tmp_path, few).evidence)} == {"undecided"}


@pytest.mark.parametrize("third", [True, False])
def test_a_run_that_nobody_measured_does_not_take_away_what_another_failed(tmp_path: Path, third: bool) -> None:
    """The best loss has broken output. Beside a run without answers that stays so, and it is not called unmeasured."""
    good, bad = (made_measure("broken", share, half=0.01, higher_is_better=False) for share in (0.0, 0.5))
    a = make_run(tmp_path, "a", losses=LOSSES, measures=(bad,))
    b = make_run(tmp_path, "b", losses=LOSSES + 0.1, measures=(good,))
    runs = [a, b, *([make_run(tmp_path, "c", losses=LOSSES + 0.2)] if third else [])]
    comparison = compare(runs)
    assert [(one.label, one.status) for one in required(comparison.evidence)] == [("a", "failed"), ("b", "passed")]
    assert verdict(comparison).ship == "b"
    assert "broken output" not in unmeasured_of(comparison.evidence, ["a", "b"])
    assert ("broken output" in unmeasured_of(comparison.evidence, "abc"[: len(runs)])) is third
    assert ("broken" in comparison.evidence.measures) is not third


def test_measures_taken_in_different_ways_gate_each_run_by_itself(tmp_path: Path) -> None:
    """They are held against no other run's, but what a run failed against its base it has failed."""
    good, bad = (
        replace(made_measure("broken", share, half=0.01, higher_is_better=False), taken={"temperature": temperature})
        for share, temperature in ((0.0, 0.0), (0.5, 0.7))
    )
    comparison = compared(tmp_path, bad, others=(good,))
    assert [(one.label, one.status) for one in required(comparison.evidence)] == [("a", "failed"), ("b", "passed")]
    assert (verdict(comparison).ship, comparison.evidence.measures) == ("b", {})


def test_what_was_not_measured_gates_nothing_and_is_said(tmp_path: Path) -> None:
    comparison = compared(tmp_path)
    assert required(comparison.evidence) == ()
    text = "Not measured here: style, facts in generated answers, what was forgotten and broken output."
    assert any(sentence.text.startswith(text) for sentence in verdict(comparison).because)


def test_what_was_measured_is_not_called_unmeasured(tmp_path: Path) -> None:
    found = verdict(compared(tmp_path, made_measure("broken", 0.0, half=0.0, higher_is_better=False)))
    (said,) = [sentence.text for sentence in found.because if sentence.text.startswith("Not measured")]
    assert "broken" not in said


@pytest.mark.parametrize(("share", "said"), [(0.5, True), (0.0, False)])
def test_what_a_failed_gate_calls_for_is_said_only_of_a_failed_gate(tmp_path: Path, share: float, said: bool) -> None:
    found = [text.text for text in verdict(compared(tmp_path, broken(share))).would_change]
    assert any(text.startswith("A run that passes broken output could change the verdict.") for text in found) is said
    assert any(text.startswith("A run that passes") for text in found) is said


def test_the_best_loss_is_not_shipped_with_broken_output(tmp_path: Path) -> None:
    found = verdict(compared(tmp_path, made_measure("broken", 0.5, half=0.1, higher_is_better=False)))
    assert found.decision is Decision.BETTER
    assert found.ship is None
    assert found.headline.text == (
        "None of these runs is to be shipped: each failed a gate, a (broken output) and b (broken output)."
    )
    assert any(text.text.startswith("a is the best of those that failed: its held-out") for text in found.because)


@pytest.mark.parametrize("share", [0.5, 0.0])
def test_runs_that_all_failed_are_neither_equivalent_in_the_headline_nor_to_be_kept(
    tmp_path: Path, share: float
) -> None:
    runs = [make_run(tmp_path, name, losses=LOSSES, measures=[broken(share)]) for name in "ab"]
    found = verdict(compare(runs))
    assert (found.decision, found.ship) == (Decision.EQUIVALENT, None)
    alike = "a and b are equivalent by held-out loss: they differ by less than 0.02 nats per target token (a minus b: 0"
    because = [text.text for text in found.because if text.text.startswith(alike)]
    if share:
        assert found.headline.text.startswith("None of these runs is to be shipped: each failed a gate, a (broken")
        assert because[0].endswith("12 sources).")
    else:
        assert found.headline.text.startswith(alike)
        assert found.headline.text.endswith("Keep either: they cost the same.")
        assert not because


@pytest.mark.parametrize("baseline", ["a", None])
def test_challengers_are_named_where_one_run_is_left_too(tmp_path: Path, baseline: str | None) -> None:
    runs = [
        make_run(tmp_path, name, losses=LOSSES + 0.1 * at, measures=[broken(share)])
        for at, (name, share) in enumerate((("a", 0.5), ("b", 0.0)))
    ]
    found = verdict(compare(runs, baseline=baseline))
    assert found.headline.text.startswith("Ship b: a (broken output) must not be shipped")
    told = [text.text for text in found.because if text.text.startswith("Against the baseline")]
    assert told == ["Against the baseline a, by held-out loss: b is worse."] * bool(baseline)


def test_the_aim_of_style_is_decided_by_style(tmp_path: Path) -> None:
    mine = made_measure("style", 0.5, per_example=STYLE)
    better = made_measure("style", 0.7, per_example=STYLE + 0.2 + RANDOM.normal(0, 0.02, len(STYLE)))
    comparison = compared(tmp_path, mine, others=(better,))
    assert verdict(comparison, Aim.GENERALIZATION).ship == "a"
    assert verdict(comparison, Aim.STYLE).ship == "b"
    balanced = verdict(comparison, Aim.BALANCED)
    assert balanced.decision is Decision.NOT_DETECTABLE
    assert balanced.headline.text == "No winner: held-out loss and style do not agree on one of a and b."


def test_balanced_needs_one_win_and_no_loss(tmp_path: Path) -> None:
    same = made_measure("style", 0.5, per_example=STYLE)
    assert verdict(compared(tmp_path, same), Aim.BALANCED).ship == "a"


def test_the_measure_that_decides_is_the_one_in_the_headline(tmp_path: Path) -> None:
    """By held-out loss `a` is ahead by a hair that nobody can see; by style `b` wins."""
    others, seeds = {"seed": 2, "num_layers": 4}, {"seed": 2}
    assert style_decides(tmp_path / "settings", others).startswith(
        "Ship b: its style is 0.2000 share higher than that of a (difference +0.2000"
    )
    assert "That b has the better style is the draw of a seed" in style_decides(tmp_path / "seeds", seeds)


def style_decides(root: Path, settings: dict[str, int]) -> str:
    noise = np.random.Generator(np.random.PCG64(6)).normal(0, 0.1, (2, len(STYLE)))
    noise -= noise.mean(axis=1, keepdims=True)
    better = made_measure("style", 0.7, per_example=STYLE + 0.2 + noise[1])
    a = make_run(root, "a", losses=LOSSES, measures=[made_measure("style", 0.5, per_example=STYLE)])
    b = make_run(root, "b", Told(settings=settings), losses=LOSSES + 0.001 + noise[0], measures=[better])
    return verdict(compare([a, b]), Aim.BALANCED).headline.text


def test_where_no_measure_has_a_winner_they_are_not_said_to_disagree(tmp_path: Path) -> None:
    noise = np.random.Generator(np.random.PCG64(7)).normal(0, 0.3, (2, len(STYLE)))
    noise -= noise.mean(axis=1, keepdims=True)
    runs = [
        make_run(tmp_path, "a", losses=LOSSES, measures=[made_measure("style", 0.5, per_example=STYLE)]),
        make_run(
            tmp_path,
            "b",
            losses=LOSSES + 0.01 + noise[0],
            measures=[made_measure("style", 0.5, per_example=STYLE + noise[1])],
        ),
    ]
    text = verdict(compare(runs), Aim.BALANCED).headline.text
    assert text.startswith("No difference detectable between a and b by held-out loss (a minus b: -0.0")
    assert ") and style (a minus b: " in text


@pytest.mark.parametrize(("style_lead", "said"), [(0.0, False), (0.06, True)])
def test_a_lead_is_said_only_where_there_is_one(tmp_path: Path, style_lead: float, said: bool) -> None:
    noise = np.random.Generator(np.random.PCG64(6)).normal(0, 0.1, len(STYLE))
    mine = made_measure("style", 0.5 + style_lead, per_example=STYLE + style_lead + noise - noise.mean())
    found = verdict(compared(tmp_path, mine, others=(made_measure("style", 0.5, per_example=STYLE),)), Aim.BALANCED)
    assert found.ship == "a"
    leads = [text.text for text in found.would_change if text.text.startswith("The lead over b")]
    assert [re.sub(r"0\.0[34]\d\d ", "", text) for text in leads] == [
        "The lead over b may be as small as share, less than the margin of 0.05 that was said to matter."
    ] * said
    assert not any(text.text.startswith("To settle") for text in found.would_change), "a is better, so nothing is open"


def test_of_three_runs_two_measures_that_disagree_are_named(tmp_path: Path) -> None:
    noise = np.random.Generator(np.random.PCG64(7)).normal(0, 0.02, (2, 3, len(STYLE)))
    runs = [
        make_run(
            tmp_path,
            name,
            losses=LOSSES + 0.1 * at + noise[0, at],
            measures=[made_measure("style", 0.5 + 0.1 * at, per_example=STYLE + 0.1 * at + noise[1, at])],
        )
        for at, name in enumerate("abc")
    ]
    found = verdict(compare(runs), Aim.BALANCED)
    assert found.decision is Decision.NOT_DETECTABLE
    assert found.headline.text == "No winner: held-out loss and style do not agree on one of a, b and c."


@pytest.mark.parametrize(("loss_noise", "style_noise"), [(0.001, 0.6), (0.3, 0.001)])
def test_equivalent_by_one_and_open_by_the_other_is_open(tmp_path: Path, loss_noise: float, style_noise: float) -> None:
    noise = np.random.Generator(np.random.PCG64(7)).normal(0, 1, (2, len(STYLE)))
    noise -= noise.mean(axis=1, keepdims=True)
    style = (
        made_measure("style", 0.5, per_example=STYLE),
        made_measure("style", 0.5, per_example=STYLE + style_noise * noise[0]),
    )
    a = make_run(tmp_path, "a", losses=LOSSES, measures=style[:1])
    b = make_run(tmp_path, "b", losses=LOSSES + loss_noise * noise[1], measures=style[1:])
    assert verdict(compare([a, b]), Aim.BALANCED).decision is Decision.NOT_DETECTABLE


@pytest.mark.parametrize("unknown", ["base", "run"])
def test_a_rate_that_is_not_known_gates_nothing(tmp_path: Path, unknown: str) -> None:
    nothing = Estimate.unknown_because("nothing was generated", "share", n=0, clusters=0)
    given = broken(0.5)
    found = replace(given, base=nothing) if unknown == "base" else replace(given, run=nothing)
    assert required(compared(tmp_path, found).evidence) == ()


def test_an_aim_that_was_not_measured_is_insufficient_and_names_the_command(tmp_path: Path) -> None:
    found = verdict(compared(tmp_path), Aim.STYLE)
    assert found.decision is Decision.INSUFFICIENT
    assert found.headline.text == (
        "Insufficient evidence: what the aim style is decided by was not measured on the same answers, "
        "so none is recommended."
    )
    assert found.commands[0].endswith("--generate")


def test_a_persona_that_spreads_over_other_subjects_fails(tmp_path: Path) -> None:
    def bleed(more: float) -> StoredMeasure:
        noise = RANDOM.normal(0, 0.01, len(STYLE))
        return made_measure(
            "persona_bleed", more, higher_is_better=False, per_example=STYLE + more + noise, base_per_example=STYLE
        )

    comparison = compared(tmp_path, bleed(0.4), others=(bleed(-0.2),))
    found = {one.label: one for one in required(comparison.evidence)}
    assert {label: (one.gate, one.status) for label, one in found.items()} == {
        "a": ("persona", "failed"),
        "b": ("persona", "passed"),
    }
    assert re.search(
        r"that a answers in persona is (39|40)(\.\d)? percentage points above the base's", found["a"].sentence.text
    )
    assert re.search(
        r"that b answers in persona is (19|20)(\.\d)? percentage points below the base's", found["b"].sentence.text
    )


@pytest.mark.parametrize("bounds", [(0.0, 1.0), None])
def test_a_difference_of_shares_does_not_pass_100_points(tmp_path: Path, bounds: tuple[float, float] | None) -> None:
    """Of two sources one answers all prompts in persona and the other half: t with one degree of freedom is 12.7."""
    own = np.concatenate([np.ones(10), np.tile([0.0, 1.0], 5)])
    bleed = made_measure("persona_bleed", 0.75, higher_is_better=False, per_example=own)
    given = replace(bleed, bounds=bounds)
    (found,) = [one for one in required(compared(tmp_path, given).evidence) if one.label == "a"]
    low, high = re.findall(r"interval (\S+) to (\S+);", found.sentence.text)[0]
    assert found.status == "undecided"
    if bounds:
        assert (low, high) == ("-100", "100")
    else:
        assert (float(low) < -100, float(high) > 100) == (True, True)


def test_a_persona_near_the_margin_is_undecided(tmp_path: Path) -> None:
    noise = np.random.Generator(np.random.PCG64(7)).normal(0, 0.1, len(STYLE))
    own = STYLE + 0.05 + noise - noise.mean()
    near = made_measure("persona_bleed", 0.05, higher_is_better=False, per_example=own, base_per_example=STYLE)
    found = required(compared(tmp_path, near).evidence)
    assert {one.status for one in found} == {"undecided"}


def broken(share: float) -> StoredMeasure:
    return made_measure("broken", share, half=0.01, higher_is_better=False)


def test_where_the_best_is_broken_the_other_is_shipped_if_it_helps(tmp_path: Path) -> None:
    found = verdict(compared(tmp_path, broken(0.5), others=(broken(0.0),)))
    assert (found.decision, found.ship) == (Decision.BETTER, "b")
    assert found.headline.text.startswith("Ship b: a (broken output) must not be shipped; b's held-out loss is 0.")
    assert "lower than the base's" in found.headline.text


def test_every_gate_that_was_failed_is_named(tmp_path: Path) -> None:
    forgetful = made_measure("retention", 0.5, half=0.01)
    a = make_run(tmp_path, "a", losses=LOSSES, measures=[broken(0.5), forgetful])
    b = make_run(tmp_path, "b", losses=LOSSES + 0.1, measures=[broken(0.0), made_measure("retention", 1.0, half=0.0)])
    assert "a (broken output and forgetting) must not be shipped;" in verdict(compare([a, b])).headline.text


@pytest.mark.parametrize(
    ("above_base", "decision", "says"),
    [
        (0.1, Decision.BETTER, "b remains, but is worse than the base ("),
        (0.0, Decision.NOT_DETECTABLE, "b remains, but is not shown to be better than the base ("),
    ],
)
def test_where_the_best_is_broken_and_the_other_does_not_help_none_is_shipped(
    tmp_path: Path, above_base: float, decision: Decision, says: str
) -> None:
    noise = np.random.Generator(np.random.PCG64(4)).normal(0, 0.3, len(LOSSES))
    a = make_run(tmp_path, "a", losses=LOSSES, base=LOSSES, measures=[broken(0.5)])
    b = make_run(
        tmp_path, "b", losses=LOSSES + (above_base or noise - noise.mean()), base=LOSSES, measures=[broken(0.0)]
    )
    found = verdict(compare([a, b]))
    assert (found.decision, found.ship) == (decision, None)
    assert f"a (broken output) must not be shipped; {says}" in found.headline.text


def test_of_three_the_broken_one_is_out_of_the_race(tmp_path: Path) -> None:
    shares = {"a": 0.5, "b": 0.0, "c": 0.0}
    runs = [
        make_run(
            tmp_path, name, losses=LOSSES + 0.1 * at + RANDOM.normal(0, 0.02, len(LOSSES)), measures=[broken(share)]
        )
        for at, (name, share) in enumerate(shares.items())
    ]
    found = verdict(compare(runs))
    assert found.ship == "b"
    assert "than that of c" in found.headline.text
