"""`runoff train`: options that contradict each other, and a run that is not there, before anything is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.runs import make_config
from typer.testing import CliRunner

from runoff.cli.main import app


@pytest.fixture
def settings(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(make_config(tiny_model, tiny_data).text)
    return path


@pytest.mark.parametrize("option", ["--resume", "--extend"])
def test_overwrite_is_not_left_unheard_beside_resume(settings: Path, tmp_path: Path, option: str) -> None:
    ended = CliRunner().invoke(app, ["train", str(settings), option, "--overwrite", "--runs", str(tmp_path / "runs")])
    assert str(ended.exception) == (
        "--overwrite deletes the run that --resume and --extend go on with: leave one of them out."
    )


@pytest.mark.parametrize("option", ["--resume", "--extend"])
def test_a_run_that_is_not_there_is_said_before_the_plan(settings: Path, tmp_path: Path, option: str) -> None:
    ended = CliRunner().invoke(app, ["train", str(settings), option, "--runs", str(tmp_path / "runs")])
    assert str(ended.exception).startswith("run: no such run; ")
    assert ended.output == ""
