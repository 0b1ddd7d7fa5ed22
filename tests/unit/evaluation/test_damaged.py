"""A stored evaluation that is damaged is named with what makes it again; nothing is read out of half a file."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
from tests.support.fake_engine import FakeBase
from tests.support.run_folders import made_measure, make_run, random_losses
from tests.support.runs import chat_row, fake_train, make_config, make_data, write_rows

from runoff.errors import RunError
from runoff.evaluation import evaluate, load_evaluations
from runoff.evaluation.answers import Answer
from runoff.evaluation.gather import gather_stored
from runoff.evaluation.stored import load_generation, load_judge_decisions
from runoff.runs import Run, load_run

OPTIONS = {
    "measures.json": " --generate",
    "judge.json": " --judge ADDRESS",
    "harness.json": " --harness TASKS",
    "answers.jsonl": " --generate",
    "base-answers.jsonl": " --generate",
}
WHOLE = ("rows.jsonl", "base.jsonl", "examples.jsonl", "scored-measures.json", "evaluation.json")
DAMAGES: dict[str, Callable[[Path], object]] = {
    "half": lambda path: path.write_bytes(path.read_bytes()[: len(path.read_bytes()) // 3] + b"\n"),
    "list": lambda path: path.write_text("[1, 2]\n"),
    "object": lambda path: path.write_text('{"a": 1}\n'),
    "binary": lambda path: path.write_bytes(bytes(range(256))),
}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made = make_run(
        tmp_path / "my runs", "a", losses=random_losses(1, sources=2), measures=[made_measure("style", 0.5)]
    )
    folder = made.folder.evaluation("testset")
    body = (folder / "measures.json").read_text()
    for name in ("scored-measures.json", "judge.json", "harness.json"):
        (folder / name).write_text(body)
    answer = json.dumps(asdict(Answer("q", None, "Why?", "So.", "Thus."))) + "\n"
    for name in ("answers.jsonl", "base-answers.jsonl"):
        (folder / name).write_text(answer)
    return made


def read_everything(run: Run) -> None:
    for one in load_evaluations(run):
        one.answers()
        one.answers(base=True)
        one.examples()
        load_generation(one.folder / "measures.json")


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", [*OPTIONS, *WHOLE])
def test_each_file_is_named_with_the_command_that_makes_it_again(run: Run, name: str, damage: str) -> None:
    read_everything(run)
    folder = run.folder.evaluation("testset")
    DAMAGES[damage](folder / name)
    with pytest.raises(RunError) as caught:
        read_everything(run)
    removed = folder / ("evaluation.json" if name in WHOLE else name)
    assert str(caught.value).startswith(f"{folder / name}:")
    assert str(caught.value).endswith(
        f" Remove {removed} and run: runoff evaluate {shlex.quote(str(run.folder.path))}{OPTIONS.get(name, '')}."
    )
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["rows.jsonl", "base.jsonl"])
def test_a_file_that_is_gone_is_called_missing(run: Run, name: str) -> None:
    path = run.folder.evaluation("testset") / name
    path.unlink()
    with pytest.raises(RunError) as caught:
        load_evaluations(run)
    assert str(caught.value).startswith(f"{path}: is missing. Remove {path.with_name('evaluation.json')} and run: ")


def test_damaged_answers_stop_a_side_by_side_with_their_sentence(run: Run) -> None:
    path = run.folder.evaluation("testset") / "measures.json"
    gather_stored([run])
    path.write_text("{")
    with pytest.raises(RunError, match=r"measures\.json: can't be read as JSON .*--generate\.$"):
        gather_stored([run])


def test_a_judges_damaged_decisions(run: Run) -> None:
    folder = run.folder.evaluation("testset")
    (folder / "judge-decisions.jsonl").write_text('{"a": 1}\n{"b"\n{"c": 1}\n')
    with pytest.raises(RunError) as caught:
        load_judge_decisions(folder)
    assert str(caught.value).startswith(f"{folder / 'judge-decisions.jsonl'}:2: not a JSON object. Remove ")
    assert str(caught.value).endswith("--judge ADDRESS.")


@pytest.fixture
def trained(tiny_model: Path, tmp_path: Path) -> list[Run]:
    data = make_data(tmp_path / "data")
    write_rows(data / "test.jsonl", [chat_row(number) for number in range(30, 42)])
    return [fake_train(make_config(tiny_model, data, iters=4), name, tmp_path / "runs") for name in ("good", "bad")]


def test_evaluate_names_the_damaged_run_and_measures_the_others(trained: list[Run]) -> None:
    (first,) = evaluate(trained[1:], base=FakeBase())
    (first.folder / "rows.jsonl").write_text("{}\n")
    said: list[str] = []
    assert [one.run for one in evaluate(trained, base=FakeBase(), say=said.append)] == ["good"]
    (named,) = [text for text in said if "rows.jsonl" in text]
    assert named.endswith(f"and run: runoff evaluate {trained[1].folder.path}. The other runs go on.")
    (first.folder / "evaluation.json").unlink()  # what the sentence says
    again = evaluate(trained, base=FakeBase())
    assert [one.run for one in again] == ["good", "bad"]
    assert again[1].rows == first.rows


def test_kept_scores_that_are_damaged_are_made_again(trained: list[Run]) -> None:
    run = load_run(trained[0].folder.path)
    (first,) = evaluate([run], base=FakeBase())
    kept = next(first.folder.glob("scores-held-out-*.jsonl"))
    kept.write_text('{"row": 1}\n')
    (first.folder / "evaluation.json").unlink()
    with pytest.raises(RunError) as caught:
        evaluate([run], base=FakeBase())
    assert str(caught.value).startswith(f"{kept}: is not as Runoff writes it (")
    assert str(caught.value).endswith("Remove it and run the same command again.")
    kept.unlink()
    assert evaluate([run], base=FakeBase())[0].rows == first.rows
