"""From rows to charts: axes, gaps, restarts, many runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from tests.support.run_folders import Told, make_run

from runoff.comparison.facts import label_runs
from runoff.report.curves import MOST_POINTS, MOST_RUNS, TOGETHER, curve_charts
from runoff.report.model import Chart
from runoff.runs import MetricRow


def charts(root: Path, *told: Sequence[MetricRow], imported: bool = False) -> dict[str, Chart]:
    identity = {"imported": {"tool": "mlx-lm"}} if imported else {}
    runs = [make_run(root, f"r{at}", Told(metrics=rows, identity=identity)) for at, rows in enumerate(told)]
    return {chart.name: chart for chart in curve_charts(label_runs(runs))}


def train(iteration: int, loss: float, *, segment: int = 0, **more: float) -> MetricRow:
    return MetricRow(
        "train",
        iteration,
        iteration // 4,
        iteration / 50,
        loss,
        iteration * 90,
        seconds=iteration * 0.5,
        segment=segment,
        **more,  # type: ignore[arg-type]
    )


def test_a_chart_for_each_quantity_over_every_axis(tmp_path: Path) -> None:
    rows = [
        train(at, 3.0, learning_rate=1e-5 * at, tokens_per_second=200.0, peak_memory_bytes=10**9 + at)
        for at in (10, 20)
    ]
    found = charts(tmp_path, rows)
    assert list(found) == ["loss", "learning-rate", "speed", "memory"]
    axes = [axis.key for axis in found["loss"].axes]
    assert axes == ["target_tokens", "optimizer_updates", "iteration", "epoch", "seconds"]
    assert found["loss"].series[0].x == ((900, 1800), (2, 5), (10, 20), (0.2, 0.4), (5.0, 10.0))
    assert found["memory"].series[0].y == (1.00000001, 1.00000002)


def test_a_learning_rate_that_never_changes_is_not_drawn(tmp_path: Path) -> None:
    rows = [train(at, 3.0, learning_rate=1e-4) for at in (10, 20)]
    assert list(charts(tmp_path, rows)) == ["loss"]


def test_the_axis_in_front_is_the_one_with_the_most_points(tmp_path: Path) -> None:
    rows = [MetricRow("train", at, nats_per_target_token=3.0) for at in (10, 20)]
    assert [axis.key for axis in charts(tmp_path, rows)["loss"].axes] == ["iteration"]


def test_a_run_without_the_axis_is_named(tmp_path: Path) -> None:
    full = [MetricRow("train", at, at, None, 3.0, at) for at in (10, 20)]
    other = [MetricRow("train", epoch=0.5, nats_per_target_token=1.0)]
    note = charts(tmp_path, full, other)["loss"].note
    assert note == "Not drawn here, as target tokens trained on were not recorded: r1."
    assert charts(tmp_path / "other", full, full)["loss"].note == ""


def test_an_imported_duration_is_no_clock(tmp_path: Path) -> None:
    found = charts(tmp_path, [train(at, 3.0) for at in (10, 20)], imported=True)
    assert "seconds" not in [axis.key for axis in found["loss"].axes]


def test_what_is_no_number_is_a_gap_and_said(tmp_path: Path) -> None:
    found = charts(tmp_path, [train(10, 3.0), train(20, math.nan), train(30, math.inf), train(40, 2.0)])["loss"]
    assert found.series[0].y == (3.0, None, None, 2.0)
    assert "r0, training: 2 values are no numbers (nan or inf) and left as a gap, the first after iteration 20." in (
        found.note
    )
    assert "gap" not in charts(tmp_path / "whole", [train(10, 3.0), train(20, 2.0)])["loss"].note


def test_a_restarted_run_is_drawn_in_parts(tmp_path: Path) -> None:
    rows = [train(10, 3.0), train(20, 2.8), train(10, 2.9, segment=1), train(20, 2.5, segment=1)]
    found = charts(tmp_path, rows)["loss"]
    assert found.series[0].y == (3.0, 2.8, None, 2.9, 2.5)
    assert "restarted once; its parts are not joined" in found.note
    assert "restarted" not in charts(tmp_path / "once", rows[:2])["loss"].note


def test_noise_is_smoothed_with_the_formula_said_and_the_points_kept(tmp_path: Path) -> None:
    found = charts(tmp_path, [train(at, 3.0 + at % 2) for at in range(1, 101)])["loss"]
    assert len(found.series[0].smooth) == len(found.series[0].y) == 100
    assert "L = 270 target tokens trained on" in found.note
    few = charts(tmp_path / "few", [train(at, 3.0) for at in range(1, 10)])["loss"]
    assert few.series[0].smooth == ()
    assert "smoothed" not in few.note


def test_a_spike_survives_thinning(tmp_path: Path) -> None:
    rows = [train(at, 1000.0 if at == 5678 else 3.0) for at in range(1, 12_001)]
    found = charts(tmp_path, rows)["loss"].series[0]
    assert len(found.y) <= MOST_POINTS
    assert max(value for value in found.y if value is not None) == 1000.0
    assert found.x[2][found.y.index(1000.0)] == 5678


def test_many_runs_have_a_chart_for_each_loss_and_no_more_than_fit(tmp_path: Path) -> None:
    rows = [train(10, 3.0), train(20, 2.9), *(MetricRow("validation", at, 2, 0.2, 2.9, 90 * at) for at in (10, 20))]
    assert "loss" in charts(tmp_path / "few", *[rows] * TOGETHER)
    found = charts(tmp_path / "many", *[rows] * (MOST_RUNS + 2))
    assert {"loss-validation", "loss-training"} <= set(found)
    assert len(found["loss-training"].series) == MOST_RUNS
    assert f"Showing the curves of {MOST_RUNS} of {MOST_RUNS + 2} runs." in found["loss-training"].note


def test_no_metrics_and_single_values_make_no_chart(tmp_path: Path) -> None:
    assert charts(tmp_path, []) == {}
    assert charts(tmp_path / "one", [train(10, 3.0), MetricRow("validation", 10, 2, 0.2, 2.9, 900)]) == {}
