# ruff: noqa: E501  (sentences stand whole)
"""What the curves and kept rows are said to show: each sentence when it is true, and not when it is not."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from tests.golden.comparison.said import lines, table
from tests.support.run_folders import Losses, Told, make_run, scored

from runoff.comparison import compare, verdict
from runoff.comparison.stability import shape
from runoff.config import Origin
from runoff.report import report
from runoff.runs import MetricRow, Run, Value

FALLING = [3.0 - 0.05 * at + 0.01 * math.sin(7 * at) for at in range(24)]


def told(root: Path, losses: list[float], told_before: Sequence[MetricRow] = ()) -> list[str]:
    """The lines of a report on a run with these training losses, against a plain one."""
    return said(make_run(root, "a", Told(metrics=[*told_before, *training(losses)])), make_run(root, "b"))


def training(losses: list[float]) -> list[MetricRow]:
    return [
        MetricRow("train", 4 * at, at, 0.1 * at, loss, target_tokens=100 * at)
        for at, loss in enumerate(losses, start=1)
    ]


def said(*runs: Run) -> list[str]:
    comparison = compare(runs)
    return list(lines(report(comparison, verdict(comparison))))


def with_sentence(found: list[str], words: str) -> list[str]:
    return [line for line in found if words in line]


SPIKED = [loss + (2.0 if at in (9, 17) else 0.0) for at, loss in enumerate(FALLING)]
RISING = [2.0 + 0.06 * at for at in range(24)]
STILL = [max(loss, 2.5) + 0.02 * math.cos(9 * at) for at, loss in enumerate(FALLING)]


@pytest.mark.parametrize(
    ("losses", "words"),
    [
        (SPIKED, "a: the training loss spikes 2 times, by more than 6 times its usual noise"),
        ([loss if at != 9 else 9.0 for at, loss in enumerate(FALLING)], "a: the training loss spikes once"),
        (
            RISING,
            "a diverged: its training loss ends at 3.2300 (median of the last quarter of the reports), above the 2.15",
        ),
        (STILL, "a: the training loss stood still over the second half of the reports, from 2.4978 to 2.5042"),
    ],
)
def test_a_shape_is_said_where_it_is_there(tmp_path: Path, losses: list[float], words: str) -> None:
    assert with_sentence(told(tmp_path, losses), words)


def test_a_plain_fall_has_no_shape_to_speak_of(tmp_path: Path) -> None:
    found = told(tmp_path, FALLING)
    for words in ("spikes", "diverged", "stood still", "not a number", "no recorded metrics"):
        assert not with_sentence(found, words)


def test_too_few_or_broken_values_have_no_shape() -> None:
    assert shape(FALLING[:11]) is None
    assert shape([*FALLING, math.nan]) is None


def test_pure_noise_seldom_spikes_and_never_diverges() -> None:
    random = np.random.Generator(np.random.PCG64(3))
    found = [shape(list(2 + random.normal(0, 0.1, 60))) for _ in range(300)]
    assert sum(bool(one.spikes) for one in found if one) <= 6
    assert not any(one.rises for one in found if one)


def kept(root: Path, shifts: dict[int, float], *, sources: int = 24, noise: float = 0.05) -> list[str]:
    """A run whose validations kept rows with these shifts."""
    random = np.random.Generator(np.random.PCG64(8))
    base: Losses = random.normal(2.0, 0.3, sources * 3)
    rows = {at: scored(base + shift + random.normal(0, noise, len(base)), 3) for at, shift in shifts.items()}
    metrics = [
        MetricRow("validation", at, at, 0.1, sum(row.nats for row in scores) / (100 * len(scores)), target_tokens=at)
        for at, scores in rows.items()
    ]
    metrics.insert(0, MetricRow("validation", 0, 0, 0.0, 3.0, target_tokens=0))
    return said(make_run(root, "a", Told(metrics=metrics, validation_rows=rows)), make_run(root, "b"))


def test_a_best_checkpoint_in_the_middle_is_found_and_confirmed(tmp_path: Path) -> None:
    found = kept(tmp_path, {10: 0.4, 20: 0.0, 30: 0.3})
    assert (
        "a: by the validation rows, that after iteration 20 is better than each of the other 2 (p <= 0.05, adjusted)."
        in found
    )
    (line,) = with_sentence(
        found, "half of the sources choose the checkpoint after iteration 20; on the other half its loss"
    )
    assert line.endswith(": confirmed.")
    assert with_sentence(found, "a ends worse than its best: the validation loss rose from")


def test_checkpoints_that_are_alike_are_named_and_not_confirmed(tmp_path: Path) -> None:
    found = kept(tmp_path, {10: 0.6, 20: 0.0, 30: 0.001, 40: 0.4, 50: 0.002})
    assert (
        "a: by the validation rows, 3 of 5 can't be told from the best one: those after iterations 20 to 30 and 50."
        in found
    )
    assert not with_sentence(found, "ends worse than its best")
    assert not with_sentence(found, ": confirmed.")


def test_checkpoints_that_nothing_tells_apart(tmp_path: Path) -> None:
    found = kept(tmp_path, {10: 0.0, 20: 0.001, 30: 0.002}, noise=0.3)
    assert with_sentence(found, "none of its 3 validated checkpoints can be told from the best one.")


def test_the_last_checkpoint_may_be_the_one_that_is_chosen(tmp_path: Path) -> None:
    assert "a: half of the sources choose the last checkpoint as well." in kept(tmp_path, {10: 0.6, 20: 0.3, 30: 0.0})


def test_few_sources_can_not_be_halved(tmp_path: Path) -> None:
    found = kept(tmp_path, {10: 0.3, 20: 0.0}, sources=8)
    assert with_sentence(found, "a: its 8 validation sources are too few to choose a checkpoint on one half")
    assert not with_sentence(found, "half of the sources choose")


def test_fewer_sources_can_not_tell_any_checkpoints_apart(tmp_path: Path) -> None:
    found = kept(tmp_path, {10: 0.3, 20: 0.0}, sources=4)
    assert "a: 4 validation sources can't tell its checkpoints apart; it takes 6 or more." in found
    assert not with_sentence(found, "by the validation rows")


def test_a_rise_over_few_sources_has_an_interval_and_no_test(tmp_path: Path) -> None:
    (line,) = with_sentence(kept(tmp_path / "few", {10: 0.0, 20: 0.3}, sources=4), "went from")
    assert re.search(r"\(95 % interval \+0\.\d+ to \+0\.\d+\); of 4 sources, too few for a test\.$", line)
    many = kept(tmp_path / "many", {10: 0.0, 20: 0.001}, noise=0.3)
    assert not with_sentence(many, "too few for a test")
    assert with_sentence(many, "which these rows can't tell from no change (p ")


def test_a_gap_above_a_training_loss_of_nearly_nothing_has_no_share(tmp_path: Path) -> None:
    def gap(root: Path, last: float) -> list[str]:
        metrics = [MetricRow("validation", 4, 4, 0.1, 2.5, target_tokens=1)]
        return told(root, [last], told_before=metrics)

    assert with_sentence(gap(tmp_path / "one", 0.01), "2.490 above the last training loss.")
    assert with_sentence(gap(tmp_path / "two", 2.0), "0.500 above the last training loss (25.0 % of it).")


def test_rows_that_were_not_kept_say_nothing_of_checkpoints(tmp_path: Path) -> None:
    assert not with_sentence(said(make_run(tmp_path, "a"), make_run(tmp_path, "b")), "by the validation rows")


def test_validations_that_are_missing_are_counted(tmp_path: Path) -> None:
    metrics = (
        MetricRow("validation", 100, 25, 2.0, 2.5, target_tokens=1),
        MetricRow("train", 100, 25, 2.0, 2.4, target_tokens=1),
    )
    a = make_run(tmp_path, "a", Told(metrics=metrics, counts={"validations": 5}))
    found = said(a, make_run(tmp_path, "b"))
    assert "a: 1 of its 5 validations is recorded; one that is not may have been better." in found
    assert not with_sentence(found, "b: 3 of its 3")


def test_single_values_make_no_curve(tmp_path: Path) -> None:
    told = Told(metrics=(MetricRow("train", 100, 25, 2.0, 2.4, target_tokens=1),))
    found = said(make_run(tmp_path, "a", told), make_run(tmp_path, "b", told))
    assert "No run recorded more than one loss of a kind, so there is no curve." in found


def test_the_cost_of_validations_is_read_from_the_times_between_rows(tmp_path: Path) -> None:
    metrics = (
        MetricRow("validation", 0, 0, 0.0, 3.0, target_tokens=0, seconds=10.0),
        MetricRow("train", 50, 12, 1.0, 2.6, target_tokens=9000, seconds=50.0, tokens_per_second=225.0),
        MetricRow("validation", 50, 12, 1.0, 2.7, target_tokens=9000, seconds=60.0),
        MetricRow("train", 100, 25, 2.0, 2.5, target_tokens=18000, seconds=100.0, tokens_per_second=225.0),
        MetricRow("validation", 100, 25, 2.0, 2.6, target_tokens=18000, seconds=110.0),
    )
    result = {"seconds": 120.0, "loss_definition": "token-weighted"}
    run = make_run(tmp_path, "a", Told(metrics=metrics, identity={"result": result}))
    comparison = compare([run, make_run(tmp_path, "b")])
    shown = {row[0]: row[1] for row in table(report(comparison, verdict(comparison)), "Losses in nats")}
    assert shown["time of one validation"] == "10 s"
    assert shown["validations' share of the time"] == "25 %"
    assert shown["those tokens per iteration"] == "180"
    assert "iterations per second" not in shown


SCHEDULE = {"lr_schedule.name": "cosine_decay", "lr_schedule.arguments": [1e-4, 100.0], "lr_schedule.warmup": 0}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            SCHEDULE,
            "a's learning rate never ends its decay: that takes 100 updates, and the run makes 25 optimizer updates; its "
            "last update has the rate 8.6e-05.",
        ),
        (
            SCHEDULE | {"lr_schedule.warmup": 40},
            "a is all warm-up: that takes 40 updates, and the run makes 25 optimizer updates; its last update has the rate "
            "8.6e-05.",
        ),
        (SCHEDULE | {"lr_schedule.arguments": [1e-4, 25.0]}, None),
        ({}, None),
    ],
)
def test_a_schedule_that_never_ends(tmp_path: Path, settings: dict[str, object], sentence: str | None) -> None:
    told = Told(settings=settings, counts={"last_learning_rate": 8.6e-5})
    found = said(make_run(tmp_path, "a", told), make_run(tmp_path, "b"))
    assert with_sentence(found, "that takes") == ([sentence] if sentence else [])


def test_what_a_file_declares_and_what_held_are_both_shown(tmp_path: Path) -> None:
    from runoff.plan import Finding

    ignored = Value(20.0, Origin("imported", "run.yaml:10"), declared=1.0)
    finding = Finding(
        "I101", "warning", "run.yaml:9", "mlx-lm does not read lora_alpha: 8 here.", "In force: scale 20."
    )
    a = make_run(tmp_path, "a", Told(settings={"lora_parameters.scale": ignored}, findings=(finding,)))
    comparison = compare([a, make_run(tmp_path, "b")])
    shown = report(comparison, verdict(comparison))
    wanted = ("a", "run.yaml:9", "mlx-lm does not read lora_alpha: 8 here.", "In force: scale 20.")
    assert table(shown, "Declared, and what held") == [wanted]
    assert table(shown, "Settings that differ") == []
    assert not with_sentence(said(make_run(tmp_path, "c"), make_run(tmp_path, "d")), "does not read")
