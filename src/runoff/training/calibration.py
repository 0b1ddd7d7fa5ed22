"""How long a run will take, from a few of its own iterations.

Owns: which batches are measured and how they stand for the rest. Must not: train (no update is made) or save anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runoff.config import Config
from runoff.data import Batch, epoch_order, make_batch
from runoff.engines import Base, open_base
from runoff.engines.scoring import scoring_batches
from runoff.training.api import Prepared, prepare

__all__ = ["Calibration", "calibrate"]

MEASURED = 5
"""Batches of each kind: the first warms up and does not count, the others are spread over the lengths."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Seconds of this machine for one run, and what they were measured on.

    Without the trunk cache, which saves some.
    """

    training_seconds: float
    validation_seconds: float
    measured_iterations: int
    engine: str

    def __str__(self) -> str:
        """One sentence."""
        return (
            f"about {_minutes(self.training_seconds)} of training and {_minutes(self.validation_seconds)} of "
            f"validation on {self.engine}, from {self.measured_iterations} measured iterations, without the savings of "
            "the trunk cache."
        )


def calibrate(
    config: Config,
    *,
    base: Base | None = None,
    prepared: Prepared | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Calibration:
    """Load the model and run a few forward and backward passes.

    Raises:
        RunoffError: whatever keeps the run itself from starting.
    """
    ready = prepared or prepare(config)
    plan, settings = ready.plan, ready.plan.settings
    loaded = base or open_base(plan.model.folder, engine=settings.engine, dtype=settings.dtype)
    engine = loaded.attach(plan.adapter, seed=settings.seed, checkpointing=settings.grad_checkpoint)
    rows = ready.data.train
    order = epoch_order([len(row.ids) for row in rows], settings.batch_size, seed=0, epoch=0)
    train = [make_batch([rows[index] for index in batch]) for batch in order]
    trained = _seconds_per_token(train, engine.accumulate, clock)
    in_an_epoch = sum(batch.ids.size for batch in train)
    validation = 0.0
    if ready.data.valid and plan.counts.validations:
        valid = scoring_batches(ready.data.valid)
        share = plan.counts.validation_rows / len(ready.data.valid)
        read = sum(batch.ids.size for batch in valid) * share * plan.counts.validations
        validation = read * _seconds_per_token(valid, engine.score, clock)
    return Calibration(
        training_seconds=trained * in_an_epoch * plan.counts.epochs,
        validation_seconds=validation,
        measured_iterations=min(MEASURED, len(train)) - (len(train) > 1),
        engine=f"{loaded.facts.name} ({loaded.facts.device}, {loaded.facts.dtype})",
    )


def _seconds_per_token(batches: Sequence[Batch], run: Callable[[Batch], object], clock: Callable[[], float]) -> float:
    """Seconds for one token with its padding, from batches spread evenly over the widths."""
    by_width = sorted(batches, key=lambda batch: batch.ids.size)
    picked = (
        [by_width[len(by_width) * at // MEASURED] for at in range(MEASURED)] if len(by_width) > MEASURED else by_width
    )
    if len(picked) > 1:
        run(picked[0])
        picked = picked[1:]
    started = clock()
    for batch in picked:
        run(batch)
    return (clock() - started) / sum(batch.ids.size for batch in picked)


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 120 else f"{seconds / 60:.0f} minutes"
