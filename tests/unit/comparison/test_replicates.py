"""Runs that differ in their seed alone, taken as one setting; and challengers against a baseline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.support.run_folders import Losses, Told, made_measure, make_run, random_losses

from runoff.comparison import Aim, Decision, compare, gate, verdict
from runoff.comparison.replicates import seed_differences
from runoff.comparison.statistics import Outcome
from runoff.errors import RunError
from runoff.report import report
from runoff.runs import Run

LOSSES = random_losses(1)


def noise(seed: int, size: float) -> Losses:
    return np.random.Generator(np.random.PCG64([seed, 5])).normal(0, size, len(LOSSES))


def settings_of(root: Path, name: str, layers: int, shifts: list[float]) -> list[Run]:
    """Runs of one setting whose losses are shifted as their seeds would."""
    return [
        make_run(
            root,
            f"{name}{seed}",
            Told(settings={"num_layers": layers, "seed": seed}),
            losses=LOSSES + shift + noise(seed + layers, 0.02),
        )
        for seed, shift in enumerate(shifts)
    ]


def test_seeds_that_agree_bear_a_winner_out(tmp_path: Path) -> None:
    runs = settings_of(tmp_path, "a", 4, [0.0, 0.004]) + settings_of(tmp_path, "b", 8, [0.1, 0.105])
    comparison = compare(runs, replicates=True)
    found = verdict(comparison)
    assert (found.decision, found.ship) == (Decision.BETTER, "a0's settings")
    assert found.headline.text.startswith("Ship a0's settings: its held-out loss is")
    assert any(
        text.text.startswith("Over seeds, a0's settings and b0's settings differ by -0.")
        and text.text.endswith("agree.")
        for text in found.because
    )
    assert not any("trained once" in text.text for text in found.would_change)
    shown = report(comparison, found)
    results = next(section for section in shown.sections if section.key == "results")
    told = [block.text for block in results.blocks if hasattr(block, "text")]
    assert "a0's settings: the mean over a0 (seed 0) and a1 (seed 1)." in told


def test_seeds_that_scatter_as_much_as_the_settings_name_no_winner(tmp_path: Path) -> None:
    runs = settings_of(tmp_path, "a", 4, [0.0, 0.2]) + settings_of(tmp_path, "b", 8, [0.15, 0.3])
    alone = verdict(compare([runs[0], runs[2]]))
    assert alone.decision is Decision.BETTER
    found = verdict(compare(runs, replicates=True))
    assert found.decision is Decision.NOT_DETECTABLE
    assert any("the seeds do not show a difference by themselves" in text.text for text in found.because)


def test_a_setting_of_one_run_borrows_the_spread_of_the_others(tmp_path: Path) -> None:
    runs = settings_of(tmp_path, "a", 4, [0.0, 0.004, 0.002]) + settings_of(tmp_path, "b", 8, [0.1])
    comparison = compare(runs, replicates=True)
    assert comparison.evidence.loss is not None
    seeds = comparison.evidence.loss.seeds["a0's settings", "b0's settings"]
    assert (seeds.runs, seeds.freedom) == ((3, 1), 2)
    assert verdict(comparison).ship == "a0's settings"


def test_seed_intervals_are_student_t_of_the_pooled_spread() -> None:
    found = seed_differences({"a": [1.0, 1.2], "b": [2.0, 2.2]}, 3.0)["a", "b"]
    # sd 0.1414 on 2 degrees of freedom; t(.975) = 4.3027.
    assert found.sd == pytest.approx(0.02**0.5)
    assert found.interval(0.95) == pytest.approx((-1 - 4.30265 * 0.02**0.5, -1 + 4.30265 * 0.02**0.5), rel=1e-4)
    assert seed_differences({"a": [1.0], "b": [2.0]}, 3.0) == {}


def test_pairs_of_seeds_of_one_thing_have_a_winner_in_at_most_five_per_cent() -> None:
    named = 0
    for number in range(2000):
        random = np.random.Generator(np.random.PCG64([number, 6]))
        low, high = seed_differences({"a": list(random.normal(0, 1, 3)), "b": list(random.normal(0, 1, 3))}, None)[
            "a", "b"
        ].interval(0.95)
        named += low > 0 or high < 0
    assert named <= 130  # 5 % of 2,000 is 100; 130 is three standard deviations above


def test_measures_are_averaged_over_seeds_too(tmp_path: Path) -> None:
    runs, told_by_row = [], []
    for name, layers, value in (("a", 4, 0.8), ("b", 8, 0.4)):
        for seed in (0, 1):
            own = value + 0.01 * seed + noise(seed + layers, 0.02)
            told = Told(settings={"num_layers": layers, "seed": seed})
            told_by_row.append(own)
            style = [made_measure("style", value, per_example=own)]
            runs.append(make_run(tmp_path, f"{name}{seed}", told, losses=LOSSES, measures=style))
    comparison = compare(runs, replicates=True)
    found = comparison.evidence.measures["style"]
    assert found.values["a0's settings"].value == pytest.approx(float(np.mean(told_by_row[:2])), rel=1e-12)
    assert found.between("a0's settings", "b0's settings") is Outcome.BETTER
    because = [text.text for text in verdict(comparison, Aim.STYLE).because]
    (said,) = [text for text in because if text.startswith("Over seeds")]
    assert said.startswith("Over seeds, a0's settings and b0's settings differ by +0.4000 share (95 % t interval +0.")
    assert said.endswith("the seeds agree.")


def test_without_replicates_the_flag_is_refused(tmp_path: Path) -> None:
    runs = [
        make_run(tmp_path, name, Told(settings={"num_layers": n}), losses=LOSSES) for name, n in (("a", 4), ("b", 8))
    ]
    with pytest.raises(RunError, match="no two of these runs differ in nothing but their seed"):
        compare(runs, replicates=True)
    with pytest.raises(RunError, match="no two of these runs"):
        compare([runs[0], runs[0]], replicates=True)
    with pytest.raises(RunError, match="all these runs have one setting"):
        compare(settings_of(tmp_path, "c", 4, [0.0, 0.1]), replicates=True)


def test_challengers_are_held_against_the_baseline_with_adjusted_p(tmp_path: Path) -> None:
    shifts = {"a": 0.0, "b": -0.1, "c": 0.0, "d": 0.1}
    runs = [
        make_run(tmp_path, name, losses=LOSSES + shift + noise(number, 0.02))
        for number, (name, shift) in enumerate(shifts.items())
    ]
    comparison = compare(runs, baseline="a", margin=0.03)
    found = {one.label: one for one in comparison.evidence.challenges}
    assert [found[name].outcome for name in "bcd"] == [Outcome.BETTER, Outcome.EQUIVALENT, Outcome.WORSE]
    assert all(one.p_adjusted >= (one.pair.p_value or 0) for one in found.values())
    sentence = next(text.text for text in verdict(comparison).because if text.text.startswith("Against the baseline"))
    assert sentence == (
        "Against the baseline a, by held-out loss: b is better, c is equivalent and d is worse, p adjusted for 3 "
        "challengers."
    )
    assert not any("baseline" in text.text for text in verdict(compare(runs)).because)
    assert "c passes" in " ".join(one.text for one in gate(comparison).sentences)


def test_a_baseline_that_is_not_compared_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"--baseline x: is not one of the compared runs \(a, b\)"):
        compare([make_run(tmp_path, "a"), make_run(tmp_path, "b")], baseline="x")
