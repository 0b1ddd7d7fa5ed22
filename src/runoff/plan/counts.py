"""The arithmetic of a run's length: iterations, updates, epochs, validations.

Owns: Runoff's own way of counting (the loop carries out exactly this), in three steps: what the settings alone decide,
what the number of rows adds, what the tokens add. Must not: know other tools' ways (foreign/ does).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from runoff.config import Settings
from runoff.data import epoch_order
from runoff.plan.data_facts import DataFacts
from runoff.plan.schedule import learning_rate

__all__ = ["Counts", "Length", "Pace", "count", "length", "pace", "validation_points"]


@dataclass(frozen=True)
class Pace:
    """What the settings alone decide."""

    iterations: int
    optimizer_updates: int
    effective_batch_rows: int
    checkpoints: int
    first_learning_rate: float
    last_learning_rate: float
    learning_rate_sum: float


@dataclass(frozen=True)
class Length(Pace):
    """The same, and what the number of rows adds. An epoch is one pass over the training rows that have a target."""

    iterations_per_epoch: int
    epochs: float
    rows_seen: int
    validations: int
    validation_rows: int


@dataclass(frozen=True)
class Counts(Length):
    """The run's whole arithmetic."""

    target_tokens_per_epoch: int


def validation_points(settings: Settings) -> Iterator[int]:
    """Iterations after which the valid set is scored: before the first, every steps_per_eval, and the last."""
    yield 0
    yield from range(settings.steps_per_eval, settings.iters, settings.steps_per_eval)
    yield settings.iters


def pace(settings: Settings) -> Pace:
    """Count what needs no data; `settings.iters` is what holds."""
    updates = math.ceil(settings.iters / settings.grad_accumulation_steps)
    constant = settings.lr_schedule is None
    rates = [learning_rate(settings, done) for done in range(1 if constant else updates)]
    return Pace(
        iterations=settings.iters,
        optimizer_updates=updates,
        effective_batch_rows=settings.batch_size * settings.grad_accumulation_steps,
        checkpoints=math.ceil(settings.iters / settings.save_every),
        first_learning_rate=rates[0],
        last_learning_rate=rates[-1],
        learning_rate_sum=rates[0] * updates if constant else math.fsum(rates),
    )


def length(settings: Settings, trained: int, validated: int) -> Length:
    """Count a run over `trained` rows with a target, and `validated` rows in the whole valid set."""
    per_epoch = math.ceil(trained / settings.batch_size)
    whole, rest = divmod(settings.iters, per_epoch)
    begun = epoch_order([0] * trained, settings.batch_size, seed=settings.seed, epoch=whole)[:rest]
    scored = validated if settings.val_batches < 0 else min(validated, settings.val_batches * settings.batch_size)
    return Length(
        **vars(pace(settings)),
        iterations_per_epoch=per_epoch,
        epochs=settings.iters / per_epoch,
        rows_seen=whole * trained + sum(len(batch) for batch in begun),
        validations=len(list(validation_points(settings))) if scored else 0,
        validation_rows=scored,
    )


def count(settings: Settings, data: DataFacts) -> Counts:
    """Count a run over encoded rows."""
    validated = data.valid.rows - len(data.valid.rows_without_target) if data.valid else 0
    trained = data.train.rows - len(data.train.rows_without_target)
    return Counts(**vars(length(settings, trained, validated)), target_tokens_per_epoch=data.train.target_tokens)
