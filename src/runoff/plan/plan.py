"""What will happen: the arithmetic of a run before it starts.

Owns: counts of iterations, updates, epochs and validations, the table of settings as they take effect. Pure: no files,
no clock, no engine. Must not: tokenize or load a model (the facts come in).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from runoff.config import Config, Origin, Settings, flatten
from runoff.errors import ConfigError, DataError
from runoff.plan.adapter import AdapterSpec, adapter_spec
from runoff.plan.data_facts import DataFacts
from runoff.plan.findings import Finding, find
from runoff.plan.model_facts import ModelFacts
from runoff.plan.schedule import check_schedule, learning_rate

__all__ = ["Counts", "Draft", "Effective", "Plan", "make_plan", "validation_points"]


@dataclass(frozen=True, slots=True)
class Counts:
    """The run's arithmetic. An epoch is one pass over the training rows that have a target."""

    iterations: int
    iterations_per_epoch: int
    optimizer_updates: int
    epochs: float
    effective_batch_rows: int
    rows_seen: int
    target_tokens_per_epoch: int
    validations: int
    validation_rows: int
    checkpoints: int
    first_learning_rate: float
    last_learning_rate: float
    learning_rate_sum: float


@dataclass(frozen=True, slots=True)
class Effective:
    """One setting as it takes effect."""

    key: str
    value: Any
    origin: Origin


@dataclass(frozen=True)
class Draft:
    """Everything that a finding may look at."""

    config: Config
    model: ModelFacts
    data: DataFacts
    adapter: AdapterSpec
    counts: Counts

    @property
    def settings(self) -> Settings:
        """The settings as they take effect."""
        return self.config.settings

    def place(self, key: str) -> str:
        """Where a setting was given, or that it is a default."""
        origin = self.config.origin(key)
        return origin.place or f"{key} (default)"


@dataclass(frozen=True)
class Plan(Draft):
    """A draft with its findings: what `train` carries out."""

    findings: tuple[Finding, ...]

    @cached_property
    def effective(self) -> tuple[Effective, ...]:
        """Every setting in the order of the option table."""
        settings, origin = self.settings, self.config.origin
        rows = []
        for key, value in flatten(settings).items():
            if key == "iters" and settings.epochs is not None:
                rows.append(Effective(key, value, Origin("derived", why=f"epochs: {settings.epochs:g}")))
            elif key == "learning_rate" and settings.lr_schedule is not None:
                rows.append(Effective(key, settings.lr_schedule.arguments[0], Origin("derived", why="lr_schedule")))
            else:
                rows.append(Effective(key, value, origin(key)))
        return tuple(rows)


def make_plan(config: Config, model: ModelFacts, data: DataFacts) -> Plan:
    """Do the arithmetic and collect the findings.

    Raises:
        ConfigError: settings that this model or data can't have.
        DataError: no training row has a target token.
    """
    settings = config.settings
    problems: list[str] = []
    adapter: AdapterSpec | None = None
    for check in (
        lambda: adapter_spec(settings, model, _at(config, "num_layers", "lora_parameters.keys")),
        lambda: _schedule(config),
    ):
        try:
            adapter = check() or adapter
        except ConfigError as error:
            problems += error.problems
    if problems or adapter is None:
        raise ConfigError(problems)
    trained = data.train.rows - len(data.train.rows_without_target)
    if trained == 0:
        raise DataError(
            f"{data.train.place}: no row has a target token within max_seq_length {settings.max_seq_length}. "
            f"Set max_seq_length: {data.train.longest_tokens}."
        )
    per_epoch = math.ceil(trained / settings.batch_size)
    if settings.epochs is not None:
        settings = settings.model_copy(update={"iters": max(1, round(settings.epochs * per_epoch))})
        config = Config(settings, config.origins, config.notes, config.path, config.text)
    draft = Draft(config, model, data, adapter, _counts(settings, data, trained, per_epoch))
    return Plan(config, model, data, adapter, draft.counts, find(draft))


def validation_points(settings: Settings) -> Iterator[int]:
    """Iterations after which the valid set is scored: before the first, every steps_per_eval, and the last."""
    yield 0
    yield from range(settings.steps_per_eval, settings.iters, settings.steps_per_eval)
    yield settings.iters


def _counts(settings: Settings, data: DataFacts, trained: int, per_epoch: int) -> Counts:
    updates = math.ceil(settings.iters / settings.grad_accumulation_steps)
    whole, rest = divmod(settings.iters, per_epoch)
    rates = [learning_rate(settings, done) for done in range(updates)]
    validations = len(list(validation_points(settings))) if data.valid else 0
    return Counts(
        iterations=settings.iters,
        iterations_per_epoch=per_epoch,
        optimizer_updates=updates,
        epochs=settings.iters / per_epoch,
        effective_batch_rows=settings.batch_size * settings.grad_accumulation_steps,
        rows_seen=whole * trained + min(rest * settings.batch_size, trained),
        target_tokens_per_epoch=data.train.target_tokens,
        validations=validations,
        validation_rows=_validation_rows(settings, data),
        checkpoints=math.ceil(settings.iters / settings.save_every),
        first_learning_rate=rates[0],
        last_learning_rate=rates[-1],
        learning_rate_sum=math.fsum(rates),
    )


def _validation_rows(settings: Settings, data: DataFacts) -> int:
    if data.valid is None:
        return 0
    rows = data.valid.rows - len(data.valid.rows_without_target)
    return rows if settings.val_batches < 0 else min(rows, settings.val_batches * settings.batch_size)


def _schedule(config: Config) -> None:
    if config.settings.lr_schedule is not None:
        check_schedule(config.settings.lr_schedule, _at(config, "lr_schedule.name"))


def _at(config: Config, *keys: str) -> str:
    place = next((config.origin(key).place for key in keys if config.origin(key).place), None)
    return f"{place}: " if place else ""
