"""`runoff side-by-side` on answers that an evaluation really stored (by the fake engine)."""

from __future__ import annotations

import re
from pathlib import Path
from shutil import copytree

import pytest
from tests.support.fake_engine import FakeBase, FakeEngine
from tests.support.runs import chat_row, fake_train, make_config, make_data, write_rows
from typer.testing import CliRunner

from runoff.cli.main import app
from runoff.comparison import Aim, compare, verdict
from runoff.comparison.commands import next_commands
from runoff.errors import RunError
from runoff.evaluation import Answering, evaluate
from runoff.evaluation.side_by_side import gather_prompted, gather_stored, side_by_side
from runoff.plan import AdapterSpec
from runoff.report import report
from runoff.report.model import Paragraph, Texts
from runoff.report.side_by_side import side_by_side_report
from runoff.runs import Run, load_run

FEW = Answering(questions=4, training_questions=0, suite=False)


class NoBase(FakeBase):
    """A base that must not be used."""

    def attach(self, spec: AdapterSpec | None, *, seed: int = 0, checkpointing: bool = False) -> FakeEngine:
        pytest.fail("nothing was left to generate")


@pytest.fixture(scope="module")
def root(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs that have answered, and one that has not."""
    folder = tmp_path_factory.mktemp("side")
    data = make_data(folder / "data")
    write_rows(data / "test.jsonl", [chat_row(number) for number in range(30, 36)])
    runs: list[Run] = [
        fake_train(make_config(tiny_model, data, iters=iters), name, folder / "runs")
        for name, iters in (("long", 20), ("short", 4), ("silent", 2))
    ]
    evaluate(runs[:2], base=FakeBase(), answering=FEW)
    return folder / "runs"


def test_all_prompts_are_written_and_some_printed(root: Path, tmp_path: Path) -> None:
    arguments = ["side-by-side", "long", "short", "--runs", str(root), "--show", "1", "-o", str(tmp_path)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert result.output.count("Disagreement ") == 1
    page = (tmp_path / "side-by-side.html").read_text()
    assert page.count('<article class="texts"') == 4
    assert {path.name for path in tmp_path.iterdir()} == {f"side-by-side.{end}" for end in ("html", "md", "json")}


def test_a_comparison_shows_its_examples_as_side_by_side_does(root: Path) -> None:
    runs = [load_run(name, root) for name in ("long", "short")]
    comparison = compare(runs)
    examples = next(part for part in report(comparison, verdict(comparison)).sections if part.key == "examples")
    shown = {block.caption: block for block in examples.blocks if isinstance(block, Texts)}
    pages = side_by_side_report(side_by_side(gather_stored(runs))).sections
    same = {block.caption: block for page in pages for block in page.blocks if isinstance(block, Texts)}
    assert 1 <= len(shown) == len({*shown} & {*same})
    for question, block in shown.items():
        by_label = {one.label: one for one in same[question].texts}
        assert {one.label for one in block.texts} == {"reference", "base", "long", "short"}
        assert all(
            (one.spans, one.badges) == (by_label[one.label].spans, by_label[one.label].badges) for one in block.texts
        )
        assert all(one.note == by_label[one.label].note for one in block.texts)
        assert re.match(
            r"(For|Against) (long|short), (against|for) (short|long)\. Source: chapter \d+\. Loss of", block.note
        )
    told = " ".join(block.text for block in examples.blocks if isinstance(block, Paragraph))
    assert told.startswith("Of 4 questions that were answered, those whose reference ")
    assert "Underlined words" in told
    assert "No answers were generated" not in told


def test_where_a_run_failed_a_gate_the_answers_are_to_be_read_first(root: Path) -> None:
    comparison = compare([load_run(name, root) for name in ("long", "short")])
    found, sound = (list(next_commands(comparison, Aim.GENERALIZATION, failed=failed)) for failed in (True, False))
    command = f"runoff side-by-side {root / 'long'} {root / 'short'} --out answers"
    assert command in found
    assert [one for one in found if one != command] == sound


def test_what_was_not_printed_is_said(root: Path) -> None:
    result = CliRunner().invoke(app, ["side-by-side", "long", "--runs", str(root), "--show", "1"])
    assert "3 more prompts: add -o DIR to write them all, or --show." in result.output


def test_other_prompts_are_answered_once_and_their_checks_become_badges(root: Path, tmp_path: Path) -> None:
    prompts = tmp_path / "own.yaml"
    prompts.write_text("prompts:\n- {id: hello, category: greeting, ask: Hello?, checks: [{contains: hi}]}\n")
    runs = [load_run(name, root) for name in ("long", "short")]
    first = gather_prompted(runs, str(prompts), max_tokens=8, base=FakeBase())
    again = gather_prompted(runs, str(prompts), max_tokens=8, base=NoBase())
    assert first.material.answers == again.material.answers
    (prompt,) = side_by_side(again).prompts
    assert [said.label for said in prompt.shown] == ["base", "long", "short"]
    assert all("fails check: contains hi" in [badge.text for badge in said.badges] for said in prompt.shown)


def test_a_run_without_answers_is_one_sentence(root: Path) -> None:
    result = CliRunner().invoke(app, ["side-by-side", "long", "silent", "--runs", str(root)])
    assert isinstance(result.exception, RunError)
    assert str(result.exception) == (
        "silent: no generated answers are stored. Run: runoff evaluate long silent --generate."
    )


def test_two_runs_of_one_name_are_refused_and_not_shown_as_one(root: Path, tmp_path: Path) -> None:
    other = copytree(root, tmp_path / "others")
    result = CliRunner().invoke(app, ["side-by-side", str(root / "long"), str(other / "long")])
    assert isinstance(result.exception, RunError)
    assert str(result.exception).startswith("two runs are called long, and one would hide the other.")


def test_answers_that_were_not_generated_alike_are_said_to_differ_for_that_reason(root: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    copied = copytree(root, tmp_path / "runs")
    evaluate([load_run("short", copied)], base=FakeBase(), answering=replace(FEW, temperature=1.0))
    result = CliRunner().invoke(app, ["side-by-side", "long", "short", "--runs", str(copied)])
    assert "The answers were not generated alike" in result.output
    same = CliRunner().invoke(app, ["side-by-side", "long", "short", "--runs", str(root)])
    assert "not generated alike" not in same.output
