"""Documents can't drift: their commands exist, their links lead somewhere, pages made from the code are fresh."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

from runoff.cli.main import app
from runoff.config import load_config

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Every `runoff` line in a fenced block."""
    lines = [
        line for path in DOCUMENTS for block in FENCE.findall(path.read_text("utf-8")) for line in block.splitlines()
    ]
    return sorted({line.split(" #")[0].strip() for line in lines if line.startswith("runoff ")})


def parse(line: str) -> None:
    """Parse a command line against the real command, without running it."""
    command: Any = typer.main.get_command(app)
    words = shlex.split(line)[1:]
    while True:
        context = command.make_context(line, list(words))
        if not hasattr(command, "resolve_command"):
            return
        while words and words[0].startswith("-"):
            words.pop(0)
        _, command, words = command.resolve_command(context, words)


def test_documents_hold_commands() -> None:
    assert len(commands()) >= 8


@pytest.mark.parametrize("line", commands())
def test_every_command_in_a_document_can_be_typed(line: str) -> None:
    parse(line)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text("utf-8")):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), target


def test_the_tree_in_the_readme_is_the_tree() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    named = set(re.findall(r"^      (\w+)/ ", text, re.MULTILINE))
    there = {path.name for path in (ROOT / "src" / "runoff").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert named == there


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_is_a_configuration_without_a_note(path: Path) -> None:
    assert load_config(path).notes == ()


def test_pages_made_from_the_code_are_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["generate.py", "--check"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "docs" / "generate.py"), run_name="__main__")
    assert ended.value.code == 0, "run python docs/generate.py"
