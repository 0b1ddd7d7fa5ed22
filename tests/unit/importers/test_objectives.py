"""Losses of preferences and rewards are in no nats per target token, whichever file tells them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.importers.given import one, tensorboard_event, write

DPO = {"loss": 0.69, "rewards/chosen": 0.1, "rewards/rejected": -0.1, "epoch": 0.5}
SFT = {"loss": 2.5, "entropy": 1.5, "epoch": 0.5}


def files(folder: Path, entry: dict[str, float]) -> dict[str, Path]:
    row = json.dumps(entry | {"current_steps": 10, "total_steps": 20}) + "\n"
    events = [(10, "train/" + key, value) for key, value in entry.items()]
    state = {"global_step": 10, "max_steps": 20, "epoch": 0.5, "log_history": [entry | {"step": 10}]}
    summary = {"train/" + key: value for key, value in entry.items()} | {"train/global_step": 10}
    return {
        "log": write(folder / "a.log", str(entry) + "\n"),
        "state": write(folder / "trainer_state.json", state),
        "rows": write(folder / "trainer_log.jsonl", row),
        "events": write(folder / "events.out.tfevents.1.host", b"".join(tensorboard_event(*each) for each in events)),
        "summary": write(folder / "wandb-summary.json", summary),
    }


@pytest.mark.parametrize("kind", ["log", "state", "rows", "events", "summary"])
def test_a_loss_of_preferences_is_kept_apart(kind: str, tmp_path: Path) -> None:
    run = one(tmp_path, files(tmp_path / "dpo", DPO)[kind]).merged
    (row,) = run.rows
    assert row.nats_per_target_token is None
    assert row.others["loss"] == pytest.approx(0.69)
    (found,) = [found for found in run.plan.findings if found.code == "I105"]
    assert found.what.startswith("The losses are of another objective than the next token")
    assert run.loss_definition is None
    if kind in ("log", "state"):
        assert found.what.endswith(": the reports hold rewards/chosen.")
    usual = one(tmp_path, files(tmp_path / "sft", SFT)[kind]).merged
    assert [row.nats_per_target_token for row in usual.rows] == [2.5]
    assert not [found for found in usual.plan.findings if found.code == "I105"]


def test_preferences_of_mlx_lm_lora(tmp_path: Path) -> None:
    speed = "lr 1.000e-05, it/s 0.417, tok/s 180.235, peak_mem 8.082GB\n"
    text = (
        "Iter 1: Val loss 0.690, Val chosen reward 0.100, Val rejected reward -0.100, Val took 1.0s\n"
        f"Iter 10: loss 0.612, chosen_r 0.100, rejected_r -0.200, acc 0.500, margin 0.300, {speed}"
    )
    run = one(tmp_path, write(tmp_path / "a.log", text)).merged
    assert [(row.kind, row.nats_per_target_token, row.others["loss"]) for row in run.rows] == [
        ("validation", None, 0.69),
        ("train", None, 0.612),
    ]


def test_a_cell_beyond_the_header_is_no_name(tmp_path: Path) -> None:
    (row,) = one(tmp_path, write(tmp_path / "m.csv", "iteration,train_loss\n10,2.5,mine\n")).merged.rows
    assert row.nats_per_target_token == 2.5
