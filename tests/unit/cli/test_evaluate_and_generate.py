"""`runoff evaluate` and `runoff generate` as typed, on a tiny model and the torch engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.runs import chat_row, fake_train, make_config, make_data, write_rows
from typer.testing import CliRunner

from runoff.cli.main import app

pytest.importorskip("torch")


@pytest.fixture
def root(tiny_model: Path, tmp_path: Path) -> Path:
    data = make_data(tmp_path / "data")
    write_rows(data / "test.jsonl", [chat_row(number) for number in range(30, 48)])
    for name, iters in (("long", 20), ("short", 4)):
        fake_train(make_config(tiny_model, data, iters=iters), name, tmp_path / "runs")
    return tmp_path / "runs"


def typed(*arguments: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(one) for one in arguments])
    return done.exit_code, done.stdout


def test_evaluate_shows_every_measure_between_its_anchors_and_says_what_is_unknown(root: Path) -> None:
    code, said = typed("evaluate", "long", "short", "--runs", root)
    assert code == 0
    assert "Held-out loss (nats per target token, lower is better)" in said
    assert "Memorization gap" in said
    assert "Chance of the end" in said
    because = "unknown: Contrast pairs: the author's claim likelier than a false edit, because only"
    assert because in " ".join(said.split())
    assert "Broken answers" not in said
    again = typed("evaluate", "long", "short", "--runs", root)
    assert again[0] == 0
    assert "Scoring" not in again[1]


def test_evaluate_goes_on_without_a_run_that_is_not_there_and_exits_with_1(root: Path) -> None:
    code, said = typed("evaluate", "long", "shrt", "--runs", root)
    assert code == 1
    assert "shrt: no such run; did you mean short? The other runs go on." in said
    assert "long" in said


def test_generate_prints_json_alone_and_writes_rows(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "answers.jsonl"
    code, said = typed(
        "generate", "long", "--prompts", "Who?", "--max-tokens", "4", "--json", "-o", out, "--runs", root
    )
    assert code == 0
    rows = json.loads(said)
    assert [row["run"] for row in rows] == ["base", "long"]
    assert all(row["question"] == "Who?" and len(row["tokens"]) <= 4 for row in rows)
    assert [json.loads(line) for line in out.read_text().splitlines()] == rows


def test_generate_shows_each_answer_and_how_it_ended(root: Path) -> None:
    code, said = typed("generate", "long", "short", "-p", "Who?", "--max-tokens", "4", "--runs", root)
    assert code == 0
    assert "4 tokens, cut off at the limit" in said
    assert said.index("base, ") < said.index("long, ") < said.index("short, ")
