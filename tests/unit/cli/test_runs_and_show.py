"""`runoff runs` and `runoff show` where there is little to show, and where the output can't be written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.run_folders import Told, make_run
from typer.testing import CliRunner

from runoff.cli.main import app
from runoff.runs import MetricRow


def shown(*words: object) -> str:
    return CliRunner().invoke(app, [str(word) for word in words]).output


def test_an_empty_folder_and_a_filter_that_nothing_fits(tmp_path: Path) -> None:
    assert shown("runs", "--runs", tmp_path / "none") == (
        f"No runs in {tmp_path / 'none'}. `runoff train` or `runoff import` makes one.\n"
    )
    make_run(tmp_path, "a")
    assert shown("runs", "--runs", tmp_path, "--where", "iters > 1e9") == f"No run in {tmp_path} fits.\n"
    assert shown("runs", "--runs", tmp_path).startswith(f"1 run in {tmp_path}")


def test_what_has_no_iteration_is_shown_without_one(tmp_path: Path) -> None:
    rows = [MetricRow("event", None, text="test loss 1.5"), MetricRow("event", 4, text="stopped")]
    make_run(tmp_path, "a", Told(metrics=rows))
    text = shown("show", "a", "--runs", tmp_path)
    assert "\ntest loss 1.5\n" in text
    assert "\nat iteration 4: stopped\n" in text


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_output_that_can_not_be_written_is_no_bug(tmp_path: Path) -> None:
    make_run(tmp_path, "a")
    command = [sys.executable, "-m", "runoff", "show", "a", "--runs", str(tmp_path)]
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(command, check=False, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr == (
        "runoff: the output: the disk is full, so it could not be written. Free some space and run it again.\n"
    )
