"""What will happen: a run before it starts.

Owns: what a plan refuses, and the table of settings as they take effect. Pure: no files, no clock, no engine. Must not:
tokenize or load a model (the facts come in).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

from runoff.config import Config, Settings
from runoff.errors import ConfigError, DataError
from runoff.plan.adapter import AdapterSpec, adapter_spec
from runoff.plan.counts import Counts, count
from runoff.plan.data_facts import DataFacts
from runoff.plan.draft import Draft, Facts
from runoff.plan.effective import Effective, effective_settings
from runoff.plan.findings import Finding, find
from runoff.plan.machine import MachineFacts
from runoff.plan.memory import memory_parts
from runoff.plan.model_facts import ModelFacts
from runoff.plan.schedule import check_schedule
from runoff.plan.unknown import Unknown

__all__ = ["Plan", "make_plan"]


@dataclass(frozen=True)
class Plan:
    """What `train` carries out: the facts, the arithmetic and the findings."""

    config: Config
    model: ModelFacts
    data: DataFacts
    adapter: AdapterSpec
    counts: Counts
    findings: tuple[Finding, ...]

    @property
    def settings(self) -> Settings:
        """The settings as they take effect."""
        return self.config.settings

    @cached_property
    def effective(self) -> tuple[Effective, ...]:
        """Every setting in the order of the option table."""
        return effective_settings(self.config)


def make_plan(config: Config, model: ModelFacts, data: DataFacts, machine: MachineFacts | None = None) -> Plan:
    """Do the arithmetic and collect the findings.

    Raises:
        ConfigError: settings that this model or data can't have.
        DataError: no training row has a target token.
    """
    settings = config.settings
    problems: list[str] = []
    adapter: AdapterSpec | None = None
    for check in (
        lambda: adapter_spec(settings, model, _at(config, "num_layers"), _at(config, "lora_parameters.keys")),
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
        raise DataError(_nothing_to_learn(settings, data))
    per_epoch = math.ceil(trained / settings.batch_size)
    if settings.epochs is not None:
        settings = settings.model_copy(update={"iters": max(1, round(settings.epochs * per_epoch))})
        config = replace(config, settings=settings)
    counts = count(settings, data)
    if not math.isfinite(counts.learning_rate_sum):
        problem = "the learning rate grows beyond all numbers. Lower its factor, or shorten the run."
        raise ConfigError([f"{_at(config, 'lr_schedule.arguments')}lr_schedule: {problem}"])
    facts = Facts(
        given=config.given,
        config=config,
        model=model,
        rows=data.text or Unknown("nobody looked at the rows as text"),
        data=data,
        template=data.template or Unknown("nobody looked at the chat template"),
        adapter=adapter,
        pace=counts,
        length=counts,
        memory=memory_parts(settings, model, adapter, data),
        machine=machine or Unknown("nobody looked at the machine"),
    )
    return Plan(config, model, data, adapter, counts, find(Draft(facts)))


def _nothing_to_learn(settings: Settings, data: DataFacts) -> str:
    limit, longest = settings.max_seq_length, data.train.longest_tokens
    if longest > limit:
        cure = f"Set max_seq_length: {longest}."
        return f"{data.train.place}: no row has a target token within max_seq_length {limit}. {cure}"
    return (
        f"{data.train.place}: no row has a target token. The answers or texts are empty, or the chat template of "
        f"{settings.model} leaves them out."
    )


def _schedule(config: Config) -> None:
    if config.settings.lr_schedule is not None:
        check_schedule(config.settings.lr_schedule, _at(config, "lr_schedule.name"))


def _at(config: Config, *keys: str) -> str:
    place = next((config.origin(key).place for key in keys if config.origin(key).place), None)
    return f"{place}: " if place else ""
