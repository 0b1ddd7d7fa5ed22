"""What the terminal shows: no more lines than asked for, and nothing that commands it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.run_folders import Told, make_run

from runoff.cli.output import say, show_run, show_runs


def test_a_list_is_cut_at_its_limit_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"run": f"r{at}", "loss": at / 3} for at in range(5)]
    show_runs(Path("runs"), rows, as_json=False, limit=2)
    shown = capsys.readouterr().out
    assert "Showing 2 of 5 runs in runs" in " ".join(shown.split())
    assert "r1" in shown
    assert "r2" not in shown
    show_runs(Path("runs"), rows, as_json=False)
    assert "5 runs in runs" in " ".join(capsys.readouterr().out.split())


def test_text_of_a_run_commands_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = Told(
        settings={"data": "\x1b[2J"}, identity={"model": {"name": "\x1b]0;x\x07"}, "result": {"reason": "\x9b1m"}}
    )
    show_run(make_run(tmp_path, "a", told))
    show_runs(tmp_path, [{"run": "\x1b[31m"}], as_json=False)
    say("\x1b[31m")
    shown = capsys.readouterr().out
    assert not set(shown) & set("\x1b\x07\x9b")
    assert r"\x1b[2J" in shown
