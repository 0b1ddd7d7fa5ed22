"""`runoff vote` as typed, on answers that an evaluation really stored (by the fake engine): terminal, page, compare."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.fake_engine import FakeBase
from tests.support.polls import answered, make_voted_runs
from tests.support.runs import chat_row, fake_train, make_config, make_data, write_rows
from typer.testing import CliRunner

from runoff.cli.main import app
from runoff.errors import RunError
from runoff.evaluation import Answering, evaluate

QUESTIONS = 24
FEW = Answering(questions=QUESTIONS, training_questions=0, suite=False)


@pytest.fixture(scope="module")
def trained(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs that have answered, and one that has not."""
    folder = tmp_path_factory.mktemp("vote")
    data = make_data(folder / "data")
    write_rows(data / "test.jsonl", [chat_row(number) for number in range(30, 30 + QUESTIONS)])
    runs = [
        fake_train(make_config(tiny_model, data, iters=iters), name, folder / "runs")
        for name, iters in (("long", 20), ("short", 4), ("silent", 2))
    ]
    evaluate(runs[:2], base=FakeBase(), answering=FEW)
    return folder / "runs"


@pytest.fixture
def root(trained: Path) -> Iterator[Path]:
    """Nobody has voted yet."""
    yield trained
    (trained / "votes.jsonl").unlink(missing_ok=True)


def typed(root: Path, *arguments: str, keys: str = "") -> str:
    done = CliRunner().invoke(app, ["vote", *arguments, "--terminal", "--runs", str(root)], input=keys)
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


def rows(root: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (root / "votes.jsonl").read_text().splitlines()]


def test_keys_in_the_terminal_are_votes_and_p_pauses(root: Path) -> None:
    said = typed(root, "long", "short", "--voter", "Ada", keys="lurtbsaxp")
    choices = [row["choice"] for row in rows(root) if row["kind"] == "vote"]
    assert choices == ["left", "right", "tie", "both bad", "skip"]
    assert [row["kind"] for row in rows(root)][:2] == ["vote", "undo"]
    assert {row["voter"] for row in rows(root)} == {"Ada"}
    assert said.count("the author, to another question") == 6  # once at the start, once asked for
    assert said.endswith("Nothing has been revealed.")
    assert not re.search(r"\b(long|short)\b", said.replace(str(root), ""))
    again = typed(root, "long", "short", "--voter", "Ada", keys="p")
    assert f"Votes by Ada go to {root / 'votes.jsonl'}. So far: 3 votes, about {QUESTIONS - 4} questions left" in again


def test_long_answers_are_cut_alike_until_m_is_pressed(tmp_path: Path) -> None:
    runs = make_voted_runs(tmp_path)
    answered(runs[0], [f"{at}\n" + "line\n" * 40 + "the last" for at in range(QUESTIONS)])
    assert "the last" not in typed(tmp_path, "long", "short", keys="p")
    assert "the last" in typed(tmp_path, "long", "short", keys="mp")


def test_the_end_of_the_input_pauses_and_the_end_is_asked_for_twice(root: Path) -> None:
    assert typed(root, "long", "short", keys="len").endswith("Nothing has been revealed.")
    said = typed(root, "long", "short", keys="ley")
    assert "of 2 questions with a preference" in said
    assert "What this can't see: " in said
    after = typed(root, "long", "short", keys="lp")
    assert "you have seen the result, so these votes are kept and do not count" in after


def test_all_questions_end_it_and_compare_shows_the_votes(root: Path) -> None:
    said = typed(root, "long", "short", keys="l" * 60)
    assert "with a preference" in said
    assert "seems to prefer the left side" in said
    done = CliRunner().invoke(app, ["compare", "long", "short", "--runs", str(root)])
    assert done.exit_code == 0
    assert "Which answer sounds more like the author?" in done.output
    assert "Blind votes: " in done.output


def test_before_any_vote_compare_says_nothing_of_votes(root: Path) -> None:
    done = CliRunner().invoke(app, ["compare", "long", "short", "--runs", str(root)])
    assert "votes" not in done.output.lower()


def test_the_base_takes_part_if_asked_to(root: Path) -> None:
    typed(root, "long", "--with-base", keys="lp")
    (row,) = rows(root)
    assert {row["left"]["run"], row["right"]["run"]} == {"long", "base"}  # type: ignore[index]


def test_a_run_without_answers_is_one_sentence(root: Path) -> None:
    done = CliRunner().invoke(app, ["vote", "long", "silent", "--runs", str(root)])
    assert isinstance(done.exception, RunError)
    assert str(done.exception) == (
        "silent: no generated answers are stored. Run: runoff evaluate long silent --generate."
    )


@pytest.mark.parametrize("pressed", [False, True])
def test_the_page_is_served_until_it_ends_or_until_ctrl_c(root: Path, pressed: bool) -> None:
    command = [sys.executable, "-m", "runoff", "vote", "long", "short", "--runs", str(root)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    lines = iter(process.stdout)
    address = next(found.group() for line in lines if (found := re.search(r"http://127\.0\.0\.1:\d+/\S+/", line)))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def post(path: str, body: object) -> None:
        content = {"Content-Type": "application/json"}
        opener.open(urllib.request.Request(address + path, json.dumps(body).encode(), content), timeout=10).close()

    state = json.loads(opener.open(address + "state", timeout=10).read())
    post("vote", {"ballot": state["ballot"], "choice": "left"})
    if pressed:
        process.send_signal(signal.SIGINT)
    else:
        post("end", {"reveal": True})
    said, trouble = process.communicate(timeout=60)
    assert process.returncode == 0, trouble
    assert ("on 1 of 1 question with a preference" in said) == (not pressed)
    assert ("Nothing has been revealed." in said) == pressed
    assert [row["kind"] for row in rows(root)] == (["vote"] if pressed else ["vote", "revealed"])
