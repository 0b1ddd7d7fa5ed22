"""Killed with SIGKILL at any moment, while saving too, and resumed: the run that was never killed, to the bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runoff.runs import find_runs, load_run
from tests.engines.support import ENGINES, LIBRARIES
from tests.support.runs import assert_same, make_data

REPOSITORY = Path(__file__).parents[2]
KILLS = 10


@pytest.mark.parametrize("engine", ENGINES)
def test_killed_and_resumed_again_and_again(engine: str, tiny: Path, tmp_path: Path) -> None:
    for library in LIBRARIES[engine]:
        pytest.importorskip(library)
    data, root = make_data(tmp_path / "data"), tmp_path / "runs"
    paths = [str(path) for path in (tiny, data, root)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.killing", engine, *paths, str(KILLS)],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'src'}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    did = json.loads(done.stdout.splitlines()[-1])
    assert sum(did["struck"].values()) == KILLS
    whole = load_run("whole", root)
    killed = [path for path in find_runs(root) if path.name != "whole"]
    assert len(killed) == did["runs"]
    for path in killed:
        assert_same(load_run(path, root), whole)
