"""The record's nouns come back from JSON as they were; unknown stays unknown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.runs import make_config

from runoff.config import Origin
from runoff.plan import Finding
from runoff.runs import Identity, MetricRow, PlanRecord, Value, plan_record
from runoff.training import prepare

VALUES = [
    Value(3, Origin("file", "run.yaml:3")),
    Value(None, Origin("default")),
    Value(2.0, Origin("translated", "run.yaml:4", "alpha 16 / rank 8"), declared=16),
    Value.unknown("the log does not say", declared="2e-4"),
    Value([1, 2], Origin("imported", "log.txt:7")),
    Value(False, Origin("option", "--set train")),
    Value(0, Origin("derived")),
]


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_a_value_comes_back_with_its_origin(value: Value) -> None:
    back = Value.from_json(json.loads(json.dumps(value.to_json())))
    assert back == value
    assert back.known is value.known


def test_only_what_nobody_knows_is_unknown() -> None:
    assert [value.known for value in VALUES] == [True, True, True, False, True, True, True]
    assert VALUES[3].value is None
    assert VALUES[3].origin.why == "the log does not say"


def test_a_plan_comes_back_from_its_record(tiny_model: Path, tiny_data: Path) -> None:
    config = make_config(tiny_model, tiny_data, lora_parameters={"rank": 4}, val_batches=2)
    record = plan_record(prepare(config).plan)
    assert PlanRecord.from_json(json.loads(json.dumps(record.to_json()))) == record
    assert record.findings


def test_a_record_holds_every_setting_and_what_follows_from_them(tiny_model: Path, tiny_data: Path) -> None:
    plan = prepare(make_config(tiny_model, tiny_data)).plan
    record = plan_record(plan)
    assert list(record.settings) == [row.key for row in plan.effective]
    assert record.settings["iters"] == Value(20, Origin("file", "config:1"))
    assert record.settings["seed"] == Value(0, Origin("default"))
    counts = {name: value.value for name, value in record.counts.items()}
    expected = {
        "iterations": 20,
        "optimizer_updates": 7,
        "blocks": 4,
        "adapted_blocks": 2,
        "lowest_adapted_block": 2,
        "scale": 2.0,
        "alpha": 4.0,
        "train_rows": 11,
        "valid_rows": 5,
        "trainable_parameters": plan.adapter.trainable_parameters,
        "base_parameters": plan.model.parameters,
    }
    assert {name: counts[name] for name in expected} == expected
    assert all(value.known for value in record.counts.values())


def test_notes_of_the_config_are_kept(tiny_model: Path, tiny_data: Path) -> None:
    config = make_config(tiny_model, tiny_data, adapter_path="adapters")
    assert plan_record(prepare(config).plan).notes == (
        "config:1: adapter_path: not used: the adapter is saved in the run's own folder, so no run overwrites "
        "another's",
    )


def test_a_metric_row_holds_only_what_is_known_and_0_is_known() -> None:
    row = MetricRow(kind="train", iteration=0, target_tokens=0, learning_rate=0.0, rounding={"learning_rate": 0.5})
    body = row.to_json()
    assert body == {
        "kind": "train",
        "iteration": 0,
        "target_tokens": 0,
        "learning_rate": 0.0,
        "rounding": {"learning_rate": 0.5},
    }
    assert MetricRow.from_json(json.loads(json.dumps(body))) == row


def test_a_later_segment_is_kept() -> None:
    row = MetricRow(kind="train", iteration=1, segment=2)
    assert MetricRow.from_json(row.to_json()) == row


def test_an_identity_comes_back_without_what_is_unknown() -> None:
    identity = Identity(name="a", status="running", created="now", runoff_version="0", data={"train": {"rows": 1}})
    body = identity.model_dump(mode="json", exclude_none=True)
    assert "ended" not in body
    assert Identity.model_validate(body) == identity


def test_a_finding_is_one_paragraph_with_its_fix() -> None:
    finding = Finding("D101", "warning", "run.yaml:3", "Rows are cut.", "They never end.", "max_seq_length: 9")
    assert str(finding) == "D101 warning: run.yaml:3: Rows are cut. They never end. Fix: max_seq_length: 9"
