"""The time that is left counts the validations that are still to come."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.runs import make_config

from runoff.plan import Plan
from runoff.runs import MetricRow, RunFolder
from runoff.training import Tick, prepare
from runoff.training.recorder import Recorder
from runoff.training.state import Progress


@pytest.fixture
def plan(tiny_model: Path, tiny_data: Path) -> Plan:
    return prepare(make_config(tiny_model, tiny_data, iters=100, steps_per_eval=30)).plan


def seconds_left(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, done: int, elapsed: float, validation: float
) -> float | None:
    ticks: list[Tick | MetricRow] = []
    clock = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    made = Recorder(plan, RunFolder(tmp_path), ticks.append)
    made.start(Progress())
    made.validated(validation)
    clock[0] += elapsed
    made.tick(Progress(iteration=done))
    (tick,) = ticks
    assert isinstance(tick, Tick)
    return tick.seconds_left


@pytest.mark.parametrize(
    ("done", "elapsed", "left"),
    [
        (10, 5.0 + 10 * 0.5, 90 * 0.5 + 4 * 5.0),  # one validation made; those after 30, 60, 90 and 100 to come
        (30, 2 * 5.0 + 30 * 0.5, 70 * 0.5 + 3 * 5.0),
        (95, 4 * 5.0 + 95 * 0.5, 5 * 0.5 + 5.0),
        (100, 5 * 5.0 + 100 * 0.5, 0.0),
    ],
)
def test_iterations_and_validations_each_at_their_own_pace(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, done: int, elapsed: float, left: float
) -> None:
    found = seconds_left(plan, monkeypatch, tmp_path, done=done, elapsed=elapsed, validation=5.0)
    assert found == pytest.approx(left)


def test_nothing_is_known_before_the_first_iteration(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert seconds_left(plan, monkeypatch, tmp_path, done=0, elapsed=3.0, validation=3.0) is None
