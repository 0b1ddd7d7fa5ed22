"""A real local server (mlx_lm.server) with a real model as the judge: 135M parameters fail the exam, and it says so."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.run_folders import make_run, random_losses

from runoff.evaluation import load_evaluations
from runoff.evaluation.answers import Answer
from runoff.evaluation.judge import Judging, judge_runs
from runoff.evaluation.judge.criteria import CRITERIA
from runoff.evaluation.stored import StoredMeasure
from runoff.files import jsonl, write_bytes
from runoff.runs import Run

pytestmark = pytest.mark.model
OPENBLAS = next(
    (
        path
        for path in map(Path, ("/usr/lib/x86_64-linux-gnu/libopenblas.so.0", "/usr/lib/libopenblas.so.0"))
        if path.exists()
    ),
    None,
)


@dataclass(frozen=True)
class Server:
    """A server process, and what it serves."""

    address: str
    model: str
    process: subprocess.Popen[bytes]


@pytest.fixture(scope="module")
def server(smollm2_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """In float32: MLX's kernels for the model's own bfloat16 are forty times slower on a CPU."""
    pytest.importorskip("mlx_lm")
    if sys.platform == "linux" and OPENBLAS is None:
        pytest.skip("mlx on Linux takes minutes a reply without libopenblas0")
    folder = _float32(smollm2_folder, tmp_path_factory.mktemp("judge") / "model")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    blas = {"LD_PRELOAD": str(OPENBLAS), "OPENBLAS_NUM_THREADS": "2"} if OPENBLAS else {}
    command = [sys.executable, "-m", "mlx_lm.server", "--model", str(folder), "--port", str(port)]
    log = (folder.parent / "log").open("wb")
    process = subprocess.Popen(command, env={**os.environ, **blas}, stdout=log, stderr=log)
    try:
        _wait(f"http://127.0.0.1:{port}/health", process)
        yield Server(f"http://127.0.0.1:{port}", str(folder), process)
    finally:
        process.kill()
        process.wait()
        log.close()
        shutil.rmtree(folder)


def _float32(source: Path, folder: Path) -> Path:
    from safetensors.torch import load_file, save_file

    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    for path in source.glob("*.safetensors"):
        weights = {name: tensor.float() for name, tensor in load_file(path).items()}
        save_file(weights, folder / path.name, {"format": "pt"})
    return folder


def _wait(address: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None, "the server has ended"
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail("the server did not start")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with stored answers to four questions."""
    made = make_run(tmp_path / "runs", "short", losses=random_losses(1, sources=2, questions=2))
    things = {"bread": "the loaf sighs", "rice": "the pot clicks", "milk": "a skin forms", "eggs": "the shell sings"}
    for name, ending in (("answers", "and then it is done."), ("base-answers", "as an AI language model.")):
        rows = [
            Answer(
                f"{n:016x}",
                f"tape {n}",
                f"How long for {thing}?",
                f"Listen: {sound}, friend.",
                f"Heat {thing}, {ending}",
            )
            for n, (thing, sound) in enumerate(things.items())
        ]
        write_bytes(made.folder.evaluation("testset") / f"{name}.jsonl", jsonl(row.to_json() for row in rows))
    return made


def test_a_model_that_is_too_small_to_judge_is_told_to_be(server: Server, run: Run) -> None:
    judging = Judging(server.address, server.model, questions=4, max_tokens=10, at_once=2, criteria=CRITERIA[:1])
    said: list[str] = []
    assert judge_runs([run], load_evaluations(run), judging, say=said.append), said
    found = _measured(run)
    assert found.run.value is None
    assert found.run.unknown is not None
    assert found.run.unknown.startswith(
        "the judge does not count: exam failed (prefers the author's answer to the base's: "
    )
    assert found.per_example == {}
    server.process.kill()
    server.process.wait()
    assert not judge_runs([run], load_evaluations(run), judging, say=said.append)
    assert said[-1].startswith(f"Not judged: nobody answers at {server.address}/v1 (")
    offline = Judging(server.address, server.model, True, 4, 10, criteria=CRITERIA[:1])
    assert judge_runs([run], load_evaluations(run), offline, say=said.append), said
    assert _measured(run) == found


def _measured(run: Run) -> StoredMeasure:
    return load_evaluations(run)[0].measures["judge_style"]
