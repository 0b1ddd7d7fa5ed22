"""Every command that a report prints is understood by the command line, and does what it was printed for."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from tests.support.runs import chat_row, make_data, write_rows

from runoff.cli.main import app
from runoff.cli.main import run as command_line
from runoff.comparison import Aim, Verdict, compare, verdict
from runoff.comparison.separation import separation
from runoff.runs import load_run

Type = Callable[[str], str]


@pytest.fixture
def type_in(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Type:
    """A folder with two trained runs on the tiny model, and a way to type commands in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RUNOFF_DIR", raising=False)
    make_data(Path("data"), train=12, valid=4)
    write_rows(Path("data") / "test.jsonl", [chat_row(number) for number in range(300, 324)])
    shared = {
        "model": str(tiny_model), "data": "data", "mask_prompt": True, "batch_size": 2, "steps_per_report": 2,
        "steps_per_eval": 4, "engine": "torch", "dtype": "float32", "lora_parameters": {"rank": 2, "scale": 4.0},
    }  # fmt: skip
    for name, own in (("long", {"iters": 8, "num_layers": 2}), ("short", {"iters": 4, "num_layers": 1})):
        Path(f"{name}.yaml").write_text(json.dumps(shared | own))

    def enter(command: str) -> str:
        words = shlex.split(command)
        assert words[0] == "runoff"
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ended:
            command_line()
        captured = capsys.readouterr()
        assert not ended.value.code, captured.out + captured.err
        return captured.out + captured.err

    enter("runoff train long.yaml")
    enter("runoff train short.yaml --set learning_rate=1e-3")
    return enter


def parsed(command: str) -> None:
    """Refused by the command line's own parser, or not."""
    group = typer.main.get_command(app)
    words = shlex.split(command)[1:]
    context = group.make_context("runoff", list(words))
    verb = group.get_command(context, words[0])  # type: ignore[attr-defined]
    verb.make_context(words[0], words[1:], parent=context)


def judged(*names: str, aim: Aim = Aim.GENERALIZATION) -> Verdict:
    return verdict(compare([load_run(name) for name in names]), aim)


def test_the_commands_lead_from_no_evidence_to_a_verdict_and_on(type_in: Type) -> None:
    first = judged("long", "short")
    assert first.commands[0] == "runoff evaluate long short"
    type_in(first.commands[0])
    second = judged("long", "short")
    assert second.decision.value != "insufficient evidence"
    generating, *training = second.commands
    assert generating == "runoff evaluate long short --generate"
    parsed(generating)
    # A second seed of each, both settings compared over their seeds, and short with one thing of long at a time.
    assert [command.split()[1] for command in training] == ["train"] * 2 + ["evaluate", "compare"] + ["train"] * 3
    said = {}
    for command in training:
        parsed(command)
        said[command] = type_in(command)
    (compared,) = [text for command, text in said.items() if "--replicates" in command]
    assert "long's settings" in compared
    made = load_run("short-iters-of-long")
    assert made.plan.settings["iters"].value == 8
    assert made.plan.settings["learning_rate"].value == 1e-3
    separated = separation(compare([made, load_run("short")]))
    assert separated is None  # the two differ in one thing
    seeded = load_run("long-seed1")
    assert {found.key for found in compare([seeded, load_run("long")]).differences} == {"seed"}


def test_the_commands_of_every_aim_are_understood(type_in: Type) -> None:
    for command in {command for aim in Aim for command in judged("long", "short", aim=aim).commands}:
        parsed(command)
