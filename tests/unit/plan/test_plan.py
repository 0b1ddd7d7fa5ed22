"""The arithmetic of a run before it starts."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from runoff.config import parse_config
from runoff.errors import ConfigError, DataError
from runoff.plan import DataFacts, ModelFacts, Plan, SplitFacts, make_plan, read_model_facts, validation_points


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> ModelFacts:
    return read_model_facts(tiny_model)


def split(rows: int, *, without: int = 0, name: str = "train") -> SplitFacts:
    numbers = tuple(range(1, without + 1))
    return SplitFacts(f"{name}.jsonl", rows, rows * 10, rows * 5, 40, (), numbers, None, "sha")


def planned(model: ModelFacts, text: str, *, train: int = 10, valid: int | None = 6, without: int = 0) -> Plan:
    facts = DataFacts(split(train, without=without), split(valid, name="valid") if valid else None, None, None)
    return make_plan(parse_config(f"num_layers: 2\n{text}"), model, facts)


@pytest.mark.parametrize(
    ("text", "rows", "expected"),
    [
        ("iters: 10\nbatch_size: 1", 10, {"iterations_per_epoch": 10, "epochs": 1.0, "rows_seen": 10}),
        ("iters: 9\nbatch_size: 4", 10, {"iterations_per_epoch": 3, "epochs": 3.0, "rows_seen": 30}),
        (
            "iters: 10\nbatch_size: 2\ngrad_accumulation_steps: 4",
            20,
            {"optimizer_updates": 3, "effective_batch_rows": 8, "epochs": 1.0},
        ),
        ("iters: 1800\nbatch_size: 2\ngrad_accumulation_steps: 4", 1367, {"optimizer_updates": 450}),
        ("epochs: 3\nbatch_size: 4", 10, {"iterations": 9, "epochs": 3.0, "rows_seen": 30}),
        ("epochs: 0.5\nbatch_size: 2", 20, {"iterations": 5, "epochs": 0.5, "rows_seen": 10}),
        ("epochs: 0.001\nbatch_size: 2", 20, {"iterations": 1}),
        ("iters: 100\nsave_every: 30", 10, {"checkpoints": 4}),
        ("iters: 100\nsteps_per_eval: 25", 10, {"validations": 5}),
        ("iters: 100\nsteps_per_eval: 30", 10, {"validations": 5}),
        ("iters: 100\nsteps_per_eval: 500", 10, {"validations": 2}),
        ("iters: 1\nsteps_per_eval: 1", 10, {"validations": 2, "optimizer_updates": 1, "checkpoints": 1}),
        ("val_batches: 1\nbatch_size: 4", 10, {"validation_rows": 4}),
        ("val_batches: 5\nbatch_size: 4", 10, {"validation_rows": 6}),
        ("val_batches: 0", 10, {"validation_rows": 0, "validations": 0}),
    ],
)
def test_counts(model: ModelFacts, text: str, rows: int, expected: dict[str, Any]) -> None:
    counts = planned(model, text, train=rows).counts
    assert {name: getattr(counts, name) for name in expected} == expected


def test_a_partial_epoch_counts_the_rows_of_the_batches_that_are_really_drawn(model: ModelFacts) -> None:
    """Whether the one short batch is among the first half of an epoch depends on the seed."""
    seen = {planned(model, f"iters: 2\nbatch_size: 4\nseed: {seed}").counts.rows_seen for seed in range(20)}
    assert seen == {6, 8}


def test_rows_without_a_target_make_no_iterations(model: ModelFacts) -> None:
    counts = planned(model, "epochs: 1\nbatch_size: 2", train=10, without=4).counts
    assert (counts.iterations, counts.rows_seen) == (3, 6)


def test_validation_points_are_before_the_first_every_so_many_and_the_last() -> None:
    def points(text: str) -> list[int]:
        return list(validation_points(parse_config(text).settings))

    assert points("iters: 10\nsteps_per_eval: 4") == [0, 4, 8, 10]
    assert points("iters: 8\nsteps_per_eval: 4") == [0, 4, 8]
    assert points("iters: 3\nsteps_per_eval: 4") == [0, 3]


def test_no_valid_set_no_validations(model: ModelFacts) -> None:
    counts = planned(model, "", valid=None).counts
    assert (counts.validations, counts.validation_rows) == (0, 0)


def test_the_sum_of_the_learning_rates_is_over_the_updates(model: ModelFacts) -> None:
    text = "iters: 30\ngrad_accumulation_steps: 3\nlr_schedule: {name: linear_schedule, arguments: [1.0, 0.0, 10]}"
    counts = planned(model, text).counts
    assert counts.optimizer_updates == 10
    assert counts.first_learning_rate == 1.0
    assert counts.last_learning_rate == pytest.approx(0.1)
    assert counts.learning_rate_sum == pytest.approx(5.5)


def test_settings_as_they_take_effect_know_where_they_come_from(model: ModelFacts) -> None:
    text = (
        "epochs: 2\nbatch_size: 5\nlora_alpha: 16\nlr_schedule: {name: step_decay, arguments: [0.5, 0.1, 3]}\n"
        "early_stopping: {patience: 2}\nweight_decay: 0.1\noptimizer: adamw\n"
    )
    effective = {row.key: row for row in planned(model, text).effective}
    shown = {key: (effective[key].value, str(effective[key].origin)) for key in effective}
    assert shown["iters"] == (4, "derived: epochs: 2")
    assert shown["batch_size"] == (5, "config:3")
    assert shown["learning_rate"][0] == 0.5
    assert shown["learning_rate"][1].startswith("derived: lr_schedule")
    assert shown["lora_parameters.scale"][0] == 2.0
    assert shown["lora_parameters.scale"][1].startswith("config:4, alpha 16 / rank 8 = scale 2")
    assert shown["early_stopping.patience"] == (2, "config:6")
    assert shown["optimizer_config"][0] == {"adamw": {"weight_decay": 0.1}}
    assert shown["optimizer_config"][1].startswith("config:7, ")
    assert shown["seed"] == (0, "default")


def test_a_schedule_that_grows_beyond_all_numbers_is_refused_with_its_line(model: ModelFacts) -> None:
    text = "iters: 500\nlr_schedule:\n  name: exponential_decay\n  arguments: [1.0, 10.0]"
    with pytest.raises(ConfigError) as caught:
        planned(model, text)
    assert str(caught.value) == (
        "config:5: lr_schedule: the learning rate grows beyond all numbers. Lower its factor, or shorten the run."
    )


def test_no_row_with_a_target_is_refused(model: ModelFacts) -> None:
    with pytest.raises(DataError) as caught:
        planned(model, "max_seq_length: 8", train=3, without=3)
    assert str(caught.value) == (
        "train.jsonl: no row has a target token within max_seq_length 8. Set max_seq_length: 40."
    )


def test_epochs_times_rows_is_what_is_seen_for_every_whole_number_of_epochs(model: ModelFacts) -> None:
    for rows in (1, 7, 64, 401):
        for batch in (1, 3, 8):
            for epochs in (1, 3):
                counts = planned(model, f"epochs: {epochs}\nbatch_size: {batch}", train=rows).counts
                assert counts.rows_seen == epochs * rows
                assert counts.iterations == epochs * math.ceil(rows / batch)
