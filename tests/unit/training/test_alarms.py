"""Each alarm is there when it is true and absent when it is not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from tests.support.runs import Killed, assert_same, fake_train, killer, make_config, of_kind

from runoff.engines.scoring import ScoredRow
from runoff.runs import load_run
from runoff.training.alarms import MOST_REPORTS, Alarm, Lookout, Validation, look, trend

RANDOM = np.random.default_rng(11)
HARD = RANDOM.normal(2.0, 0.6, 60)
"""Nats per target token of 60 rows under the untrained model: they differ far more than any change of an adapter."""


def validation(iteration: int, shift: float, noise: float = 0.05) -> Validation:
    """The same rows, all shifted, each with some change of its own; 20 sources of 3 rows."""
    random = np.random.default_rng(iteration)
    losses = HARD + shift + random.normal(0, noise, 60)
    rows = (
        ScoredRow(at + 1, f"source {at // 3}", f"{at:064x}", float(loss) * 40, 40, 0.1)
        for at, loss in enumerate(losses)
    )
    return Validation(iteration, tuple(rows))


def seen(shifts: Sequence[float], training: Sequence[float] = (), updates: int = 10) -> Lookout:
    """A lookout after validations every 100 iterations, the first before training."""
    lookout = Lookout(1e-4)
    for loss in training:
        lookout.report(loss, updates)
    for number, shift in enumerate(shifts):
        lookout.validate(validation(number * 100, shift), updates)
    return lookout


def codes(lookout: Lookout) -> list[str]:
    return [alarm.code for alarm in look(lookout)]


def only(lookout: Lookout) -> Alarm:
    (alarm,) = look(lookout)
    return alarm


FALLING = np.linspace(2.2, 1.2, 20).tolist()
SCATTERED = (1.5 + np.random.default_rng(5).normal(0, 0.15, 40)).tolist()


def test_overfitting_needs_two_rises_beyond_the_noise_of_the_same_rows() -> None:
    assert codes(seen([0, -0.5, -0.4, -0.3], FALLING)) == ["A601"]
    assert codes(seen([0, -0.5, -0.4], FALLING)) == []
    assert codes(seen([0, -0.5, -0.4, -0.5], FALLING)) == []
    assert codes(seen([0, -0.5, -0.499, -0.498], FALLING)) == []
    assert codes(seen([0, -0.3, -0.4, -0.5], FALLING)) == []


def test_overfitting_says_how_much_and_what_to_do() -> None:
    alarm = only(seen([0, -0.5, -0.4, -0.3], FALLING))
    assert alarm.text.startswith("Overfitting: the validation loss is 0.1892 (0.1595 to 0.2189) above")
    assert "above that after iteration 100, beyond the noise of its 60 rows" in alarm.text
    assert "early_stopping: true" in alarm.advice


def test_divergence_is_a_training_loss_that_rose_for_good() -> None:
    rising = [*FALLING, 1.9, 2.0, 2.1]
    alarm = only(seen([], rising))
    assert alarm.code == "A602"
    assert alarm.text == "Divergence: the last three reported training losses are 1.900 or more; the loss was 1.253."
    assert "lower learning_rate (it is 0.0001)" in alarm.advice
    assert codes(seen([], [*FALLING, 1.9, 1.3, 2.1])) == []
    assert codes(seen([], FALLING)) == []
    assert codes(seen([], [*FALLING, 1.25, 1.26, 1.27])) == []


def test_a_training_loss_that_rises_makes_the_rise_of_the_validation_divergence_not_overfitting() -> None:
    assert codes(seen([0, -0.5, -0.4, -0.3], [*FALLING, 1.9, 2.0, 2.1])) == ["A602"]


def test_divergence_is_a_validation_worse_than_without_training() -> None:
    assert codes(seen([0, 0.2], SCATTERED)) == ["A602"]
    assert "above that of the untrained model" in only(seen([0, 0.2], SCATTERED)).text
    assert codes(seen([0, 0.001], SCATTERED)) == []
    for falling in (FALLING, FALLING[:5]):
        told = codes(seen([0, 0.2], falling))
        assert told == [], "the training loss fell: that is overfitting, and no second rise yet"
    assert codes(seen([0, 0.2], FALLING[4::-1])) == ["A602"]


def test_no_learning_waits_for_fifty_updates() -> None:
    alarm = only(seen([0, 0.001], SCATTERED, updates=50))
    assert alarm.code == "A603"
    assert alarm.text.startswith("No learning: after 50 optimizer updates the validation loss is ")
    assert "which its 60 rows can't tell from" in alarm.text
    assert "Raise learning_rate (it is 0.0001)" in alarm.advice
    assert codes(seen([0, 0.001], SCATTERED, updates=49)) == []
    assert codes(seen([0, -0.3], SCATTERED, updates=50)) == []
    assert codes(seen([0, 0.001], FALLING, updates=50)) == []


def test_a_change_that_means_nothing_is_no_learning_and_no_harm_however_surely_it_is_seen() -> None:
    """With a rate that is far too low all rows move alike, by a millionth."""
    for shift in (-1e-6, 1e-6):
        lookout = Lookout(1e-9)
        for at in range(4):
            rows = tuple(
                ScoredRow(row + 1, f"source {row}", f"{row:064x}", float(loss + at * shift) * 40, 40, 0.1)
                for row, loss in enumerate(HARD)
            )
            lookout.validate(Validation(at * 100, rows), 80)
        alarm = only(lookout)
        assert alarm.code == "A603"
        assert "within 0.001 of the " in alarm.text
        assert trend(lookout) == "the same as the one before, to four digits"
    assert codes(seen([0, -0.05], SCATTERED, updates=80)) == []


def test_without_validation_the_training_loss_tells() -> None:
    assert codes(seen([], SCATTERED, updates=80)) == ["A603"]
    assert codes(seen([], FALLING, updates=80)) == []
    assert codes(seen([], SCATTERED[:5], updates=80)) == []


def zigzag(level: float, count: int, width: float = 0.1) -> list[float]:
    """Reports that go up and down by `width`, whose scatter is 1.4826 * width / sqrt(2)."""
    return [level + width * (at % 2) for at in range(count)]


@pytest.mark.parametrize(("fall", "expected"), [(0.31, ["A603"]), (0.32, [])])
def test_a_fall_is_three_times_the_scatter(fall: float, expected: list[str]) -> None:
    """3 * 1.4826 * 0.1 / sqrt(2) = 0.3145."""
    assert codes(seen([], [*zigzag(2 + fall, 4), *zigzag(2, 5)], updates=80)) == expected


@pytest.mark.parametrize(("before", "level", "expected"), [
    ([2.0] * 8, 2.19, []),
    ([2.0] * 8, 2.21, ["A602"]),
    (zigzag(2, 9), 2.62, []),
    (zigzag(2, 9), 2.64, ["A602"]),
    ([2.0] * 5, 2.21, ["A602"]),
    ([2.0] * 4, 2.21, []),
    ([*[2.0] * 5, 1.0, 1.0], 1.2, ["A602"]),
])  # fmt: skip
def test_a_rise_is_a_tenth_and_six_times_the_scatter_above_the_lowest(
    before: list[float], level: float, expected: list[str]
) -> None:
    """6 * 1.4826 * 0.1 / sqrt(2) = 0.629; of fewer than 8 reports nothing is said."""
    assert codes(seen([], [*before, *[level] * 3])) == expected


@pytest.mark.parametrize(("count", "expected"), [(7, []), (8, ["A603"])])
def test_eight_reports_can_show_that_nothing_is_learnt(count: int, expected: list[str]) -> None:
    assert codes(seen([], zigzag(2, count), updates=80)) == expected


def test_eight_reports_can_show_a_fall() -> None:
    assert codes(seen([], np.linspace(2, 1, 8).tolist(), updates=80)) == []


def test_without_a_validation_before_training_the_training_loss_tells() -> None:
    lookout = seen([], SCATTERED, updates=80)
    lookout.validate(validation(100, -0.5), 80)
    assert f"the training loss is {SCATTERED[-1]:.3f}, no lower than its reports scatter" in only(lookout).text


def moved(shift: float) -> Lookout:
    """Two validations between which every row moved alike; no row has a source."""
    lookout = Lookout(1e-4)
    for at in range(2):
        rows = (
            ScoredRow(row, None, f"{row:064x}", float(loss + at * shift) * 40, 40, 0.1) for row, loss in enumerate(HARD)
        )
        lookout.validate(Validation(at * 100, tuple(rows)), 80)
    return lookout


@pytest.mark.parametrize(("shift", "expected"), [(-0.0009, ["A603"]), (-0.0011, [])])
def test_a_thousandth_of_a_nat_is_the_least_that_counts_as_learning(shift: float, expected: list[str]) -> None:
    assert codes(moved(shift)) == expected


@pytest.mark.parametrize(
    ("shift", "expected"),
    [
        (0.00004, "the same as the one before, to four digits"),
        (0.00006, "0.0001 higher than the one before (0.0001 to 0.0001)"),
        (-0.0002, "0.0002 lower than the one before (0.0002 to 0.0002)"),
    ],
)
def test_a_trend_is_told_in_four_digits(shift: float, expected: str) -> None:
    assert trend(moved(shift)) == expected


def test_a_training_loss_that_only_rises_is_divergence_and_not_no_learning() -> None:
    assert codes(seen([], [*SCATTERED[:8], 3.0, 3.1, 3.2], updates=80)) == ["A602"]


def test_losses_that_only_scatter_or_fall_raise_no_alarm_but_no_learning() -> None:
    """The rules are looked at again and again in a long run, so that they must hardly ever be wrong."""
    alarms = []
    for seed in range(30):
        random = np.random.default_rng(seed)
        lookout = Lookout(1e-4)
        for at in range(60):
            lookout.report(float(1.2 + np.exp(-at / 15) + random.normal(0, 0.12)), at)
            if at % 5 == 0:
                lookout.validate(validation(at * 10 + seed * 1000 + (at > 0), -0.5 * (1 - np.exp(-at / 15))), at)
            alarms += [alarm.code for alarm in look(lookout)]
    assert alarms == []


def test_a_long_run_costs_no_more_to_look_at() -> None:
    lookout = Lookout(1e-4)
    for at in range(2 * MOST_REPORTS):
        lookout.report(float(at), at)
    assert lookout.training == [0.0, 1.0, 2.0, *map(float, range(MOST_REPORTS + 3, 2 * MOST_REPORTS))]


def test_the_trend_is_that_of_the_same_rows() -> None:
    assert trend(seen([0])) is None
    lower, higher = trend(seen([0, -0.1])), trend(seen([0, -0.1, 0.1]))
    assert lower is not None
    assert higher is not None
    assert " lower than the one before (0.0" in lower
    assert " higher than the one before (0." in higher
    assert (trend(seen([0, 0.0005])) or "").startswith("not to be told from the one before (-0.0")


def test_rows_of_one_source_have_no_noise_to_judge_by() -> None:
    rows = tuple(ScoredRow(at, "one", f"{at:064x}", 40.0 + at, 20, 0.1) for at in range(9))
    lookout = Lookout(1e-4)
    for iteration in (0, 100, 200, 300):
        lookout.validate(Validation(iteration, rows), 60)
    assert list(look(lookout)) == []
    assert trend(lookout) is None


@pytest.fixture
def wild() -> dict[str, object]:
    """A learning rate far too high, though not so high that the loss is no number."""
    return {"iters": 40, "learning_rate": 0.03, "lora_parameters": {"rank": 8, "scale": 8.0}}


def test_a_run_records_an_alarm_once_and_resumed_it_does_too(
    tiny_model: Path, tiny_data: Path, tmp_path: Path, wild: dict[str, object]
) -> None:
    config = make_config(tiny_model, tiny_data, **wild)
    heard: list[object] = []
    whole = fake_train(config, "whole", tmp_path, listen=heard.append)
    (alarm,) = of_kind(whole, "alarm")
    assert (alarm.text or "").startswith("A602 Divergence: the validation loss is ")
    alarms = [at for at, event in enumerate(heard) if getattr(event, "kind", "") == "alarm"]
    for at in (alarms[0], alarms[0] + 20):
        with pytest.raises(Killed):
            fake_train(config, f"run-{at}", tmp_path, listen=killer(at))
        assert_same(fake_train(config, f"run-{at}", tmp_path, resume=True), whole)


def test_a_validation_row_carries_its_interval_and_trend(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    run = fake_train(make_config(tiny_model, tiny_data), "run", tmp_path)
    first, *later = of_kind(load_run(run.folder.path), "validation")
    for row in (first, *later):
        assert row.low is not None
        assert row.high is not None
        assert row.low < (row.nats_per_target_token or 0.0) < row.high
    assert first.text is None
    assert all("the one before (" in (row.text or "") for row in later)
