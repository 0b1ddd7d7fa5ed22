"""Capacity, budget and restraint, and what is expected of them."""

from __future__ import annotations

from pathlib import Path

from tests.support.run_folders import Told, make_run

from runoff.comparison.expectations import expectations, intents
from runoff.comparison.facts import label_runs
from runoff.runs import Value


def test_each_measure_is_computed_from_the_record(tmp_path: Path) -> None:
    told = Told(
        settings={"optimizer": "adamw", "lora_parameters.dropout": 0.1, "lora_parameters.scale": 4.0},
        counts={"base_parameters": 134_515_008},
    )
    (one,) = intents(label_runs([make_run(tmp_path, "a", told)]))
    assert one.capacity == 651264 / 134_515_008
    assert one.blocks == 8 / 30
    assert one.budget == 0.0025 * 4.0
    assert one.restraint == ("dropout 0.1", "weight decay 0.01")


def test_what_was_set_is_named_and_a_decay_of_nothing_is_not(tmp_path: Path) -> None:
    settings = {"optimizer": "adamw", "max_grad_norm": 0.5, "early_stopping": True}
    for decay, words in ((0.0, ()), (0.2, ("weight decay 0.2",))):
        own = settings | {"optimizer_config": {"adamw": {"weight_decay": decay}}}
        (one,) = intents(label_runs([make_run(tmp_path / str(decay), "a", Told(settings=own))]))
        assert one.restraint == (*words, "gradient norm clipped at 0.5", "early stopping")


def test_budgets_of_two_optimizers_are_not_held_against_each_other(tmp_path: Path) -> None:
    a = make_run(tmp_path, "a", Told(settings={"optimizer": "adam"}))
    b = make_run(tmp_path, "b", Told(settings={"optimizer": "sgd"}, counts={"learning_rate_sum": 0.0001}))
    assert expectations(intents(label_runs([a, b]))) == ()


def test_nothing_set_means_no_restraint(tmp_path: Path) -> None:
    (one,) = intents(label_runs([make_run(tmp_path, "a", Told(settings={"optimizer": "adam"}))]))
    assert one.restraint == ()


def test_expectations_name_the_extremes_and_only_where_the_runs_differ(tmp_path: Path) -> None:
    counts = {"base_parameters": 1_000_000}
    a = make_run(tmp_path, "a", Told(counts=counts))
    b = make_run(tmp_path, "b", Told(counts=counts | {"trainable_parameters": 300_000, "learning_rate_sum": 0.0001}))
    texts = [sentence.text for sentence in expectations(intents(label_runs([a, b])))]
    assert len(texts) == 2
    assert "the larger adapter (a) usually learns more and forgets more than the smaller (b)" in texts[0]
    assert "a can move furthest from the base and b least" in texts[1]
    same = make_run(tmp_path, "c", Told(counts=counts))
    assert expectations(intents(label_runs([a, same]))) == ()


def test_an_unknown_count_makes_no_expectation(tmp_path: Path) -> None:
    a = make_run(tmp_path, "a")
    b = make_run(tmp_path, "b", Told(counts={"learning_rate_sum": Value.unknown("not recorded")}))
    assert expectations(intents(label_runs([a, b]))) == ()


def test_a_restraint_that_is_not_recorded_is_not_called_none(tmp_path: Path) -> None:
    told = Told(settings={"lora_parameters.dropout": Value.unknown("no file says it")})
    (one,) = intents(label_runs([make_run(tmp_path, "a", told)]))
    assert one.restraint is None
