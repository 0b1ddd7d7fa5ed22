"""`runoff watch` shows a training that runs in another process, from its folder alone."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.support.runs import Killed, fake_train, killer, make_config, of_kind
from tests.support.scripted import ScriptedBase
from typer.testing import CliRunner

from runoff.callbacks.live import LiveRun
from runoff.cli import watch as watching
from runoff.cli.main import app
from runoff.cli.progress import Standing, TrainingView, metric_line
from runoff.cli.watch import _show_new
from runoff.errors import EngineError
from runoff.runs import MetricRow, load_run
from runoff.training import Tick

REPOSITORY = Path(__file__).parents[3]
TRAIN = """
import sys, time
from pathlib import Path
from tests.support.runs import fake_train, make_config
model, data, root = map(Path, sys.argv[1:4])
fake_train(make_config(model, data, iters=int(sys.argv[4])), "run", root, listen=lambda event: time.sleep(0.05))
"""
ENVIRONMENT = os.environ | {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'src'}", "OMP_NUM_THREADS": "1"}


def training(model: Path, data: Path, root: Path, iterations: int = 20) -> subprocess.Popen[str]:
    """A training in another process, once its first row is written."""
    process = subprocess.Popen(
        [sys.executable, "-c", TRAIN, str(model), str(data), str(root), str(iterations)],
        cwd=REPOSITORY,
        env=ENVIRONMENT,
        text=True,
    )
    while not (root / "run" / "metrics.jsonl").exists():
        assert process.poll() is None
        time.sleep(0.01)
    return process


def watch(*arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "runoff", "watch", *map(str, arguments)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_running_process_is_followed_to_its_end(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    process = training(tiny_model, tiny_data, root)
    lines = watch("run", "--runs", root, "--every", 0.1).splitlines()
    assert process.wait(60) == 0
    run = load_run("run", root)
    rows = [metric_line(row) for row in run.metrics if row.kind != "checkpoint"]
    assert lines == [*rows, "run: finished, all 20 iterations were made."]


def test_a_killed_training_is_not_waited_for(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    process = training(tiny_model, tiny_data, root, 2000)
    assert "run: running." in watch("run", "--runs", root, "--once")
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    assert " left" not in watch("run", "--runs", root, "--once").splitlines()[0]
    assert watch(root / "run").splitlines()[-1] == (
        "run: no process trains it any more (it was killed). Go on with runoff train ... --resume."
    )


def test_the_end_of_a_run_that_failed_is_one_sentence(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError):
        fake_train(make_config(tiny_model, tiny_data), "run", tmp_path, base=ScriptedBase(broken_iteration=1))
    said = CliRunner().invoke(app, ["watch", "run", "--runs", str(tmp_path), "--once"]).output.splitlines()[-1]
    assert said.startswith("run: failed, iteration 1: the loss is nan")
    assert said.endswith("on_bad_loss=skip.")


def test_another_tools_run_that_was_killed_is_not_sent_to_resume(tmp_path: Path) -> None:
    live = LiveRun("run", "mlx-lm", "numpy", {}, root=tmp_path)
    lock = live.folder.path / ".lock"
    lock.write_text(json.dumps(json.loads(lock.read_text()) | {"process": 2**22 + 1}))  # above Linux's highest
    shown = CliRunner().invoke(app, ["watch", "run", "--runs", str(tmp_path), "--once"]).output
    live.end("failed", "over")
    assert shown.splitlines()[-1] == "run: no process trains it any more (it was killed)."


def test_once_says_where_a_run_is(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    run = fake_train(make_config(tiny_model, tiny_data), "run", tmp_path)
    result = CliRunner().invoke(app, ["watch", "run", "--runs", str(tmp_path), "--once"])
    lines = result.output.splitlines()
    assert lines[0].startswith("run: iteration 20/20  epoch 3.33  update 7  loss ")
    assert "left" not in lines[0]
    assert lines[1] == metric_line(of_kind(run, "validation")[-1])
    assert lines[2] == "run: finished, all 20 iterations were made."


def test_a_run_of_another_machine_is_taken_to_live(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        fake_train(make_config(tiny_model, tiny_data), "run", tmp_path, listen=killer(9))
    folder = load_run("run", tmp_path).folder
    assert folder.writer_lives is True  # this process: it was not really killed
    (folder.path / ".lock").write_text(json.dumps({"process": 1, "host": "elsewhere"}))
    assert folder.writer_lives is None
    (folder.path / ".lock").write_text("")
    assert folder.writer_lives is None


def test_a_silent_run_of_another_machine_is_said_to_be_silent(
    tiny_model: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Killed):
        fake_train(make_config(tiny_model, tiny_data), "run", tmp_path, listen=killer(9))
    run = load_run("run", tmp_path)
    body = run.identity.model_copy(update={"status": "running"}).model_dump(mode="json", exclude_none=True)
    run.folder.identity.write_text(json.dumps(body))
    (run.folder.path / ".lock").write_text(json.dumps({"process": 1, "host": "elsewhere"}))
    shown = CliRunner().invoke(app, ["watch", "run", "--runs", str(tmp_path), "--once"]).output
    assert "run: running, as its folder says; its process is not on this machine and can't be asked for." in shown
    monkeypatch.setattr(watching, "QUIET_SECONDS", 0.0)
    looks = iter([run, run])
    monkeypatch.setattr(watching, "_looks", lambda *_: looks)
    shown = CliRunner().invoke(app, ["watch", "run", "--runs", str(tmp_path)]).output
    assert "run: no new row for 0 s. Its process is not on this machine" in shown


def test_rows_that_a_resume_took_back_are_said_to_be(
    tiny_model: Path, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, view = make_config(tiny_model, tiny_data, steps_per_report=1), TrainingView()
    with pytest.raises(Killed):
        fake_train(config, "run", tmp_path, listen=killer(25))
    _show_new(view, load_run("run", tmp_path))
    before = list(view.shown)
    capsys.readouterr()
    fake_train(config, "run", tmp_path, resume=True)
    _show_new(view, load_run("run", tmp_path))
    said = capsys.readouterr().out.splitlines()
    since = next(at for at, row in enumerate(reversed(before)) if row.kind == "checkpoint")
    assert since > 0
    assert said[0] == f"Resumed: {since} rows after its checkpoint were taken back."
    assert view.shown == list(load_run("run", tmp_path).metrics)


ROW = MetricRow("train", 120, optimizer_updates=30, epoch=0.5, nats_per_target_token=1.5, seconds=60.0)


def test_the_standing_shows_what_is_known_and_nothing_else() -> None:
    standing = Standing(450)
    assert standing.text == "iteration 0/450"
    standing.take(dataclasses.replace(ROW, tokens_per_second=431.6, peak_memory_bytes=3_200_000_000))
    assert standing.text == ("iteration 120/450  epoch 0.50  update 30  loss 1.5000  432 tokens/s  3.20 GB  3 min left")
    standing.take(MetricRow("validation", 120, optimizer_updates=30, nats_per_target_token=float("nan")))
    assert "validation nan" in standing.text


def test_a_narrow_terminal_keeps_the_losses_and_the_time_left() -> None:
    standing = Standing(450)
    standing.take(dataclasses.replace(ROW, tokens_per_second=431.6, peak_memory_bytes=3_200_000_000))
    standing.take(MetricRow("validation", 120, optimizer_updates=30, nats_per_target_token=1.4, seconds=60.0))
    assert standing.within(200) == standing.text
    assert standing.within(80) == "iteration 120/450  epoch 0.50  loss 1.5000  validation 1.4000  3 min left"
    assert standing.within(30) == "iteration 120/450  3 min left"
    assert all(len(standing.within(width)) <= width for width in range(29, 120))


def test_time_left_comes_from_the_runs_own_pace_or_from_the_loop() -> None:
    standing = Standing(450)
    standing.take(ROW)
    assert standing.seconds_left == pytest.approx(60 / 120 * 330)
    standing.take(Tick(121, 450, 0.5, 77.0, 30))
    assert standing.seconds_left == 77.0
    updates = Standing(100, in_updates=True)
    updates.take(MetricRow("train", None, optimizer_updates=25, seconds=50.0, nats_per_target_token=2.0))
    assert updates.text.startswith("update 25/100")
    assert updates.seconds_left == pytest.approx(150)


@pytest.mark.parametrize(
    ("row", "line"),
    [
        (
            MetricRow(
                "validation",
                50,
                optimizer_updates=5,
                epoch=0.25,
                nats_per_target_token=1.6,
                low=1.5,
                high=1.7,
                rows=109,
                text="0.1000 lower than the one before (0.0500 to 0.1500)",
            ),
            "iteration    50  update    5  epoch  0.25  validation loss 1.6000 (1.5000 to 1.7000) over 109 rows, "
            "0.1000 lower than the one before (0.0500 to 0.1500)",
        ),
        (MetricRow("validation", 50, nats_per_target_token=1.6), "iteration    50  validation loss 1.6000"),
        (MetricRow("alarm", 50, text="A601 Overfitting."), "iteration    50  ALARM A601 Overfitting."),
        (MetricRow("checkpoint", 50), ""),
        (MetricRow("train", optimizer_updates=3, nats_per_target_token=2.0), "update    3  training loss   2.0000"),
    ],
)
def test_a_row_as_a_line(row: MetricRow, line: str) -> None:
    assert metric_line(row) == line
