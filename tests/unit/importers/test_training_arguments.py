"""Trainer's own list of its arguments, in TensorBoard's event files and wandb's config.yaml."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from tests.unit.importers.given import count, facts_of, one, setting, tensorboard_event, write

from runoff.importers.training_arguments import in_force

ARGUMENTS: dict[str, Any] = {
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 4,
    "learning_rate": 5e-05,
    "num_train_epochs": 3,
    "max_steps": -1,
    "seed": 7,
    "optim": "adamw_torch_fused",
    "eval_strategy": "steps",
    "eval_steps": 5,
    "save_strategy": "epoch",
    "save_steps": 500,
    "logging_strategy": "steps",
    "logging_steps": 2,
    "warmup_steps": None,
    "use_cpu": True,
}
NAME = "events.out.tfevents.1700000000.host"


def text_event(tag: str, text: str) -> bytes:
    """As torch's SummaryWriter.add_text writes it: a tensor of one string."""

    def field(number: int, body: bytes) -> bytes:
        size, length = b"", len(body)
        while length > 127:
            size, length = size + bytes([length & 127 | 128]), length >> 7
        return bytes([number << 3 | 2]) + size + bytes([length]) + body

    tensor = bytes([1 << 3, 7]) + field(8, text.encode())
    event = field(5, field(1, field(1, tag.encode()) + field(8, tensor)))
    return struct.pack("<Q", len(event)) + b"\0\0\0\0" + event + b"\0\0\0\0"


def events(folder: Path, arguments: dict[str, Any]) -> Path:
    scalars = [
        (2, "train/loss", 2.1),
        (2, "train/learning_rate", 0.0009166666),
        (5, "eval/loss", 2.25),
        (5, "eval/runtime", 1.5),
        (5, "eval/samples_per_second", 4.0),
        (5, "eval/entropy", 0.5),
    ]
    raw = text_event("args/text_summary", json.dumps(arguments)) + text_event("model_config/text_summary", "{}")
    return write(folder / NAME, raw + b"".join(tensorboard_event(*each) for each in scalars))


def test_the_arguments_in_an_event_file_are_settings(tmp_path: Path) -> None:
    run = one(tmp_path, events(tmp_path / "out", ARGUMENTS))
    assert (setting(run, "learning_rate").value, setting(run, "seed").value) == (5e-05, 7)
    assert setting(run, "learning_rate").origin.place == f"{NAME}: args/text_summary"
    assert (setting(run, "steps_per_eval").value, setting(run, "steps_per_report").value) == (20, 8)
    assert not {"save_every", "iters", "warmup_steps"} & set(run.merged.plan.settings)
    assert (count(run, "effective_batch_rows").value, count(run, "valid_rows").value) == (8, 6)
    assert dict(run.merged.rows[1].others) == {"entropy_nats_per_target_token": 0.5}
    foreign = facts_of(events(tmp_path / "other", {"batch_size": 2, "learning_rate": 1.0}))
    assert foreign.settings == ()


def test_single_floats_are_the_same_curve_as_trainers_own(tmp_path: Path) -> None:
    events(tmp_path / "out" / "runs" / "Nov25_12-00-00_host", ARGUMENTS)
    history = [
        {"step": 2, "epoch": 0.5, "loss": 2.1, "learning_rate": 0.0009166666},
        {"step": 5, "epoch": 1.0, "eval_loss": 2.25, "eval_runtime": 1.5},
    ]
    write(tmp_path / "out" / "trainer_state.json", {"global_step": 5, "max_steps": 5, "log_history": history})
    run = one(tmp_path, tmp_path / "out")
    assert [(row.kind, row.nats_per_target_token) for row in run.merged.rows] == [("train", 2.1), ("validation", 2.25)]
    assert not [found for found in run.merged.plan.findings if found.code == "I106"]


@pytest.mark.parametrize(
    ("change", "gone"),
    [
        ({}, {"max_steps", "save_steps", "warmup_steps"}),
        ({"max_steps": 100}, {"num_train_epochs", "save_steps", "warmup_steps"}),
        ({"eval_strategy": "no"}, {"max_steps", "save_steps", "warmup_steps", "eval_steps"}),
        ({"logging_steps": 0.1}, {"max_steps", "save_steps", "warmup_steps", "logging_steps"}),
        ({"eval_strategy": "IntervalStrategy.STEPS", "save_strategy": "steps"}, {"max_steps", "warmup_steps"}),
    ],
)
def test_arguments_that_were_not_in_force(change: dict[str, Any], gone: set[str]) -> None:
    assert set(ARGUMENTS) - set(in_force(ARGUMENTS | change)) == gone


def test_intervals_by_their_older_name() -> None:
    old = {key: value for key, value in ARGUMENTS.items() if key != "eval_strategy"}
    assert "eval_steps" in in_force(old | {"evaluation_strategy": "steps"})
    assert "eval_steps" not in in_force(old | {"evaluation_strategy": "epoch"})


def test_wandbs_configuration_of_a_trainer(tmp_path: Path) -> None:
    text = "wandb_version: 1\n" + "".join(f"{key}:\n  value: {json.dumps(value)}\n" for key, value in ARGUMENTS.items())
    run = one(tmp_path, write(tmp_path / "files" / "config.yaml", text), tool="transformers")
    assert setting(run, "steps_per_eval").value == 20
    assert not {"save_every", "iters"} & set(run.merged.plan.settings)
    assert setting(run, "learning_rate").origin.place == "config.yaml:6"
