"""What is read off the curves."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from tests.support.run_folders import Told, make_run, random_losses, scored

from runoff.comparison.curves import curve_facts
from runoff.comparison.facts import label_runs
from runoff.runs import MetricRow


def test_best_and_last_validation_are_told_apart_by_their_rows(tmp_path: Path) -> None:
    early = random_losses(1, sources=8, questions=5)
    told = Told(validation_rows={50: scored(early, 5), 100: scored(early + 0.3, 5)}, metrics=metrics(2.5, 2.8))
    (side,) = label_runs([make_run(tmp_path, "a", told)])
    facts = curve_facts(side)
    assert (facts.best_iteration, facts.last_iteration) == (50, 100)
    assert facts.ends_worse_than_best


def test_a_rise_within_the_noise_is_not_called_one(tmp_path: Path) -> None:
    early, late = random_losses(1, sources=8, questions=5), random_losses(2, sources=8, questions=5)
    told = Told(validation_rows={50: scored(early, 5), 100: scored(late, 5)}, metrics=metrics(2.5, 2.51))
    (side,) = label_runs([make_run(tmp_path, "a", told)])
    assert not curve_facts(side).ends_worse_than_best


def test_without_kept_rows_the_rise_is_unknown(tmp_path: Path) -> None:
    (side,) = label_runs([make_run(tmp_path, "a", Told(metrics=metrics(2.5, 2.8)))])
    facts = curve_facts(side)
    assert facts.rise is None
    assert not facts.ends_worse_than_best


def test_losses_that_are_not_numbers_are_counted(tmp_path: Path) -> None:
    rows = (*metrics(2.5, 2.8), MetricRow("train", 110, 27, 2.2, math.nan, target_tokens=20000))
    (side,) = label_runs([make_run(tmp_path, "a", Told(metrics=rows))])
    assert curve_facts(side).not_finite == 1


def test_of_a_restarted_run_its_last_segment_is_read(tmp_path: Path) -> None:
    rows = (
        MetricRow("train", 10, 1, 0.1, 9.0, target_tokens=10),
        MetricRow("train", 10, 1, 0.1, 3.0, target_tokens=10, segment=1),
    )
    (side,) = label_runs([make_run(tmp_path, "a", Told(metrics=rows))])
    assert curve_facts(side).last_training == 3.0


def test_without_metrics_nothing_is_known(tmp_path: Path) -> None:
    (side,) = label_runs([make_run(tmp_path, "a", Told(metrics=()))])
    assert curve_facts(side).best_validation is None


def test_the_best_is_the_lowest_after_training_began_wherever_it_stands(tmp_path: Path) -> None:
    losses = ((0, 2.1), (25, 2.9), (50, 2.5), (75, 2.7))
    rows = [MetricRow("validation", at, at // 4, None, loss, target_tokens=at) for at, loss in losses]
    rows += [MetricRow("event", 75, 18, text="Update left out."), MetricRow("validation", 80, 20, target_tokens=80)]
    (side,) = label_runs([make_run(tmp_path, "a", Told(metrics=tuple(rows)))])
    facts = curve_facts(side)
    assert (facts.first_validation, facts.best_validation, facts.last_validation) == (2.1, 2.5, 2.7)
    assert (facts.best_iteration, facts.last_iteration, facts.validations, facts.not_finite) == (50, 75, 4, 0)


@pytest.mark.parametrize(
    ("status", "ended"), [("finished", True), ("imported", True), ("running", False), ("failed", False)]
)
def test_whether_a_run_has_ended(tmp_path: Path, status: str, ended: bool) -> None:
    (side,) = label_runs([make_run(tmp_path, "a", Told(identity={"status": status}))])
    assert curve_facts(side).ended is ended


def test_the_gap_is_validation_minus_training_and_unknown_without_one_of_them(tmp_path: Path) -> None:
    (side,) = label_runs([make_run(tmp_path, "a", Told(metrics=metrics(2.5, 2.8)))])
    assert curve_facts(side).gap == pytest.approx(0.6)
    for name, kind in (("b", "validation"), ("c", "train")):
        rows = tuple(row for row in metrics(2.5, 2.8) if row.kind == kind)
        (side,) = label_runs([make_run(tmp_path, name, Told(metrics=rows))])
        assert curve_facts(side).gap is None


@pytest.mark.parametrize(
    ("tool", "first", "best"), [("mlx-lm", 3.1, 2), ("trl", None, 1), (None, None, 1)], ids=["mlx-lm", "trl", "runoff"]
)
def test_only_the_first_validation_of_mlx_lm_is_before_any_update(
    tmp_path: Path, tool: str | None, first: float | None, best: int
) -> None:
    """It validates at iteration 1 before that iteration's update."""
    rows = tuple(
        MetricRow("validation", at, at, None, loss, target_tokens=0) for at, loss in ((1, 3.1), (2, 3.2), (3, 3.3))
    )
    identity = {"imported": {"tool": tool}, "status": "imported"} if tool else {}
    (side,) = label_runs([make_run(tmp_path, "a", Told(identity=identity, metrics=rows))])
    facts = curve_facts(side)
    assert (facts.first_validation, facts.best_iteration) == (first, best)


def metrics(best: float, last: float) -> tuple[MetricRow, ...]:
    return (
        MetricRow("validation", 0, 0, 0.0, 3.1, target_tokens=0),
        MetricRow("validation", 50, 12, 1.0, best, target_tokens=9000),
        MetricRow("train", 100, 25, 2.0, 2.2, target_tokens=18000),
        MetricRow("validation", 100, 25, 2.0, last, target_tokens=18000),
    )
