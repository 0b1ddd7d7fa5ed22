"""trainer_state.json beside logs, checkpoints and results: of runs resumed, stopped early, evaluated again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.importers.given import codes, count, one, setting, write

from runoff.importers import ImportedRun, import_runs

BAR = "{'loss': '2.0', 'grad_norm': '1.0', 'learning_rate': '0.001', 'epoch': '0.5'}\n"


def state(path: Path, *, step: int = 12, epoch: float = 2.0, every: int = 2, **changes: Any) -> Path:
    per = step / epoch
    history: list[dict[str, Any]] = [
        {"step": at, "epoch": at / per, "loss": 3 - at / 100} for at in range(every, step + 1, every)
    ]
    history += [{"step": at, "epoch": at / per, "eval_loss": 3.5 - at / 100, "eval_runtime": 0.5 + at / 100}
                for at in range(5, step + 1, 5)]  # fmt: skip
    body = {"global_step": step, "max_steps": step, "epoch": epoch, "num_train_epochs": round(epoch + 0.49)}
    body |= {"logging_steps": every, "eval_steps": 5, "save_steps": 500, "train_batch_size": 2}
    return write(path, body | {"log_history": sorted(history, key=lambda entry: entry["step"])} | changes)


def notes(run: ImportedRun) -> str:
    return "\n".join(run.merged.plan.notes)


def test_settings_of_a_resumed_run_are_those_of_its_latest_part(tmp_path: Path) -> None:
    state(tmp_path / "out" / "checkpoint-6" / "trainer_state.json", step=6, epoch=1.0)
    state(tmp_path / "out" / "trainer_state.json", step=18, epoch=3.0)
    run = one(tmp_path, tmp_path / "out")
    assert (setting(run, "epochs").value, setting(run, "epochs").declared) == (3, 1)
    assert setting(run, "iters").declared == 18
    assert setting(run, "epochs").origin.why == "it is of the run's latest part"
    assert {found.level for found in run.merged.plan.findings if found.code == "I102"} == {"note"}


def test_early_stopping_is_an_end_and_is_told(tmp_path: Path) -> None:
    def stopped(name: str, *, waited: int, ended: bool) -> ImportedRun:
        end = [{"step": 12, "epoch": 2.0, "train_runtime": 9.0, "train_loss": 2.5}] if ended else []
        history = [{"step": 12, "epoch": 2.0, "loss": 2.0}, *end]
        callback = {
            "args": {"early_stopping_patience": 2},
            "attributes": {"early_stopping_patience_counter": waited},
        }
        changes: dict[str, Any] = {
            "max_steps": 36,
            "log_history": history,
            "stateful_callbacks": {"EarlyStoppingCallback": callback},
        }
        return one(tmp_path, state(tmp_path / name / "trainer_state.json", **changes))

    early = stopped("a", waited=2, ended=True)
    assert "early stopping ended it at optimizer update 12 of 36 (patience 2)." in notes(early)
    assert "I108" not in codes(early)
    killed = stopped("b", waited=1, ended=False)
    assert "early stopping" not in notes(killed)
    assert "I108" in codes(killed)


def test_a_best_checkpoint_that_is_not_the_last_is_told(tmp_path: Path) -> None:
    best: dict[str, Any] = {"best_global_step": 10, "best_model_checkpoint": "out/checkpoint-10", "best_metric": 3.4}
    assert "best validation was at optimizer update 10 of 12; with load_best_model_at_end" in notes(
        one(tmp_path, state(tmp_path / "a" / "trainer_state.json", **best))
    )
    last = best | {"best_global_step": 12}
    assert "best validation" not in notes(one(tmp_path, state(tmp_path / "b" / "trainer_state.json", **last)))
    assert "best validation" not in notes(one(tmp_path, state(tmp_path / "c" / "trainer_state.json")))


@pytest.mark.parametrize(
    ("step", "epoch", "planned", "written", "told"),
    [
        (12, 2.0, 12, 2, True),
        (7, 1.75, 7, 2, False),  # max_steps: 7, of which Trainer makes 2 epochs
        (15, 2.5, 15, 3, False),  # num_train_epochs: 2.5
        (7, 7 / 6, 12, 2, True),  # cut short
        (7, 7 / 6, 15, 3, False),
        (6, 1.5, 7, 2, False),
    ],
)
def test_epochs_that_trainer_rounded_up_are_no_setting(
    step: int, epoch: float, planned: int, written: int, told: bool, tmp_path: Path
) -> None:
    path = state(tmp_path / "trainer_state.json", step=step, epoch=epoch, max_steps=planned, num_train_epochs=written)
    run = one(tmp_path, path)
    assert ("epochs" in run.merged.plan.settings) == told
    assert count(run, "epochs").value == epoch


def test_an_interval_counts_only_where_it_was_due_each_time(tmp_path: Path) -> None:
    by_epochs = state(tmp_path / "a" / "trainer_state.json", every=6, logging_steps=2, eval_steps=2)
    assert not {"steps_per_report", "steps_per_eval"} & set(one(tmp_path, by_epochs).merged.plan.settings)
    by_updates = one(tmp_path, state(tmp_path / "b" / "trainer_state.json", every=2))
    assert (setting(by_updates, "steps_per_report").declared, setting(by_updates, "steps_per_eval").declared) == (2, 5)


def test_trainers_results_belong_to_the_folder_and_are_understood(tmp_path: Path) -> None:
    folder = tmp_path / "my_run"
    state(folder / "trainer_state.json")
    speed = {"train_runtime": 9.0, "train_samples_per_second": 5.3, "total_flos": 1.0}
    train = {"epoch": 2.0, "train_loss": 2.5, "train_samples": 24, **speed}
    tested = {"epoch": 2.0, "eval_loss": 3.4, "eval_runtime": 0.6, "eval_samples": 6, "eval_samples_per_second": 9.0}
    write(folder / "train_results.json", train)
    write(folder / "eval_results.json", tested)
    write(folder / "all_results.json", train | tested)
    run = one(tmp_path, folder)
    assert (run.merged.name, count(run, "train_rows").value, count(run, "valid_rows").value) == ("my_run", 24, 6)
    assert not [found for found in run.merged.plan.findings if found.code in ("I104", "I106")]
    assert count(run, "validations").value == 3


@pytest.mark.parametrize(("loss", "again"), [("3.4", False), ("3.1", True)])
def test_an_evaluation_after_the_training_is_no_restart(loss: str, again: bool, tmp_path: Path) -> None:
    """With load_best_model_at_end its loss is another one than the last of the curve."""
    state(tmp_path / "out" / "checkpoint-10" / "trainer_state.json", step=10)
    log = (
        BAR.replace("2.0", "2.9").replace("0.5'", "2'")
        + "{'eval_loss': '3.4', 'eval_runtime': '0.6', 'epoch': '2'}\n"
        + "{'train_runtime': '9.0', 'train_loss': '2.5', 'epoch': '2'}\n"
        + f"{{'eval_loss': '{loss}', 'eval_runtime': '0.7', 'epoch': '2'}}\n"
    )
    write(tmp_path / "out" / "train.log", log)
    run = one(tmp_path, tmp_path / "out")
    assert "I106" not in codes(run)
    assert {row.segment for row in run.merged.rows} == {0}
    assert [row.nats_per_target_token for row in run.merged.rows if row.kind == "validation"] == [3.45, 3.4]
    events = [row.text for row in run.merged.rows if row.kind == "event"]
    assert events == [f"evaluated again after the training: loss {loss}"]
    results = write(
        tmp_path / "out" / "eval_results.json", {"epoch": 2.0, "eval_loss": float(loss), "eval_runtime": 0.7}
    )
    both = one(tmp_path, tmp_path / "out", results)
    assert "I104" not in codes(both)
    told = [row.text for row in both.merged.rows if row.kind == "event"]
    assert (f"evaluated again: loss {loss}" in told) == again


def test_a_restart_is_still_one(tmp_path: Path) -> None:
    state(tmp_path / "out" / "trainer_state.json")
    write(
        tmp_path / "out" / "train.log", "{'loss': 1.1, 'grad_norm': 1.0, 'learning_rate': 0.001, 'epoch': 0.33}\n" * 2
    )
    assert "I106" in codes(one(tmp_path, tmp_path / "out"))


def test_an_exact_count_goes_before_a_printed_one_in_any_order(tmp_path: Path) -> None:
    write(tmp_path / "out" / "a.log", "{'train_runtime': '9.0', 'train_loss': '2.5', 'epoch': '2'}\n")
    state(tmp_path / "out" / "trainer_state.json")
    epochs = count(one(tmp_path, tmp_path / "out"), "epochs")
    assert (epochs.value, epochs.origin.why) == (2.0, None)
    assert str(epochs.origin.place).startswith("out/trainer_state.json")


def ended(step: int, epoch: float, rows: float, seconds: float, **changes: Any) -> list[dict[str, Any]]:
    end = {"step": step, "epoch": epoch, "train_runtime": round(seconds, 4), "train_loss": 2.0}
    end |= {"train_samples_per_second": round(rows / seconds, 3), "train_steps_per_second": round(step / seconds, 3)}
    return [{"step": step, "epoch": epoch, "loss": 2.0}, end]


@pytest.mark.parametrize(
    ("rows", "epochs", "updates", "batch", "seconds", "effective"),
    [
        (1367, 3, 513, 2, 4321.7, 8),  # 171 updates of 8 rows an epoch, the last of 7
        (1600, 2, 100, 2, 3600.1, 32),
        (24, 2, 12, 2, 0.4789, 4),
        (9, 1, 3, 4, 2.0, 4),
        (9, 1, 3, 1, 2.0, None),  # 3 or 4: too few updates to tell
        (1600, 2, 100, 2, 360_000.0, None),  # 0.009 rows a second leave several numbers
    ],
)
def test_rows_of_an_update_by_trainers_own_rates(
    rows: int, epochs: int, updates: int, batch: int, seconds: float, effective: int | None, tmp_path: Path
) -> None:
    history = ended(updates, epochs, rows * epochs, seconds)
    path = state(
        tmp_path / "trainer_state.json", step=updates, epoch=epochs, log_history=history, train_batch_size=batch
    )
    run = one(tmp_path, path)
    assert count(run, "effective_batch_rows").value == effective
    if effective:
        assert "rows an update in the mean" in str(count(run, "effective_batch_rows").origin.why)
        least, _, most = str(count(run, "train_rows").origin.why).split(" by ")[0].partition(" to ")
        assert int(least) <= rows <= int(most)
    else:
        assert count(run, "effective_batch_rows").origin.why == "grad_accumulation_steps is unknown"


@pytest.mark.parametrize(("rows", "seconds", "told"), [(342, 28.9284, 342), (6, 0.0338, 6), (342, 0.0009, None)])
def test_rows_of_an_evaluation_by_its_rate(rows: int, seconds: float, told: int | None, tmp_path: Path) -> None:
    rates = {"eval_runtime": round(seconds, 4), "eval_samples_per_second": round(rows / (seconds + 4e-5), 3)}
    history = [{"step": 12, "epoch": 2.0, "eval_loss": 2.0, **rates}]
    run = one(tmp_path, state(tmp_path / "a" / "trainer_state.json", log_history=history))
    assert count(run, "valid_rows").value == told
    printed = {key: f"{value:.4g}" for key, value in {"eval_loss": 2.0, **rates, "epoch": 2.0}.items()}
    log = one(tmp_path, write(tmp_path / "b.log", f"{printed}\n"))
    assert count(log, "valid_rows").value in (told, None), "four digits leave fewer numbers certain, never a wrong one"


def test_the_adapters_of_one_training_are_one_run_each_and_say_so(tmp_path: Path) -> None:
    """PEFT saves the first adapter in the folder itself and each other one in a folder of its name."""
    out = tmp_path / "out"
    peft = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"]}
    for folder in (out / "checkpoint-6", out / "checkpoint-12", out):
        write(folder / "adapter_config.json", peft)
        write(folder / "second" / "adapter_config.json", peft | {"r": 8})
    state(out / "checkpoint-12" / "trainer_state.json")
    made = {each.merged.name: each for each in import_runs([out], root=tmp_path / "runs").imported}
    assert {name: setting(run, "lora_parameters.rank").value for name, run in made.items()} == {"out": 4, "second": 8}
    told = (
        "second lies in the folder of out, which has an adapter of its own: which of the two the losses are of, no file"
    )
    assert all(told in notes(run) for run in made.values())
    for path in out.rglob("second/adapter_config.json"):
        path.unlink()
    assert told not in notes(one(tmp_path, out))
