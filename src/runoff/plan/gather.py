"""Everything that can be known of a run on this machine without loading an engine or asking the network.

Owns: `gather`: reading what is there and saying why the rest is not. Must not: judge, or stop at the first thing
missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from runoff.config import Config, Problem, Reading, Settings
from runoff.data import Tokenizer, load_tokenizer
from runoff.data.survey import Survey, survey
from runoff.errors import ConfigError, RunoffError
from runoff.plan.adapter import adapter_spec
from runoff.plan.counts import Length, Pace, count, length, pace
from runoff.plan.data_facts import DataFacts, data_facts, encode_dataset
from runoff.plan.draft import Draft, Facts
from runoff.plan.foreign import Around, ToolReport, tool_report
from runoff.plan.machine import machine_facts
from runoff.plan.memory import memory_parts
from runoff.plan.model_facts import ModelFacts, read_model_facts
from runoff.plan.row_facts import RowFacts, row_facts
from runoff.plan.schedule import check_schedule
from runoff.plan.template_facts import template_facts
from runoff.plan.unknown import NotKnown, Unknown, known

__all__ = ["gather", "gather_rows"]

Fact = TypeVar("Fact")


def gather(reading: Reading, model_folder: Path | Unknown, *, tool: str | None = None) -> Facts:
    """Facts for a configuration. `model_folder` is where its base model lies, or why it is not here.

    Raises:
        ConfigError: no rules for the tool.
    """
    problems, asked = _checked(reading)
    found = _fact(lambda: _survey(known(asked)))
    rows = _fact(lambda: row_facts(known(found).sets, known(found).problems))
    model = _fact(lambda: read_model_facts(known(model_folder)))
    tokenizer = _fact(lambda: load_tokenizer(known(model_folder)))
    data = _fact(lambda: _data(known(asked), known(found), known(rows), known(tokenizer)))
    trained = _fact(lambda: _trained(known(rows), data))
    config = _fact(lambda: _with_iterations(known(asked), trained))
    adapter = _fact(lambda: adapter_spec(known(config).settings, known(model)))
    return Facts(
        given=reading.given,
        problems=problems,
        config=config,
        model=model,
        rows=rows,
        data=data,
        template=_fact(lambda: template_facts(known(tokenizer))),
        adapter=adapter,
        pace=_fact(lambda: _pace(known(config).settings, trained)),
        length=_fact(lambda: _length(known(config).settings, known(rows), data, known(trained))),
        memory=_fact(
            lambda: memory_parts(
                known(config).settings, known(model), Draft(Facts(adapter=adapter)).adapter, known(data)
            )
        ),
        machine=machine_facts(reading.config),
        tool=Unknown("no tool was named with --for") if tool is None else _tool(tool, reading, rows, model),
    )


def gather_rows(folder: Path) -> Facts:
    """Facts for a data folder alone.

    Raises:
        DataError: it has no train.jsonl, valid.jsonl or test.jsonl.
    """
    found = survey(folder, Settings())
    return Facts(rows=row_facts(found.sets, found.problems))


def _fact(make: Callable[[], Fact]) -> Fact | Unknown:
    """What `make` returns, or why it can't."""
    try:
        return make()
    except NotKnown as unknown:
        return Unknown(unknown.why)
    except RunoffError as error:
        return Unknown(str(error).splitlines()[0].removesuffix("."), broken=True)


def _checked(reading: Reading) -> tuple[tuple[Problem, ...], Config | Unknown]:
    """The loader's problems and the schedule's."""
    config = reading.config
    if config is None:
        return reading.problems, Unknown("the settings have errors")
    try:
        if config.settings.lr_schedule is not None:
            check_schedule(config.settings.lr_schedule)
    except ConfigError as error:
        problem = Problem("value", config.origin("lr_schedule.arguments").place or "lr_schedule", str(error))
        return (*reading.problems, problem), Unknown("the settings have errors")
    return reading.problems, config


def _survey(config: Config) -> Survey:
    settings = config.settings
    if settings.hf_dataset is not None:
        raise NotKnown("the rows are in a Hugging Face dataset, and check asks no network")
    folder = Path(settings.data)
    if not folder.is_dir():
        raise NotKnown(f"there is no folder {folder} here, and check asks no network")
    return survey(folder, settings)


def _data(config: Config, found: Survey, rows: RowFacts, tokenizer: Tokenizer) -> DataFacts:
    if found.problems:
        raise NotKnown("some rows can't be used")
    if found.dataset is None:
        raise NotKnown(f"{found.folder} has no train.jsonl")
    return data_facts(encode_dataset(found.dataset, tokenizer, config.settings), rows)


def _trained(rows: RowFacts, data: DataFacts | Unknown) -> int:
    """Training rows with a target; without a tokenizer, all of them."""
    train = rows.split("train")
    trained = train.rows if train else 0
    if not isinstance(data, Unknown):
        trained -= len(data.train.rows_without_target)
    if not trained:
        raise NotKnown("there is no training row with a target")
    return trained


def _with_iterations(config: Config, trained: int | Unknown) -> Config:
    """`epochs` made into iterations, where the number of rows is known."""
    epochs = config.settings.epochs
    if epochs is None or isinstance(trained, Unknown):
        return config
    iters = max(1, round(epochs * -(-trained // config.settings.batch_size)))
    return replace(config, settings=config.settings.model_copy(update={"iters": iters}))


def _pace(settings: Settings, trained: int | Unknown) -> Pace:
    if settings.epochs is not None:
        known(trained)
    return pace(settings)


def _length(settings: Settings, rows: RowFacts, data: DataFacts | Unknown, trained: int) -> Length:
    if not isinstance(data, Unknown):
        return count(settings, data)
    valid = rows.split("valid")
    return length(settings, trained, valid.rows if valid else 0)


def _tool(tool: str, reading: Reading, rows: RowFacts | Unknown, model: ModelFacts | Unknown) -> ToolReport:
    splits = {} if isinstance(rows, Unknown) else {split.name: split.rows for split in rows.splits}
    around = Around(
        train_rows=splits.get("train"),
        valid_rows=splits.get("valid", 0 if splits else None),
        blocks=None if isinstance(model, Unknown) else model.blocks,
    )
    return tool_report(tool, reading.given, around)
