"""Logs and tables of torchtune, litgpt, lightning, keras, LLaMA-Factory and unsloth, as these tools leave them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from tests.unit.importers.given import codes, count, facts_of, one, read, rows_of, setting, write

from runoff.errors import ImportFailed
from runoff.importers import import_runs

LITGPT = (
    "Verifying settings ...\n"
    "Epoch 1 | iter 1 step 0 | loss train: 2.345, val: n/a | iter time: 812.12 ms\n"
    "Epoch 1 | iter 4 step 2 | loss train: 2.145, val: 2.201 | iter time: 612.12 ms (step)\n"
    "iter 4: val loss 2.2010, val time: 1234.56 ms\n"
)
LIGHTNING = (
    "epoch,lr-AdamW,step,train_loss_epoch,train_loss_step,val_loss\n"
    "0,,49,,2.31,\n0,,99,,2.21,\n0,,99,,,2.25\n0,,99,2.28,,\n1,,149,,2.11,\n1,,199,,,2.15\n"
)
REPORTS = [
    {"current_steps": 5, "total_steps": 20, "loss": 1.5, "lr": 5e-05, "epoch": 0.5},
    {"current_steps": 10, "total_steps": 20, "eval_loss": 1.45, "epoch": 1.0},
]
LAST = {"current_steps": 20, "total_steps": 20, "epoch": 2.0, "percentage": 100.0, "elapsed_time": "0:00:52"}


def lines(rows: Sequence[Mapping[str, object]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_litgpt(tmp_path: Path) -> None:
    facts = facts_of(write(tmp_path / "a.log", LITGPT))
    assert [(row.kind, row.iteration, row.optimizer_updates, row.nats_per_target_token) for row in facts.rows] == [
        ("train", 1, 0, 2.345),
        ("train", 4, 2, 2.145),
        ("validation", 4, None, 2.201),
    ]
    assert facts.rows[-1].seconds == pytest.approx(1.23456)
    assert {clue.tool for clue in facts.clues} == {"litgpt"}


def test_torchtunes_bar_is_a_report_however_often_it_is_drawn(tmp_path: Path) -> None:
    bars = [f"{1 + update // 50}|{update}|Loss: {3 - update / 100}:   4%|4  | {update}/99 [00:04<01:38,  2.05s/it]"
            for update in range(1, 60)]  # fmt: skip
    drawn = "\r".join(bar for bar in bars for _ in range(3))
    rows = rows_of(write(tmp_path / "a.log", f"Running LoRAFinetuneRecipe\n\r{drawn}"))
    assert [row.optimizer_updates for row in rows] == list(range(1, 60))
    assert rows[-1].nats_per_target_token == pytest.approx(3 - 59 / 100)
    assert {row.segment for row in rows} == {0}


def test_an_unknown_form_of_metrics_is_said_not_passed_over(tmp_path: Path) -> None:
    text = (
        "Epoch 1/3\n10/10 - 1s - loss: 2.3012 - val_loss: 2.4011\nstep 4, train_loss = 2.25\nusing loss function nll\n"
    )
    path = write(tmp_path / "keras.log", text)
    assert read(path).tally.not_understood == 2
    with pytest.raises(ImportFailed) as failed:
        import_runs([path], root=tmp_path / "runs")
    assert str(failed.value) == (
        "nothing to import: keras.log holds no metrics in a form that is known, though 2 lines may be some, as "
        "'keras.log:2: 10/10 - 1s - loss: 2.3012 - val_loss: 2.4011'."
    )


def test_keras_counts_epochs_from_0(tmp_path: Path) -> None:
    facts = facts_of(write(tmp_path / "training.csv", "epoch,loss,val_loss\n0,2.3,2.4\n1,2.1,2.2\n"))
    assert [(row.kind, row.epoch) for row in facts.rows] == [
        ("train", 1.0),
        ("validation", 1.0),
        ("train", 2.0),
        ("validation", 2.0),
    ]
    assert facts.notes == (
        "training.csv: its epochs count from 0 (a training loss stands at 0), so each is one more here.",
    )
    usual = facts_of(write(tmp_path / "b.csv", "epoch,loss,val_loss\n1,2.3,2.4\n2,2.1,2.2\n"))
    assert ([row.epoch for row in usual.rows], usual.notes) == ([1.0, 1.0, 2.0, 2.0], ())


@pytest.mark.parametrize("text", [LIGHTNING, LIGHTNING.replace("train_loss_step", "my_loss")])
def test_the_number_of_a_pass_is_no_position(text: str, tmp_path: Path) -> None:
    path = write(tmp_path / "metrics.csv", text)
    with pytest.raises(ImportFailed, match=r"be named: --column optimizer_updates=step or --column iteration=step\.$"):
        read(path)
    (facts,) = read(path, {"optimizer_updates": "step"}).facts
    assert [row.optimizer_updates for row in facts.rows if row.kind == "validation"] == [99, 199]
    if text == LIGHTNING:
        assert [row.optimizer_updates for row in facts.rows if row.kind == "train"] == [49, 99, 149]
        assert {row.epoch for row in facts.rows} == {None}
        assert "its epochs say which pass a row is in" in facts.notes[0]


def test_an_entry_of_trainers_history_needs_no_map(tmp_path: Path) -> None:
    entry = {"loss": 2.5, "grad_norm": 1.0, "epoch": 1.0, "step": 6}
    tested = {"eval_loss": 2.4, "eval_samples_per_second": 9.0, "epoch": 1.0, "step": 6}
    rows = facts_of(write(tmp_path / "history.json", json.dumps([entry, tested]))).rows
    assert [(row.kind, row.optimizer_updates, row.epoch) for row in rows] == [("train", 6, 1.0), ("validation", 6, 1.0)]


def test_llama_factorys_last_line_tells_how_far_it_came(tmp_path: Path) -> None:
    whole = write(tmp_path / "a" / "trainer_log.jsonl", lines([*REPORTS, LAST]))
    assert read(whole).tally.not_understood == 0
    run = one(tmp_path, whole)
    assert (count(run, "optimizer_updates").value, count(run, "epochs").value) == (20, 2.0)
    assert "I108" not in codes(run)
    killed = one(tmp_path, write(tmp_path / "b" / "trainer_log.jsonl", lines(REPORTS)))
    assert (count(killed, "optimizer_updates").value, "I108" in codes(killed)) == (10, True)


@pytest.mark.parametrize(
    ("asked", "agree"), [("all", True), ("q_proj,v_proj", True), ("[v_proj, q_proj]", True), ("k_proj", False)]
)
def test_layers_asked_for_in_another_form_are_no_disagreement(asked: str, agree: bool, tmp_path: Path) -> None:
    peft = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["v_proj", "q_proj"]}
    write(tmp_path / "out" / "adapter_config.json", peft)
    text = f"model_name_or_path: m\nstage: sft\ncutoff_len: 512\nfinetuning_type: lora\nlora_target: {asked}\n"
    write(tmp_path / "out" / "training_args.yaml", text)
    run = one(tmp_path, tmp_path / "out")
    assert setting(run, "lora_parameters.keys").value == ["q_proj", "v_proj"]
    assert ("I102" not in codes(run)) == agree


def test_a_log_of_all_its_epochs_made_all_its_updates(tmp_path: Path) -> None:
    banner = (
        "   \\\\   /|    Num examples = 1,367 | Num Epochs = 3 | Total steps = 513\n"
        "O^O/ \\_/ \\    Batch size per device = 2 | Gradient accumulation steps = 4\n"
    )
    reports = "{'loss': 1.9432, 'grad_norm': 0.88, 'learning_rate': 2e-05, 'epoch': 0.01}\n" * 2
    end = "{'train_runtime': 612.1, 'train_samples_per_second': 6.7, 'train_steps_per_second': 0.838, 'epoch': %s}\n"
    whole = one(tmp_path, write(tmp_path / "a.log", banner + reports + end % "3.0"))
    assert (count(whole, "optimizer_updates").value, count(whole, "iterations").value) == (513, 2052)
    early = one(tmp_path, write(tmp_path / "b.log", banner + reports + end % "1.5"))
    assert not count(early, "optimizer_updates").known
