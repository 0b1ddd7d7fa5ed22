from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.importers.given import GOLDEN, count, facts_of, one, rows_of, write

from runoff.runs import load_run


def test_version_4_prints_numbers(tmp_path: Path) -> None:
    text = "{'loss': 2.345, 'grad_norm': 0.58, 'learning_rate': 1e-05, 'epoch': 0.15}\n"
    facts = facts_of(write(tmp_path / "a.log", text))
    (row,) = facts.rows
    assert (row.nats_per_target_token, row.gradient_norm, row.learning_rate, row.epoch) == (2.345, 0.58, 1e-05, 0.15)
    assert (row.iteration, row.optimizer_updates) == (None, None)
    assert dict(row.rounding) == {"nats_per_target_token": 5e-05, "epoch": 5e-03}
    assert facts.clues[0].before == "5.0.0"


def test_version_5_prints_four_digits_as_text(tmp_path: Path) -> None:
    text = "{'loss': '6.39', 'grad_norm': '0.3582', 'learning_rate': '0.0006913', 'epoch': '0.1538'}\n"
    (row,) = rows_of(write(tmp_path / "a.log", text))
    assert row.rounding["nats_per_target_token"] == pytest.approx(5e-4)
    assert row.rounding["learning_rate"] == pytest.approx(5e-8)


def test_the_bar_behind_a_report_tells_the_updates_as_trainer_state_has_them() -> None:
    rows = rows_of(GOLDEN / "trl_both_streams.log") + rows_of(GOLDEN / "trl_both_streams.log", "validation")
    state = json.loads((GOLDEN / "peft" / "checkpoint-16" / "trainer_state.json").read_text())
    truth = {
        ("loss" in entry, entry["step"]): entry.get("loss", entry.get("eval_loss")) for entry in state["log_history"]
    }
    read = {(row.kind == "train", row.optimizer_updates): row.nats_per_target_token for row in rows}
    assert read == {key: pytest.approx(loss, abs=6e-4) for key, loss in truth.items()}


@pytest.mark.parametrize("file", ["trl_both_streams.log", "peft/checkpoint-16/trainer_state.json"])
def test_trls_own_measures_are_kept_under_names_with_their_units(file: str) -> None:
    row = rows_of(GOLDEN / file)[0]
    assert dict(row.others) == {
        "entropy_nats_per_target_token": pytest.approx(5.036, abs=5e-4),
        "top_token_share": 0.0,
        "read_tokens": 405.0,
    }
    validation = rows_of(GOLDEN / file, "validation")[0]
    assert validation.others["read_tokens"] == 1101.0
    assert validation.others.keys() == row.others.keys(), "times are none of them"


def test_what_is_kept_besides_reaches_the_run_folder(tmp_path: Path) -> None:
    run = one(tmp_path, GOLDEN / "trl_stdout.log").run
    assert run is not None
    assert load_run(run.folder.path).metrics[0].others.keys() == {
        "entropy_nats_per_target_token",
        "top_token_share",
        "read_tokens",
    }


def test_without_the_bar_the_updates_are_unknown() -> None:
    assert {row.optimizer_updates for row in rows_of(GOLDEN / "trl_stdout.log")} == {None}


def test_the_banner_of_trainer_and_of_unsloth(tmp_path: Path) -> None:
    trainer = (
        "***** Running training *****\n  Num examples = 1,367\n  Num Epochs = 3\n"
        "  Instantaneous batch size per device = 2\n"
        "  Total train batch size (w. parallel, distributed & accumulation) = 8\n"
        "  Gradient Accumulation steps = 4\n  Total optimization steps = 513\n"
        "***** Running Evaluation *****\n  Num examples = 342\n"
        "trainable params: 6,717,440 || all params: 3,081,816,064 || trainable%: 0.2180\n"
    )
    facts = facts_of(write(tmp_path / "a.log", trainer))
    assert {item.key: item.value for item in facts.settings} == {
        "num_train_epochs": 3,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 4,
        "max_steps": 513,
    }
    counts = {item.key: item.value for item in facts.counts}
    assert (counts["train_rows"], counts["valid_rows"], counts["effective_batch_rows"]) == (1367, 342, 8)
    assert counts["trainable_parameters"] == 6717440


def test_a_dictionary_cut_in_the_middle_is_not_understood(tmp_path: Path) -> None:
    path = write(tmp_path / "a.log", "{'loss': 2.3, 'epoch': 0.1}\n{'loss': 2.345, 'grad_norm': 0.5")
    assert len(rows_of(path)) == 1


def test_axolotl_is_known_by_its_memory_fields(tmp_path: Path) -> None:
    text = "{'loss': 2.3, 'memory/max_allocated (GiB)': 3.2, 'ppl': 9.9, 'epoch': 0.1}\n"
    assert {clue.tool for clue in facts_of(write(tmp_path / "a.log", text)).clues} == {"transformers", "axolotl"}


def test_unsloths_banner_and_the_epochs_at_the_end(tmp_path: Path) -> None:
    text = """\
==((====))==  Unsloth - 2x faster free finetuning | Num GPUs used = 1
   \\\\   /|    Num examples = 1,000 | Num Epochs = 1 | Total steps = 60
O^O/ \\_/ \\    Batch size per device = 2 | Gradient accumulation steps = 4
{'loss': 1.8239, 'grad_norm': 0.58, 'learning_rate': 4e-05, 'epoch': 0.01}
{'train_runtime': 123.4, 'train_steps_per_second': 0.48, 'train_loss': 1.76, 'epoch': 0.48}
"""
    run = one(tmp_path, write(tmp_path / "u.log", text))
    assert run.merged.tool == "unsloth"
    assert (count(run, "epochs").value, count(run, "epochs").origin.place) == (0.48, "u.log:5")
    assert (count(run, "train_rows").value, count(run, "effective_batch_rows").value) == (1000, 8)
    assert not count(run, "optimizer_updates").known


def test_the_bar_tells_how_many_updates_were_planned(tmp_path: Path) -> None:
    report = "{{'loss': '2.3', 'epoch': '0.{at}'}}\n 17%|#7 | {at}/12 [00:00<00:00, 42.42it/s]\r"
    killed = one(tmp_path, write(tmp_path / "a.log", "".join(report.format(at=at) for at in (2, 4, 6))))
    (early,) = [found for found in killed.merged.plan.findings if found.code == "I108"]
    assert early.what == "The files end at optimizer update 6 of 12."
    end = "{'train_runtime': '9.0', 'train_loss': '2.5', 'epoch': '0.6'}\n"
    ended = one(tmp_path, write(tmp_path / "b.log", "".join(report.format(at=at) for at in (2, 4, 6)) + end))
    assert not [found for found in ended.merged.plan.findings if found.code == "I108"]
    once = one(tmp_path, write(tmp_path / "c.log", report.format(at=2)))
    assert "iters" not in once.merged.plan.settings, "one bar may be an evaluation's"
