"""A run that was killed and resumed is, to the bit, the run that was never killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.fake_engine import FakeBase, FakeEngine
from tests.support.runs import (
    Killed,
    assert_same,
    fake_train,
    killer,
    make_config,
    make_data,
    of_kind,
    without_times,
    write_rows,
)

from runoff.data import Batch
from runoff.errors import RunError
from runoff.plan import AdapterSpec
from runoff.runs import RunFolder, load_run
from runoff.training.state import load_checkpoint, load_snapshot

REPOSITORY = Path(__file__).parents[3]


SETTINGS: dict[str, dict[str, Any]] = {
    "adam, windows of 3": {},
    "momentum, clipped, schedule": {
        "optimizer": "sgd",
        "optimizer_config": {"sgd": {"momentum": 0.9}},
        "max_grad_norm": 0.2,
        "lr_schedule": {"name": "linear_schedule", "arguments": [0.1, 0.01, 6], "warmup": 1},
        "steps_per_eval": 4,
    },
    "stops early": {"early_stopping": {"patience": 2, "min_improvement": 5.0}, "steps_per_eval": 4, "save_every": 3},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_killed_at_any_event_and_resumed_it_equals_the_uninterrupted_run(
    tiny_model: Path, tiny_data: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    events: list[object] = []
    config = make_config(tiny_model, tiny_data, **settings)
    whole = fake_train(config, "whole", tmp_path / "runs", listen=events.append)
    first_checkpoint = next(at for at, event in enumerate(events) if getattr(event, "kind", "") == "checkpoint")
    random = np.random.Generator(np.random.PCG64(len(events)))
    last_ones = [len(events) - 2, len(events) - 1]
    for event in {*random.choice(np.arange(first_checkpoint + 1, len(events)), 6).tolist(), *last_ones}:
        name = f"killed-{event}"
        with pytest.raises(Killed):
            fake_train(config, name, tmp_path / "runs", listen=killer(event))
        resumed = fake_train(config, name, tmp_path / "runs", resume=True)
        assert resumed.identity.status == "finished"
        assert_same(resumed, whole)


def test_killed_again_and_again_in_the_middle_of_a_window(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    config = make_config(tiny_model, tiny_data, save_every=1, grad_accumulation_steps=5)
    whole = fake_train(config, "whole", tmp_path / "runs")
    with pytest.raises(Killed):
        fake_train(config, "killed", tmp_path / "runs", listen=killer(5))
    pending = set()
    for event in (3, 4, 7, 2, 5):
        pending.add(load_checkpoint(RunFolder(tmp_path / "runs" / "killed").last_checkpoint).progress.pending_batches)
        with pytest.raises(Killed):
            fake_train(config, "killed", tmp_path / "runs", resume=True, listen=killer(event))
    assert pending - {0}, "no checkpoint lay inside a window, so this test shows nothing"
    assert_same(fake_train(config, "killed", tmp_path / "runs", resume=True), whole)


def test_a_better_adapter_from_after_the_checkpoint_does_not_ship_under_an_older_name(
    tiny_model: Path, tiny_data: Path, tmp_path: Path
) -> None:
    """Killed after a validation that was the best but not yet in a checkpoint, resumed, stopped before it."""
    config = make_config(tiny_model, tiny_data, save_every=7, steps_per_eval=6)
    whole = fake_train(make_config(tiny_model, tiny_data, save_every=1), "whole", tmp_path / "runs")
    with pytest.raises(Killed):
        fake_train(config, "killed", tmp_path / "runs", listen=at_iteration(13))
    folder = load_run("killed", tmp_path / "runs").folder
    assert load_checkpoint(folder.last_checkpoint).progress.iteration == 7
    assert np.array_equal(load_snapshot(folder.best_snapshot), load_snapshot(whole.folder.snapshot(12)))
    resumed = fake_train(config, "killed", tmp_path / "runs", resume=True, base=StoppableBase(at=1))
    assert resumed.identity.status == "interrupted"
    assert resumed.identity.result["iterations"] == 8
    assert resumed.identity.result["adapter_iteration"] == 6
    assert np.array_equal(load_snapshot(folder.best_snapshot), load_snapshot(whole.folder.snapshot(6)))
    assert not folder.validation(12).exists()


def at_iteration(iteration: int) -> Any:
    def listen(event: Any) -> None:
        if event.iteration == iteration:
            raise Killed

    return listen


@dataclass
class Stoppable(FakeEngine):
    """Sends this process a real SIGINT in the middle of one iteration."""

    at: int = 0
    signals: int = 1
    count: list[int] = field(default_factory=list)

    def accumulate(self, batch: Batch, weight: float = 1.0) -> float:
        nats = super().accumulate(batch, weight)
        self.count.append(1)
        if len(self.count) == self.at:
            for _ in range(self.signals):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.01)
        return nats


@dataclass
class StoppableBase(FakeBase):
    at: int = 0
    signals: int = 1

    def attach(self, spec: AdapterSpec | None, *, seed: int = 0, checkpointing: bool = False) -> FakeEngine:
        return Stoppable(spec, np.random.Generator(np.random.PCG64(seed)), at=self.at, signals=self.signals)


def test_ctrl_c_ends_cleanly_after_the_iteration_with_what_was_learnt(
    tiny_model: Path, tiny_data: Path, tmp_path: Path
) -> None:
    config = make_config(tiny_model, tiny_data)
    whole = fake_train(make_config(tiny_model, tiny_data, save_every=1), "whole", tmp_path / "runs")
    before = signal.getsignal(signal.SIGINT)
    run = fake_train(config, "stopped", tmp_path / "runs", base=StoppableBase(at=8))
    assert signal.getsignal(signal.SIGINT) is before
    assert run.identity.status == "interrupted"
    assert run.identity.result["reason"] == "stopped by the user after iteration 8"
    checkpoint = load_checkpoint(run.folder.last_checkpoint)
    assert checkpoint.progress.iteration == 8
    assert np.array_equal(checkpoint.parameters, load_snapshot(whole.folder.snapshot(8)))
    assert run.identity.result["adapter_iteration"] == 6
    assert (run.folder.adapter / "adapter_model.safetensors").exists()


def test_a_stopped_run_goes_on_to_what_it_would_have_been(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    config = make_config(tiny_model, tiny_data)
    whole = fake_train(config, "whole", tmp_path / "runs")
    fake_train(config, "stopped", tmp_path / "runs", base=StoppableBase(at=8))
    resumed = fake_train(config, "stopped", tmp_path / "runs", resume=True)
    assert resumed.identity.status == "finished"
    left, right = (load_checkpoint(run.folder.last_checkpoint) for run in (resumed, whole))
    assert np.array_equal(left.parameters, right.parameters)
    assert left.random_state == right.random_state
    rows = [row for row in without_times(resumed.metrics) if (row["kind"], row["iteration"]) != ("checkpoint", 8)]
    assert rows == without_times(whole.metrics)


def test_a_second_ctrl_c_stops_at_once_and_the_last_checkpoint_stays(
    tiny_model: Path, tiny_data: Path, tmp_path: Path
) -> None:
    config = make_config(tiny_model, tiny_data)
    with pytest.raises(KeyboardInterrupt):
        fake_train(config, "stopped", tmp_path / "runs", base=StoppableBase(at=8, signals=2))
    run = load_run("stopped", tmp_path / "runs")
    assert run.identity.status == "interrupted"
    assert run.identity.result["reason"].startswith("stopped at once by the user")
    assert load_checkpoint(run.folder.last_checkpoint).progress.iteration == 5
    whole = fake_train(config, "whole", tmp_path / "runs")
    assert_same(fake_train(config, "stopped", tmp_path / "runs", resume=True), whole)


SCRIPT = """
import sys, time
from pathlib import Path
from tests.support.runs import fake_train, make_config
def listen(event):
    print(type(event).__name__, event.iteration, flush=True)
    time.sleep(0.02)
model, data, root = map(Path, sys.argv[1:])
run = fake_train(make_config(model, data), "run", root, listen=listen)
print("ended", run.identity.status, flush=True)
"""


def started(model: Path, data: Path, root: Path, until: str) -> subprocess.Popen[str]:
    """A training in another process, once it has printed a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(model), str(data), str(root)],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'src'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    heard = []
    for line in process.stdout:
        heard.append(line)
        if line.startswith(until):
            return process
    raise AssertionError("".join(heard))


def test_a_killed_process_leaves_a_run_that_can_be_resumed_to_the_bit(
    tiny_model: Path, tiny_data: Path, tmp_path: Path
) -> None:
    process = started(tiny_model, tiny_data, tmp_path / "runs", "Tick 13")
    process.kill()
    process.communicate(timeout=30)
    run = load_run("run", tmp_path / "runs")
    assert run.identity.status == "running"
    assert load_checkpoint(run.folder.last_checkpoint).progress.iteration == 10
    config = make_config(tiny_model, tiny_data)
    resumed = fake_train(config, "run", tmp_path / "runs", resume=True)
    assert_same(resumed, fake_train(config, "whole", tmp_path / "runs"))


def test_sigint_and_a_second_training_into_the_folder_of_a_living_one(
    tiny_model: Path, tiny_data: Path, tmp_path: Path
) -> None:
    process = started(tiny_model, tiny_data, tmp_path / "runs", "Tick 6")
    config, path = make_config(tiny_model, tiny_data), tmp_path / "runs" / "run"
    sentence = f"{path}: another training is writing this run. Wait for it, or choose another --name."
    for options in ({"resume": True}, {"overwrite": True}):
        with pytest.raises(RunError) as caught:
            fake_train(config, "run", tmp_path / "runs", **options)
        assert str(caught.value) == sentence
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert out.strip().endswith("ended interrupted"), out
    run = load_run("run", tmp_path / "runs")
    assert run.identity.result["reason"].startswith("stopped by the user after iteration ")
    assert load_checkpoint(run.folder.last_checkpoint).progress.iteration == run.identity.result["iterations"]


def killed(model: Path, data: Path, root: Path, at: int = 9, **settings: Any) -> RunFolder:
    with pytest.raises(Killed):
        fake_train(make_config(model, data, **settings), "run", root, listen=at_iteration(at))
    return load_run("run", root).folder


PUT_BACK = "Put them back, or start a new run under another --name."


@pytest.mark.parametrize(
    ("then", "now", "differs"),
    [
        ({}, {"learning_rate": 0.02}, "learning_rate (0.01 then, 0.02 now)"),
        ({}, {"iters": 30}, "iters (20 then, 30 now)"),
        ({}, {"lora_parameters": {"rank": 4, "scale": 2.0, "dropout": 0.2}}, "lora_parameters.rank (2 then, 4 now)"),
        (
            {},
            {"early_stopping": True},
            "early_stopping.patience (unset then, 3 now), early_stopping.min_improvement (unset then, 0.0 now)",
        ),
        (
            {"early_stopping": {"patience": 9}},
            {},
            "early_stopping.patience (9 then, unset now), early_stopping.min_improvement (0.0 then, unset now)",
        ),
        (
            {"lr_schedule": {"name": "step_decay", "arguments": [0.01, 0.5, 3]}},
            {},
            "lr_schedule.name (step_decay then, unset now), lr_schedule.arguments ([0.01, 0.5, 3.0] then, unset now), "
            "lr_schedule.warmup (0 then, unset now), lr_schedule.warmup_init (0.0 then, unset now)",
        ),
    ],
    ids=["rate", "iters", "rank", "stopping added", "stopping removed", "schedule removed"],
)
def test_resuming_with_other_settings_is_refused_with_what_differs(
    tiny_model: Path, tiny_data: Path, tmp_path: Path, then: dict[str, Any], now: dict[str, Any], differs: str
) -> None:
    folder = killed(tiny_model, tiny_data, tmp_path / "runs", **then)
    before = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
    with pytest.raises(RunError) as caught:
        fake_train(make_config(tiny_model, tiny_data, **now), "run", tmp_path / "runs", resume=True)
    start = f"{folder.path}: can't be resumed, since it was started with other values: "
    end = " The schedule of a run stays what its first updates followed." if "lr_schedule" in differs else ""
    cure = "Train it longer with --extend." if differs.startswith("iters") else PUT_BACK
    assert str(caught.value) == f"{start}{differs}.{end} {cure}"
    assert {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()} == before


def test_resuming_on_other_rows_model_or_tokenizer_is_refused(
    tiny_model: Path, tiny_data: Path, tmp_path: Path
) -> None:
    import shutil

    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    folder = killed(model, tiny_data, tmp_path / "runs")
    config = make_config(model, tiny_data)
    start = f"{folder.path}: can't be resumed, since it was started with other values: "

    def refusal() -> str:
        with pytest.raises(RunError) as caught:
            fake_train(config, "run", tmp_path / "runs", resume=True)
        return str(caught.value)

    train = tiny_data / "train.jsonl"
    kept = train.read_text("utf-8")
    write_rows(train, [json.loads(line) for line in reversed(kept.splitlines())])
    assert refusal() == f"{start}the train rows. {PUT_BACK}"
    train.write_text(kept.replace('": "', '":   "'), "utf-8")
    valid = (tiny_data / "valid.jsonl").read_text("utf-8")
    (tiny_data / "valid.jsonl").unlink()
    assert refusal().startswith(start)
    assert "the valid rows" in refusal()
    (tiny_data / "valid.jsonl").write_text(valid, "utf-8")
    tokenizer = model / "tokenizer_config.json"
    given = tokenizer.read_text("utf-8")
    tokenizer.write_text(given.replace("<|im_start|>assistant", "<|im_start|>helper"), "utf-8")
    assert refusal() == f"{start}the tokenizer or chat template. {PUT_BACK}"
    tokenizer.write_text(given, "utf-8")
    weights = bytearray((model / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (model / "model.safetensors").write_bytes(weights)
    assert refusal() == f"{start}the model's weights. {PUT_BACK}"
    weights[-1] ^= 1
    (model / "model.safetensors").write_bytes(weights)
    assert fake_train(config, "run", tmp_path / "runs", resume=True).identity.status == "finished"


def test_rows_without_sources_can_be_resumed(tiny_model: Path, tmp_path: Path) -> None:
    data = make_data(tmp_path / "data")
    for path in data.iterdir():
        write_rows(path, [{"messages": json.loads(line)["messages"]} for line in path.read_text().splitlines()])
    killed(tiny_model, data, tmp_path / "runs")
    config = make_config(tiny_model, data)
    assert fake_train(config, "run", tmp_path / "runs", resume=True).identity.status == "finished"


def test_resuming_before_the_first_checkpoint_starts_from_the_beginning(
    tiny_model: Path, tiny_data: Path, tmp_path: Path
) -> None:
    folder = killed(tiny_model, tiny_data, tmp_path / "runs", at=3)
    assert not folder.last_checkpoint.exists()
    config = make_config(tiny_model, tiny_data)
    resumed = fake_train(config, "run", tmp_path / "runs", resume=True)
    assert_same(resumed, fake_train(config, "whole", tmp_path / "runs"))


def test_resuming_a_finished_run_is_refused(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    config = make_config(tiny_model, tiny_data)
    run = fake_train(config, "run", tmp_path / "runs")
    with pytest.raises(RunError) as caught:
        fake_train(config, "run", tmp_path / "runs", resume=True)
    assert str(caught.value) == (
        f"{run.folder.path}: this run is finished. Train it longer with --extend, or start a new one under another "
        "--name."
    )


def test_resuming_a_run_that_does_not_exist_leaves_nothing(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    fake_train(make_config(tiny_model, tiny_data), "winter", root)
    with pytest.raises(RunError) as caught:
        fake_train(make_config(tiny_model, tiny_data), "wintre", root, resume=True)
    assert str(caught.value) == "wintre: no such run; did you mean winter?"
    assert [path.name for path in root.iterdir()] == ["winter"]


@pytest.mark.parametrize("damage", ["cut", "foreign", "empty"])
def test_a_damaged_checkpoint_is_named(tiny_model: Path, tiny_data: Path, tmp_path: Path, damage: str) -> None:
    folder = killed(tiny_model, tiny_data, tmp_path / "runs")
    last = folder.last_checkpoint
    content = {"cut": last.read_bytes()[:-50], "foreign": folder.snapshot(5).read_bytes(), "empty": b""}[damage]
    last.write_bytes(content)
    with pytest.raises(RunError) as caught:
        fake_train(make_config(tiny_model, tiny_data), "run", tmp_path / "runs", resume=True)
    assert str(caught.value).startswith(f"{last}: ")
    assert str(caught.value).endswith("Train from the start with --overwrite.")


def test_metrics_that_lost_rows_are_not_silently_padded(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    folder = killed(tiny_model, tiny_data, tmp_path / "runs")
    folder.metrics.write_bytes(folder.metrics.read_bytes()[:40])
    with pytest.raises(RunError) as caught:
        fake_train(make_config(tiny_model, tiny_data), "run", tmp_path / "runs", resume=True)
    assert str(caught.value) == (f"{folder.metrics}: has lost rows since the checkpoint. Train again with --overwrite.")
    assert folder.metrics.stat().st_size == 40


def test_the_seconds_of_a_resumed_run_go_on_from_the_checkpoints(
    tiny_model: Path, tiny_data: Path, tmp_path: Path
) -> None:
    folder = killed(tiny_model, tiny_data, tmp_path / "runs")
    at_checkpoint = load_checkpoint(folder.last_checkpoint).progress.seconds
    run = fake_train(make_config(tiny_model, tiny_data), "run", tmp_path / "runs", resume=True)
    seconds = [row.seconds or 0.0 for row in run.metrics]
    assert seconds == sorted(seconds)
    assert all(row.seconds >= round(at_checkpoint, 3) for row in of_kind(run, "validation")[1:] if row.seconds)
