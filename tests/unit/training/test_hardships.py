"""What goes wrong around a training: a full disk, two at once, a clock that jumps, two thousand iterations."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tests.support.runs import assert_same, fake_train, make_config

from runoff.runs import load_run
from runoff.training.state import load_checkpoint

REPOSITORY = Path(__file__).parents[3]
HEAD = """
import resource, sys, time
from pathlib import Path
from tests.support.runs import fake_train, make_config
model, data, root = map(Path, sys.argv[1:4])
"""


def start(body: str, *arguments: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HEAD + body, *map(str, arguments)],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'src'}", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def output(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate(timeout=120)
    return out


FULL = """
def listen(event):
    if event.iteration == 12:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    fake_train(make_config(model, data), "run", root, listen=listen)
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_disk_that_takes_no_more_ends_the_run_and_leaves_the_last_checkpoint_good(
    tiny_model: Path, tiny_data: Path, tmp_path: Path
) -> None:
    """The system's own limit on the size of a file stands for the full disk: the write fails half-way, as there."""
    root = tmp_path / "runs"
    said = output(start(FULL, tiny_model, tiny_data, root))
    run = load_run("run", root)
    assert said.startswith("RunError "), said
    assert "could not be written" in said
    assert run.identity.status == "failed"
    assert run.identity.result["reason"].endswith(" With --resume it goes on from its last checkpoint.")
    assert load_checkpoint(run.folder.last_checkpoint).progress.iteration == 10
    assert not list(run.folder.checkpoints.glob(".*")), "half a file was left behind"
    config = make_config(tiny_model, tiny_data)
    assert_same(fake_train(config, "run", root, resume=True), fake_train(config, "whole", root))


RACE = """
from runoff.errors import RunError
print("ready", flush=True)
while not (root.parent / "go").exists():
    time.sleep(0.001)
try:
    run = fake_train(make_config(model, data), "run", root, listen=lambda _event: time.sleep(0.01))
    print(run.identity.status)
except RunError as error:
    print(error)
"""


def test_of_two_trainings_started_at_once_into_one_folder_one_is_refused(
    tiny_model: Path, tiny_data: Path, tmp_path: Path
) -> None:
    root = tmp_path / "runs"
    processes = [start(RACE, tiny_model, tiny_data, root) for _ in range(2)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    (tmp_path / "go").touch()
    said = sorted(output(process).strip() for process in processes)
    assert "finished" in said, said
    refused = next(text for text in said if text != "finished")
    assert refused.startswith(f"{root / 'run'}: "), refused
    assert "another training is writing this run" in refused or "this run exists" in refused
    assert_same(load_run("run", root), fake_train(make_config(tiny_model, tiny_data), "whole", root))


SLOW = """
def listen(event):
    print(type(event).__name__, event.iteration, flush=True)
    time.sleep(0.02)
run = fake_train(make_config(model, data), "run", root, listen=listen)
print("ended", run.identity.status, run.identity.result["reason"], flush=True)
"""


def test_a_lid_that_is_closed_and_a_machine_that_shuts_down(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    """Stopped and continued as by a suspended system, then asked to end by SIGTERM: a run that can be resumed."""
    root = tmp_path / "runs"
    process = start(SLOW, tiny_model, tiny_data, root)
    assert process.stdout is not None
    while not process.stdout.readline().startswith("Tick 6"):
        assert process.poll() is None
    process.send_signal(signal.SIGSTOP)
    time.sleep(0.3)
    process.send_signal(signal.SIGCONT)
    process.send_signal(signal.SIGTERM)
    said = output(process).splitlines()[-1]
    assert said.startswith("ended interrupted stopped by the user after iteration "), said
    stopped = load_run("run", root)
    assert load_checkpoint(stopped.folder.last_checkpoint).progress.iteration == stopped.identity.result["iterations"]
    config = make_config(tiny_model, tiny_data)
    run, whole = fake_train(config, "run", root, resume=True), fake_train(config, "whole", root)
    left, right = (load_checkpoint(each.folder.last_checkpoint) for each in (run, whole))
    assert np.array_equal(left.parameters, right.parameters)
    assert left.random_state == right.random_state


def test_no_time_of_day_is_in_the_seconds_of_a_run(
    tiny_model: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock is set back by years in the middle, as at a first contact with a time server."""
    jumps = iter([2e9, 1e9, 0.0])
    monkeypatch.setattr(time, "time", lambda: next(jumps, -1e9))
    left: list[float | None] = []
    run = fake_train(
        make_config(tiny_model, tiny_data),
        "run",
        tmp_path,
        listen=lambda event: left.append(getattr(event, "seconds_left", None)),
    )
    seconds = [row.seconds or 0.0 for row in run.metrics]
    assert seconds == sorted(seconds)
    assert 0 <= seconds[-1] < 60
    assert all(0 <= each < 60 for each in left if each is not None)


LONG = """
from runoff.engines import open_base
from tests.support.fake_engine import FakeBase
def held():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
engine, iterations, seen = sys.argv[4], int(sys.argv[5]), []
def listen(event):
    if type(event).__name__ == "Tick" and event.iteration in (iterations // 3, iterations):
        seen.append(held())
base = FakeBase() if engine == "fake" else open_base(model, engine=engine, dtype="float32")
settings = {"iters": iterations, "steps_per_eval": 100, "save_every": 100, "batch_size": 1, "num_layers": 1}
fake_train(make_config(model, data, **settings), "run", root, base=base, listen=listen)
print(seen[1] - seen[0])
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory in use is what /proc says")
@pytest.mark.parametrize(("engine", "iterations"), [("fake", 2000), ("torch", 450), ("mlx", 450)])
def test_memory_does_not_grow_with_the_iterations(
    tiny_model: Path, tiny_data: Path, tmp_path: Path, engine: str, iterations: int
) -> None:
    """2,000 for the loop; fewer with the tensor libraries, for time (all three hold over 2,000)."""
    if engine != "fake":
        pytest.importorskip({"torch": "torch", "mlx": "mlx_lm"}[engine])
    said = output(start(LONG, tiny_model, tiny_data, tmp_path / "runs", Path(engine), Path(str(iterations))))
    assert int(said.splitlines()[-1]) < 4e6, said
