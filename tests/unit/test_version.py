"""What a record says of the process that made it."""

from __future__ import annotations

import shlex

import pytest

from runoff.version import command_line


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["/home/me/bin/runoff", "train", "my run.yaml", "--set", "iters=5"],
            "runoff train 'my run.yaml' --set iters=5",
        ),
        (["train.py"], "train.py"),
        ([], ""),
    ],
)
def test_the_command_is_one_that_a_shell_takes(
    monkeypatch: pytest.MonkeyPatch, words: list[str], expected: str
) -> None:
    monkeypatch.setattr("sys.argv", words)
    assert command_line() == expected
    assert shlex.split(command_line())[1:] == words[1:]
