"""Calibration: a run's time from a few iterations, told with what it was measured on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.support.fake_engine import FakeBase
from tests.unit.plan.findings.case import SETTINGS, Case

from runoff.config import load_config
from runoff.data import Batch
from runoff.engines import Engine
from runoff.engines.scoring import scoring_batches
from runoff.plan import AdapterSpec
from runoff.training import prepare
from runoff.training.calibration import calibrate


@dataclass
class Clocked(FakeBase):
    """Every padded token takes a millisecond forward and backward, half of one when scored."""

    now: float = 0.0
    seen: list[Batch] = field(default_factory=list)
    scored: list[Batch] = field(default_factory=list)

    def attach(self, spec: AdapterSpec | None, *, seed: int = 0, checkpointing: bool = False) -> Engine:  # type: ignore[override]
        engine = super().attach(spec, seed=seed, checkpointing=checkpointing)
        accumulate, score = engine.accumulate, engine.score

        def timed(batch: Batch, weight: float = 1.0) -> float:
            self.now += batch.ids.size / 1000
            self.seen.append(batch)
            return accumulate(batch, weight)

        def scored(batch: Batch) -> object:
            self.now += batch.ids.size / 2000
            self.scored.append(batch)
            return score(batch)

        engine.accumulate, engine.score = timed, scored  # type: ignore[method-assign,assignment]
        return engine


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def make(**changes: str) -> Path:
        Case().facts(tmp_path)
        path = tmp_path / "run.yaml"
        lines = {"model": tmp_path / "model", "data": tmp_path / "data", **SETTINGS, **changes}
        path.write_text("".join(f"{key}: {value}\n" for key, value in lines.items()))
        return path

    return make


def test_the_time_is_the_measured_rate_over_the_whole_run(write: Callable[..., Path]) -> None:
    config, base = load_config(write()), Clocked()
    ready = prepare(config)
    measured = calibrate(config, base=base, prepared=ready, clock=lambda: base.now)
    tokens = sum(len(example.ids) for example in ready.data.train) * ready.plan.counts.epochs
    assert tokens / 1000 <= measured.training_seconds <= 1.2 * tokens / 1000  # the rest is padding
    assert measured.measured_iterations == 4
    assert len(base.seen) == 5
    scored = sum(len(example.ids) for example in ready.data.valid) * ready.plan.counts.validations
    assert scored / 2000 <= measured.validation_seconds <= 1.2 * scored / 2000
    assert "from 4 measured iterations" in str(measured)


def rows(batch: Batch) -> list[int]:
    return [example.row.number for example in batch.examples]


def test_a_validation_is_measured_in_the_batches_that_validations_have(write: Callable[..., Path]) -> None:
    config, base = load_config(write(batch_size="2")), Clocked()
    ready = prepare(config)
    calibrate(config, base=base, prepared=ready, clock=lambda: base.now)
    assert {len(batch.examples) for batch in base.seen} == {2}
    assert base.scored
    validation = [rows(batch) for batch in scoring_batches(ready.data.valid)]
    assert all(rows(batch) in validation for batch in base.scored)


def test_nothing_is_trained(write: Callable[..., Path]) -> None:
    config, base = load_config(write()), Clocked()
    calibrate(config, base=base, clock=lambda: base.now)
    assert base.attached == 1
