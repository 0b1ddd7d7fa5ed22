"""`runoff evaluate --judge`: its options reach the judge, and a server that is down costs one sentence."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from tests.support.chat_server import Script, chat_server
from tests.support.fake_engine import FakeBase
from tests.support.runs import chat_row, fake_train, make_config, make_data, write_rows
from typer.testing import CliRunner

from runoff.cli.main import app
from runoff.evaluation import Answering, evaluate, load_evaluations
from runoff.runs import load_run


@pytest.fixture
def root(tiny_model: Path, tmp_path: Path) -> Path:
    """A run whose answers are stored, so that nothing is left to compute."""
    data = make_data(tmp_path / "data")
    write_rows(data / "test.jsonl", [chat_row(number) for number in range(30, 36)])
    run = fake_train(make_config(tiny_model, data), "long", tmp_path / "runs")
    evaluate([run], base=FakeBase(), answering=Answering(questions=6, training_questions=0, suite=False))
    return tmp_path / "runs"


def test_a_server_that_is_down_costs_one_sentence(root: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    arguments = ["evaluate", "long", "--runs", str(root), "--judge", address]
    result = CliRunner().invoke(app, arguments)
    assert "Not judged: the judge's model has no name. Add --judge-model NAME." in result.output
    result = CliRunner().invoke(app, [*arguments, "--judge-model", "referee"])
    assert result.exit_code == 0, result.output
    assert f"Not judged: nobody answers at {address}/v1" in result.output
    assert "Held-out loss" in result.output


def test_model_and_key_reach_the_server(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNOFF_JUDGE_KEY", "sk-very-secret-4711")
    with chat_server(Script()) as script:
        arguments = ["evaluate", "long", "--runs", str(root), "--judge", script.address, "--judge-model", "referee"]
        result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert {body["model"] for body in script.bodies} == {"referee"}
    assert all("Bearer sk-very-secret-4711" in headers.values() for headers in script.headers)
    assert "sk-very-secret-4711" not in result.output
    assert "exam failed" in " ".join(result.output.split())
    (found,) = load_evaluations(load_run("long", root))
    assert found.measures["judge_style"].run.value is None
