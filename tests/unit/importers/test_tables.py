from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.importers.given import (
    GOLDEN,
    count,
    facts_of,
    kind_of,
    one,
    read,
    rows_of,
    setting,
    tensorboard_event,
    write,
)

from runoff.errors import ImportFailed


def test_trainer_state_is_exact_and_counts_updates() -> None:
    path = GOLDEN / "peft" / "checkpoint-16" / "trainer_state.json"
    assert kind_of(path) == "trainer_state.json"
    state = json.loads(path.read_text())
    facts = facts_of(path)
    assert len(facts.rows) == len([entry for entry in state["log_history"] if "loss" in entry or "eval_loss" in entry])
    row = facts.rows[0]
    assert (row.iteration, row.optimizer_updates, dict(row.rounding)) == (None, 2, {})
    assert {item.key: item.value for item in facts.counts} == {"optimizer_updates": 16, "epochs": 2.0, "valid_rows": 9}


def test_a_peft_folder_with_its_log_is_one_run_in_updates(tmp_path: Path) -> None:
    run = one(tmp_path, GOLDEN / "peft", GOLDEN / "trl_both_streams.log", name="peft")
    assert run.merged.tool == "trl"
    assert (setting(run, "lora_parameters.scale").value, setting(run, "num_layers").value) == (4.0, 2)
    assert count(run, "optimizer_updates").value == 16
    assert not count(run, "iterations").known
    assert not setting(run, "steps_per_eval").known
    assert setting(run, "steps_per_eval").declared == 5
    assert {row.optimizer_updates for row in run.merged.rows} <= {2, 4, 5, 6, 8, 10, 12, 14, 15, 16}
    assert {row.segment for row in run.merged.rows} == {0}


def test_scale_of_rslora_and_of_patterns(tmp_path: Path) -> None:
    base = {"peft_type": "LORA", "r": 16, "lora_alpha": 32, "target_modules": ["q_proj"], "use_rslora": True}
    path = write(tmp_path / "a" / "adapter_config.json", base)
    assert setting(one(tmp_path, path), "lora_parameters.scale").value == 8.0
    other = write(tmp_path / "b" / "adapter_config.json", base | {"alpha_pattern": {"q_proj": 64}})
    assert not setting(one(tmp_path, other), "lora_parameters.scale").known


def test_updates_become_iterations_where_the_accumulation_is_known(tmp_path: Path) -> None:
    yaml = "model_name_or_path: m\nstage: sft\nfinetuning_type: lora\ncutoff_len: 512\neval_steps: 5\n"
    path = write(tmp_path / "lf.yaml", yaml + "gradient_accumulation_steps: 8\nper_device_train_batch_size: 2\n")
    run = one(tmp_path, path)
    assert (run.merged.tool, setting(run, "steps_per_eval").value) == ("llama-factory", 40)
    assert count(run, "effective_batch_rows").value == 16


def test_llama_factory(tmp_path: Path) -> None:
    lines = [
        {"current_steps": 5, "total_steps": 20, "loss": 1.5, "lr": 5e-05, "epoch": 0.5, "percentage": 25.0},
        {"current_steps": 10, "total_steps": 20, "eval_loss": 1.4, "epoch": 1.0, "percentage": 50.0},
    ]
    path = write(tmp_path / "trainer_log.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    facts = facts_of(path)
    assert [(row.kind, row.optimizer_updates, row.nats_per_target_token) for row in facts.rows] == [
        ("train", 5, 1.5),
        ("validation", 10, 1.4),
    ]
    assert {clue.tool for clue in facts.clues} == {"llama-factory"}


def test_a_csv_with_clear_names(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", "iteration,train_loss,val_loss\n10,2.5,\n20,2.25,2.4\n")
    assert [(row.iteration, row.nats_per_target_token) for row in rows_of(path)] == [(10, 2.5), (20, 2.25)]
    assert [(row.iteration, row.place) for row in rows_of(path, "validation")] == [(20, "m.csv:3")]


def test_a_bare_step_wants_a_unit(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", "step,loss\n10,2.5\n")
    with pytest.raises(ImportFailed, match="--column iteration=step"):
        read(path)
    (row,) = read(path, {"optimizer_updates": "step"}).facts[0].rows
    assert (row.iteration, row.optimizer_updates, row.nats_per_target_token) == (None, 10, 2.5)


def test_a_column_of_another_name_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", "step,loss\n10,2.5\n")
    with pytest.raises(ImportFailed, match="can't map to steps"):
        read(path, {"steps": "step"})


def test_jsonl_with_a_cut_last_line(tmp_path: Path) -> None:
    path = write(tmp_path / "m.jsonl", '{"iteration": 10, "loss": 2.5}\n{"iteration": 20, "lo')
    reading = read(path)
    assert len(reading.facts[0].rows) == 1
    assert reading.tally.not_understood == 1


def test_tensorboard_scalars(tmp_path: Path) -> None:
    events = [(2, "train/loss", 2.5), (2, "train/learning_rate", 0.001), (300, "eval/loss", 2.25), (300, "x/y", 1.0)]
    raw = b"".join(tensorboard_event(*event) for event in events)
    facts = facts_of(write(tmp_path / "events.out.tfevents.1700000000.host", raw))
    assert [(row.kind, row.optimizer_updates, row.nats_per_target_token) for row in facts.rows] == [
        ("train", 2, 2.5),
        ("validation", 300, 2.25),
    ]
    assert facts.rows[0].learning_rate == pytest.approx(0.001)


def test_tensorboard_cut_short_keeps_what_is_whole(tmp_path: Path) -> None:
    raw = tensorboard_event(2, "train/loss", 2.5) + tensorboard_event(4, "train/loss", 2.0)[:-9]
    reading = read(write(tmp_path / "events.out.tfevents.1.host", raw))
    assert len(reading.facts[0].rows) == 1
    assert "cut short" in reading.tally.samples[0]


def test_tensorboard_with_tags_of_ones_own(tmp_path: Path) -> None:
    path = write(tmp_path / "events.out.tfevents.1.host", tensorboard_event(7, "Loss/train", 2.5))
    with pytest.raises(ImportFailed, match="--column train_loss=Loss/train"):
        read(path)
    (row,) = read(path, {"train_loss": "Loss/train", "iteration": "step"}).facts[0].rows
    assert (row.iteration, row.optimizer_updates) == (7, None)


def test_wandbs_local_files(tmp_path: Path) -> None:
    files = tmp_path / "run-20260101_120000-abc" / "files"
    write(files / "config.yaml", "_wandb:\n  value: {}\nlearning_rate:\n  value: 0.001\nmodel:\n  value: m\n")
    write(files / "wandb-summary.json", {"_step": 9, "train/loss": 1.5, "eval/loss": 1.6, "train/global_step": 40})
    write(files / "output.log", "{'loss': 1.6, 'grad_norm': 0.5, 'learning_rate': 1e-05, 'epoch': 0.15}\n")
    write(files.parent / "run-abc.wandb", b":W&B\x00")
    run = one(tmp_path, files.parent)
    assert setting(run, "learning_rate").value == 0.001
    assert {(row.kind, row.optimizer_updates) for row in run.merged.rows} == {
        ("train", None),
        ("train", 40),
        ("validation", 40),
    }
    assert any("curve" in note for note in run.merged.plan.notes)


def test_metrics_files_of_scripts(tmp_path: Path) -> None:
    path = write(
        tmp_path / "all_results.json", {"epoch": 3.0, "eval_loss": 1.5, "train_loss": 1.25, "eval_runtime": 1.0}
    )
    reading = read(path)
    assert {(row.kind, row.nats_per_target_token, row.epoch) for row in reading.facts[0].rows} == {
        ("train", 1.25, 3.0),
        ("validation", 1.5, 3.0),
    }
    assert {row.seconds for row in reading.facts[0].rows} == {None, 1.0}
    assert reading.tally.not_understood == 0


@pytest.mark.parametrize(
    ("line", "tool"),
    [
        ("  Step 5/60 | Loss: 1.2345 | Grad: 0.1234 | LR: 2.00e-04 | Tok/s: 812 | Peak: 8.08 GB", "unsloth-mlx"),
        ("Step 5 | loss:1.2345 lr:0.0002 tokens_per_second_per_gpu:123 ", "torchtune"),
        ("step 00005 (1.00%) | loss: 1.2345 | lrm: 1.00 | dt: 12.34ms | tok/sec: 1,234 | mfu: 1.23", "nanochat"),
    ],
)
def test_lines_of_other_trainers(tmp_path: Path, line: str, tool: str) -> None:
    facts = facts_of(write(tmp_path / "a.log", line + "\n"))
    (row,) = facts.rows
    assert (row.iteration, row.optimizer_updates, row.nats_per_target_token) == (None, 5, 1.2345)
    assert {clue.tool for clue in facts.clues} == {tool}


def test_unsloths_validation(tmp_path: Path) -> None:
    path = write(tmp_path / "a.log", "  Eval  10/60 | Val Loss: 1.2345 | Perplexity: 3.44\n")
    assert [(row.optimizer_updates, row.nats_per_target_token) for row in rows_of(path, "validation")] == [(10, 1.2345)]


@pytest.mark.parametrize(
    ("text", "losses"),
    [
        ("iteration;train_loss\n10;2,5\n20;2,25\n", [2.5, 2.25]),
        ("iteration;train_loss\n10;0,512\n20;2,251\n", [0.512, 2.251]),
        ('iteration,train_loss,tokens_per_second\n10,2.5,"1,250"\n20,2.25,900\n', [2.5, 2.25]),
    ],
)
def test_decimal_commas_are_no_thousands_separators(tmp_path: Path, text: str, losses: list[float]) -> None:
    rows = rows_of(write(tmp_path / "m.csv", text))
    assert [row.nats_per_target_token for row in rows] == losses
    assert rows[0].tokens_per_second in (None, 1250.0)


def test_a_comma_that_may_be_either_is_no_number(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", "iteration;train_loss\n10;2,512\n")
    with pytest.raises(ImportFailed, match=r"may be 2\.512 or 2512"):
        read(path)
    mixed = write(tmp_path / "n.csv", 'iteration,train_loss\n10,"2,5"\n20,2.25\n')
    reading = read(mixed)
    assert [row.iteration for row in reading.facts[0].rows] == [20]
    assert reading.tally.not_understood == 1


def test_a_list_of_records(tmp_path: Path) -> None:
    text = '[\n {"iteration": 10, "train_loss": 2.5},\n {"iteration": 20,\n  "val_loss": 2.25},\n {"iteration": 3'
    reading = read(write(tmp_path / "h.json", text))
    rows = reading.facts[0].rows
    assert [(row.kind, row.iteration, row.place) for row in rows] == [
        ("train", 10, "h.json:2"),
        ("validation", 20, "h.json:3"),
    ]
    assert reading.tally.not_understood == 1


@pytest.mark.parametrize("indent", [None, 1])
def test_trainers_mean_over_the_whole_run_is_no_final_loss(tmp_path: Path, indent: int | None) -> None:
    body = {"epoch": 2.0, "eval_loss": 1.5, "train_loss": 1.75, "train_runtime": 9.0, "total_flos": 1.0}
    (row,) = facts_of(write(tmp_path / "all_results.json", json.dumps(body, indent=indent))).rows
    assert (row.kind, row.nats_per_target_token) == ("validation", 1.5)


def test_ms_swift_counts_updates(tmp_path: Path) -> None:
    line = '{"loss": 2.31, "learning_rate": 1e-05, "epoch": 0.02, "global_step/max_steps": "5/94"}\n'
    (row,) = rows_of(write(tmp_path / "logging.jsonl", line))
    assert (row.iteration, row.optimizer_updates, row.nats_per_target_token) == (None, 5, 2.31)


def test_the_table_that_trainer_shows_in_a_notebook(tmp_path: Path) -> None:
    text = "Step\tTraining Loss\tValidation Loss\n10\tNo log\t2.600100\n20\t2.251000\t2.410000\n"
    facts = facts_of(write(tmp_path / "copied.txt", text))
    assert [(row.kind, row.iteration, row.optimizer_updates, row.nats_per_target_token) for row in facts.rows] == [
        ("validation", None, 10, 2.6001),
        ("train", None, 20, 2.251),
        ("validation", None, 20, 2.41),
    ]


def test_a_bare_step_beside_another_loss_stays_in_doubt(tmp_path: Path) -> None:
    with pytest.raises(ImportFailed, match="no row has both"):
        read(write(tmp_path / "m.csv", "Step,loss\n10,2.5\n"))


def test_a_comma_in_a_loss_is_no_thousand(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", 'iteration,train_loss\n10,"2,345"\n20,"2,123"\n')
    with pytest.raises(ImportFailed, match=r"m.csv:2: train_loss '2,345' may be 2.345 or 2345. Write"):
        read(path)
    path = write(tmp_path / "m.csv", 'iteration,train_loss,trained_tokens\n"1,000",2.345,"751,673"\n')
    (row,) = rows_of(path)
    assert (row.iteration, row.nats_per_target_token, row.target_tokens) == (1000, 2.345, 751673)


@pytest.mark.parametrize("between", [",", ";", "\t"])
def test_decimal_commas_of_a_spreadsheet(between: str, tmp_path: Path) -> None:
    cells = [["iteration", "train_loss", "learning_rate"], ["1.000", "2,345", "1,0E-05"], ["2.000", "2,12", "1,0E-05"]]
    text = "".join(between.join(f'"{cell}"' for cell in line) + "\r\n" for line in cells)
    for lead in ("", "sep=;\r\n" if between == ";" else "# by hand\n"):
        first, last = rows_of(write(tmp_path / "m.csv", lead + text))
        assert (first.iteration, first.nats_per_target_token, first.learning_rate) == (1000, 2.345, 1e-5)
        assert (last.iteration, last.nats_per_target_token) == (2000, 2.12)
        assert first.place == f"m.csv:{2 + bool(lead)}"


def test_a_cell_that_is_no_number_is_named(tmp_path: Path) -> None:
    reading = read(write(tmp_path / "m.csv", "iteration,train_loss,learning_rate\n10,2.5,slow\n20,2.4,1e-5\n"))
    assert [row.learning_rate for row in reading.facts[0].rows] == [None, 1e-5]
    assert reading.tally.samples == ["m.csv:2: learning_rate 'slow'"]


def test_headings_as_people_write_them(tmp_path: Path) -> None:
    path = write(tmp_path / "m.tsv", "Iteration\tTrain Loss\tVal Loss\tLearning-Rate\n10\t2.5\t2.6\t1e-5\n")
    assert [(row.kind, row.learning_rate) for row in facts_of(path).rows] == [("train", 1e-5), ("validation", 1e-5)]
    notebook = "Step\tTraining Loss\tValidation Loss\n10\t2.5\t2.6\n"
    assert {row.optimizer_updates for row in facts_of(write(tmp_path / "n.tsv", notebook)).rows} == {10}


def test_columns_that_nothing_reads_are_named(tmp_path: Path) -> None:
    facts = facts_of(write(tmp_path / "m.csv", "iteration,train_loss,step,mood\n10,2.5,3,good\n"))
    assert facts.notes == ("m.csv: columns not read: step, mood.",)
    assert facts_of(write(tmp_path / "n.csv", "iteration,train_loss\n10,2.5\n")).notes == ()


def test_curves_as_lists(tmp_path: Path) -> None:
    body = {"iterations": [10, 20], "train_losses": [2.5, 2.25], "val_losses": [2.4], "note": "mine"}
    facts = facts_of(write(tmp_path / "m.json", body))
    assert [(row.kind, row.iteration, row.nats_per_target_token) for row in facts.rows] == [
        ("train", 10, 2.5),
        ("train", 20, 2.25),
    ]
    assert facts.notes == ("m.json: not read, since the positions have 2 values: val_losses (1 value).",)
    doubt = write(tmp_path / "n.json", {"steps": [10, 20], "train_losses": [2.5, 2.25]})
    with pytest.raises(ImportFailed, match="--column iteration=step"):
        read(doubt)
    assert [row.iteration for row in read(doubt, {"iteration": "steps"}).facts[0].rows] == [10, 20]


def test_final_values_in_quotes(tmp_path: Path) -> None:
    body = {"final_train_loss": "1.443", "final_val_loss": "1,629", "iterations": 1800, "peak_memory": "8 GB"}
    reading = read(write(tmp_path / "m.json", body))
    (row,) = reading.facts[0].rows
    assert (row.kind, row.iteration, row.nats_per_target_token) == ("train", 1800, 1.443)
    assert reading.tally.samples == ["m.json:1: final_val_loss: '1,629'", "m.json:1: peak_memory: '8 GB'"]
