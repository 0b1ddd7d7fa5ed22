"""Two real processes train as one: under torchrun with gloo, and under mlx.launch with its ring."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runoff.config import load_config
from runoff.engines.parallel import ParallelEngine, restore_random_state
from runoff.engines.ranks import ALONE, Ranks, gather, launched_by, sum_numbers
from runoff.runs import Run, load_run
from runoff.training import train as train_alone
from runoff.training.state import load_checkpoint
from tests.engines.support import batch_of, spec_for, trained
from tests.support.fake_engine import FakeBase
from tests.support.played import played
from tests.support.runs import make_data, of_kind

REPOSITORY = Path(__file__).parents[2]
SETTINGS: dict[str, Any] = {
    "num_layers": 2,
    "lora_parameters": {"rank": 2, "scale": 2.0},
    "batch_size": 3,
    "iters": 12,
    "learning_rate": 0.01,
    "mask_prompt": True,
    "steps_per_report": 2,
    "steps_per_eval": 4,
    "save_every": 5,
    "grad_accumulation_steps": 3,
    "dtype": "float32",
}
LAUNCHERS = {
    "torch": ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--rdzv-backend", "c10d", "--rdzv-endpoint",
              "localhost:0", "-m", "runoff"],
    "mlx": ["-c", "from mlx._distributed_utils.launch import main; main()", "-n", "2", "--backend", "ring", "--",
            sys.executable, "-m", "runoff"],
}  # fmt: skip


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'src'}", "OMP_NUM_THREADS": "1"}


def train(engine: str, place: Path, name: str, *options: str) -> str:
    done = subprocess.run(
        [sys.executable, *LAUNCHERS[engine], "train", "run.yaml", "--name", name, *options],
        cwd=place,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def place(engine: str, tiny: Path, tmp_path: Path) -> Path:
    """A folder with data and run.yaml; 3 rows in a batch, so that two processes never have equal shares."""
    make_data(tmp_path / "data", train=11, valid=19)
    config = SETTINGS | {"model": str(tiny), "data": str(tmp_path / "data"), "engine": engine}
    (tmp_path / "run.yaml").write_text(json.dumps(config))
    return tmp_path


def losses(run: Run, kind: str) -> list[float]:
    return [row.nats_per_target_token or 0.0 for row in of_kind(run, kind)]


def test_two_processes_lose_what_one_loses_and_keep_one_record(engine: str, place: Path) -> None:
    said = train(engine, place, "two")
    two = load_run("two", place / "runs")
    one = train_alone(load_config(place / "run.yaml"), "one", root=place / "runs")
    for kind in ("train", "validation"):
        assert losses(two, kind) == pytest.approx(losses(one, kind), abs=1e-4)
        assert [row.target_tokens for row in of_kind(two, kind)] == [row.target_tokens for row in of_kind(one, kind)]
    left, right = (load_checkpoint(run.folder.last_checkpoint) for run in (two, one))
    np.testing.assert_allclose(left.parameters, right.parameters, atol=2e-4)
    assert two.identity.machine["processes"] == 2
    assert "processes" not in one.identity.machine
    assert {path.name for path in (place / "runs").iterdir() if not path.name.startswith(".")} == {"one", "two"}
    assert len(re.findall("The adapter in ", said)) == 1, "one process speaks for all"
    files = [{path.name for path in run.folder.path.rglob("*")} for run in (two, one)]
    assert files[0] == files[1]


def test_a_lost_process_ends_the_others_and_the_run_resumes(engine: str, place: Path) -> None:
    (place / "run.yaml").write_text((place / "run.yaml").read_text().replace('"iters": 12', '"iters": 200'))
    launcher = subprocess.Popen(
        [sys.executable, *LAUNCHERS[engine], "train", "run.yaml", "--name", "run"],
        cwd=place,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    checkpoint = place / "runs" / "run" / "checkpoints" / "last.safetensors"
    limit = time.monotonic() + 240
    while not checkpoint.exists() and time.monotonic() < limit:
        assert launcher.poll() is None
        time.sleep(0.05)
    os.kill(second_process(launcher.pid), signal.SIGKILL)
    said, _ = launcher.communicate(timeout=240)
    run = load_run("run", place / "runs")
    assert run.identity.status in ("failed", "interrupted"), said
    if run.identity.status == "failed":
        assert "another process of this training is gone" in run.identity.result["reason"]
    reached = load_checkpoint(checkpoint).progress.iteration
    assert reached >= 5
    if engine == "torch":
        train(engine, place, "run", "--resume")
    else:  # a number of processes is no setting: one goes on where two were
        train_alone(load_config(place / "run.yaml"), "run", root=place / "runs", resume=True)
    assert load_run("run", place / "runs").identity.result["iterations"] == 200


def second_process(launcher: int) -> int:
    """The process below the launcher whose environment calls it rank 1."""
    below = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in below.splitlines()]
    tree = {launcher}
    for _ in range(4):
        tree |= {pid for pid, parent in pairs if parent in tree}
    for pid in sorted(tree - {launcher}):
        own = dict(
            entry.split("=", 1)
            for entry in Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
            if "=" in entry
        )
        if (launched_by(own) or ("", 0))[1] == 1:
            return pid
    raise AssertionError(below)


@pytest.mark.parametrize("size", [2, 3])
def test_bytes_and_numbers_reach_everyone_whole(size: int) -> None:
    payloads = [bytes(range(rank * 7)) for rank in range(size)]
    assert played(size, lambda ranks: gather(ranks, payloads[ranks.rank])) == [payloads] * size
    numbers = [1e16, 1.0, -1e16][:size]
    assert played(size, lambda ranks: sum_numbers(ranks, numbers[ranks.rank])) == [math.fsum(numbers)] * size


def test_random_states_are_each_processes_own_and_survive_another_number_of_them(tiny: Path) -> None:
    spec, batch = spec_for(tiny, dropout=0.5), batch_of(9, 11, 13)

    def made(ranks: Ranks) -> ParallelEngine:
        engine = ParallelEngine(FakeBase().attach(spec, seed=ranks.rank), ranks)
        trained(engine)
        return engine

    def state_and_gradient(ranks: Ranks) -> tuple[bytes, Any]:
        engine = made(ranks)
        engine.accumulate(batch)
        engine.take_gradient()
        state = engine.random_state()
        engine.accumulate(batch)
        return state, engine.take_gradient()

    (state, gradient), (other_state, other_gradient) = played(2, state_and_gradient)
    assert state == other_state
    assert np.array_equal(gradient, other_gradient)

    def again(ranks: Ranks) -> Any:
        engine = made(ranks)
        restore_random_state(engine, state)
        engine.accumulate(batch)
        return engine.take_gradient()

    assert all(np.array_equal(each, gradient) for each in played(2, again))
    played(3, again)
    alone = FakeBase().attach(spec, seed=5)
    restore_random_state(alone, state)
    restore_random_state(alone, alone.random_state())


def test_alone_a_sum_is_the_thing_itself() -> None:
    vector = np.arange(3, dtype=np.float32)
    assert ALONE.sum_vector(vector) is vector
    assert gather(ALONE, b"abc") == [b"abc"]
    assert sum_numbers(ALONE, 0.1) == 0.1


@pytest.mark.parametrize(
    ("given", "launcher"),
    [
        ({}, None),
        ({"RANK": "1", "WORLD_SIZE": "2"}, ("torchrun", 1)),
        ({"RANK": "0", "WORLD_SIZE": "1"}, None),
        ({"MLX_RANK": "1", "MLX_HOSTFILE": "hosts.json"}, ("mlx.launch", 1)),
    ],
)
def test_the_launcher_is_known_by_what_it_leaves_in_the_environment(given: dict[str, str], launcher: Any) -> None:
    assert launched_by(given) == launcher
