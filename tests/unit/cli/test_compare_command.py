"""`runoff compare` as it is typed: which runs, which files."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.run_folders import Told, make_run, random_losses
from typer.testing import CliRunner

from runoff.cli.main import app
from runoff.errors import RunError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    losses = random_losses(1)
    for at, rate in enumerate((1e-4, 1e-4, 2e-4)):
        told = Told(settings={"learning_rate": rate})
        make_run(tmp_path / "runs", f"seed-{at}", told, losses=losses - 0.1 * at)
    return tmp_path / "runs"


def compare(root: Path, *arguments: str) -> str:
    done = CliRunner().invoke(app, ["compare", "--runs", str(root), *arguments], catch_exceptions=False)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


def test_a_pattern_and_a_filter_choose_the_runs(root: Path) -> None:
    assert "Runoff: seed-0, seed-1 and seed-2" in compare(root, "seed-*")
    assert "Runoff: seed-0 and seed-1" in compare(root, "--where", "learning_rate < 1.5e-4")


def test_the_tables_are_written_beside_the_report(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = compare(root, "seed-*", "-o", str(out), "--tables", "csv, parquet", "--brief")
    assert str(out / "tables") in said
    assert {"results-1.csv", "results-1.parquet"} <= {path.name for path in (out / "tables").iterdir()}


def test_tables_without_a_folder_are_one_sentence(root: Path) -> None:
    with pytest.raises(RunError, match="--tables: add -o FOLDER"):
        compare(root, "seed-*", "--tables", "csv")
