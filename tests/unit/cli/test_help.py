"""What `runoff --help` and each verb's --help say to somebody who has never seen them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from runoff.cli.main import app


def _verbs(group: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        yield f"{path}{name}", command
        if hasattr(command, "commands"):
            yield from _verbs(command, f"{path}{name} ")


VERBS = dict(_verbs(typer.main.get_command(app)))


@pytest.mark.parametrize("group", ["", *(name for name, command in VERBS.items() if hasattr(command, "commands"))])
def test_no_sentence_of_an_overview_is_cut(group: str) -> None:
    shown = CliRunner().invoke(app, [*group.split(), "--help"], terminal_width=80)
    assert shown.exit_code == 0
    assert "..." not in shown.output.partition("Commands:")[2]


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_says_what_it_does_in_a_sentence(verb: str) -> None:
    for parameter in VERBS[verb].params:
        if parameter.name == "help":
            continue
        text = getattr(parameter, "help", None) or ""
        assert text[:1].isupper(), f"{verb} --{parameter.name}: {text}"
        assert text.endswith((".", '".')), f"{verb} --{parameter.name}: {text}"
