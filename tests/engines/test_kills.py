"""Killed with SIGKILL at any moment, while saving too, and resumed: the run that was never killed, to the bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runoff.runs import find_runs, load_run
from tests.engines.support import ENGINES, LIBRARIES
from tests.support.runs import assert_same, make_data, of_kind

REPOSITORY = Path(__file__).parents[2]


def killing(engine: str, tiny: Path, place: Path, kills: int, *sizes: int) -> dict[str, Any]:
    """What tests/support/killing.py did; it leaves its runs in `runs`."""
    for library in LIBRARIES[engine]:
        pytest.importorskip(library)
    arguments = [tiny, make_data(place / "data"), place / "runs", kills, *sizes]
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.killing", engine, *map(str, arguments)],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'src'}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    did: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return did


@pytest.mark.parametrize(
    ("engine", "size", "kills"), [*((engine, 1, 10) for engine in ENGINES), ("torch", 2, 8), ("mlx", 2, 8)]
)
def test_killed_and_resumed_again_and_again(engine: str, size: int, kills: int, tiny: Path, tmp_path: Path) -> None:
    """One process, or two that train as one: by gloo with torch, by the ring with MLX."""
    did, root = killing(engine, tiny, tmp_path, kills, size), tmp_path / "runs"
    assert sum(did["struck"].values()) == kills
    whole = load_run("whole", root)
    assert whole.identity.machine.get("processes", 1) == size
    killed = [path for path in find_runs(root) if path.name != "whole"]
    assert len(killed) == did["runs"]
    for path in killed:
        assert_same(load_run(path, root), whole)


@pytest.mark.parametrize("engine", ["torch", "mlx"])
def test_two_processes_go_on_as_one_and_as_three(engine: str, tiny: Path, tmp_path: Path) -> None:
    killing(engine, tiny, tmp_path, 2, 2, 1, 3)
    whole, run = (load_run(name, tmp_path / "runs") for name in ("whole", "killed-0"))
    changes = [(change["key"], change["then"], change["now"]) for change in run.identity.changed]
    assert changes == [("processes", 2, 1), ("processes", 1, 3)]
    first, second = (change["iteration"] for change in run.identity.changed)
    assert 0 < first < second < 16, "no kill came between two checkpoints"
    for kind in ("train", "validation"):
        losses = ([row.nats_per_target_token for row in of_kind(one, kind)] for one in (run, whole))
        assert next(losses) == pytest.approx(next(losses), abs=1e-4)
