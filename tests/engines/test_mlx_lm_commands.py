"""The adapter folder of an MLX run is what mlx_lm's own commands take, as it is: real processes, one learnt answer."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runoff.engines import open_base
from runoff.engines.adapters.folders import read_adapter
from runoff.plan import read_model_facts
from runoff.training import train
from tests.engines.support import batch_of, nats_of
from tests.support.runs import make_config, write_rows

pytest.importorskip("mlx_lm")

QUESTION, ANSWER = "How long does it rest?", "an hour in the tin"
ENVIRONMENT = os.environ | {"MLX_DISABLE_COMPILE": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
"""Compiling calls a C++ compiler on a CPU, for a few tokens of a tiny model."""


@pytest.fixture(scope="module")
def adapter(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained until the model knows one answer by heart: as well as logits of at most the root of its width allow."""
    place = tmp_path_factory.mktemp("run")
    row = {"messages": [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": ANSWER}]}
    write_rows(place / "data/train.jsonl", [row] * 4)
    config = make_config(
        tiny,
        place / "data",
        engine="mlx",
        iters=80,
        grad_accumulation_steps=1,
        num_layers=3,
        learning_rate=3e-3,
        lora_parameters={"rank": 8, "scale": 4.0, "dropout": 0.0},
        save_every=80,
        steps_per_report=20,
    )
    run = train(config, "memory", root=place / "runs")
    losses = [row.nats_per_target_token or 9.0 for row in run.metrics if row.kind == "train"]
    assert losses[-1] < 1.3
    return run.folder.adapter


def mlx_lm(*arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "mlx_lm", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_generate(tiny: Path, adapter: Path) -> None:
    options = ("--model", tiny, "--prompt", QUESTION, "--max-tokens", 40, "--temp", 0, "--verbose", "False")
    assert mlx_lm("generate", *options, "--adapter-path", adapter).strip() == ANSWER


def test_fuse(tiny: Path, adapter: Path, tmp_path: Path) -> None:
    mlx_lm("fuse", "--model", tiny, "--adapter-path", adapter, "--save-path", tmp_path / "fused")
    spec, parameters = read_adapter(adapter, read_model_facts(tiny))
    base, batch = open_base(tiny, engine="mlx", dtype="float32"), batch_of(17, 23)
    engine = base.attach(spec)
    bare = nats_of(engine, batch)
    engine.set_parameters(parameters)
    adapted = nats_of(engine, batch)
    fused = open_base(tmp_path / "fused", engine="mlx", dtype="float32").attach(None)
    assert nats_of(fused, batch) == pytest.approx(adapted, rel=1e-5)
    assert abs(adapted - bare) > 1.0


@pytest.fixture
def server(tiny: Path, adapter: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlx_lm", "server", "--model", str(tiny), "--adapter-path", str(adapter)]
    process = subprocess.Popen([*command, "--port", str(port)], env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def test_server(server: str) -> None:
    body = {"messages": [{"role": "user", "content": QUESTION}], "max_tokens": 40, "temperature": 0.0}
    assert ask(f"{server}/v1/chat/completions", body)["choices"][0]["message"]["content"].strip() == ANSWER


def ask(url: str, body: dict[str, Any]) -> Any:
    """The answer, from a server that may still be starting."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    deadline = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except ConnectionError:
            raise
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
