"""The index: up to date, rebuilt at will, and what a filter may say."""

from __future__ import annotations

import json
import os
import platform
from functools import partial
from pathlib import Path

import pytest
from tests.support.run_folders import Told, make_run

from runoff.errors import RunError
from runoff.runs import choose_runs, find_runs, free_folder, list_runs, load_run
from runoff.runs.query import parse_where


def names(root: Path, where: str | None = None, sort: str | None = None) -> list[object]:
    return [row["run"] for row in list_runs(root, where=where, sort=sort)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, rate, best in (("a", 1e-4, 2.0), ("b", 5e-5, 1.5), ("c", 2e-4, 1.7)):
        from runoff.runs import MetricRow

        told = Told(
            settings={"learning_rate": rate}, metrics=(MetricRow("validation", 10, nats_per_target_token=best),)
        )
        make_run(tmp_path, name, told)
    return tmp_path


def test_filter_and_sort(root: Path) -> None:
    assert names(root, "learning_rate < 1.5e-4 and best_val_loss < 1.9") == ["b"]
    assert names(root, "not (learning_rate <= 1e-4) or best_val_loss == 1.5") == ["b", "c"]
    assert names(root, "lora_parameters.rank >= 8 and status == 'finished'", "best_val_loss") == ["b", "c", "a"]


def test_a_changed_run_is_read_again_and_a_vanished_one_forgotten(root: Path) -> None:
    assert names(root) == ["a", "b", "c"]
    make_run(root, "a", Told(settings={"learning_rate": 9.0}))
    assert names(root, "learning_rate > 1") == ["a"]
    (root / "b" / "run.json").unlink()
    assert names(root) == ["a", "c"]


def test_a_damaged_or_deleted_index_is_made_anew(root: Path) -> None:
    names(root)
    (root / ".index.sqlite").write_bytes(b"not a database" * 100)
    assert names(root) == ["a", "b", "c"]
    (root / ".index.sqlite").unlink()
    assert names(root) == ["a", "b", "c"]


def test_a_comparison_with_an_unknown_value_is_not_true(root: Path) -> None:
    make_run(root, "d", Told(metrics=()))
    assert "d" not in names(root, "best_val_loss < 99")
    assert "d" not in names(root, "best_val_loss != 1.5")
    assert names(root, sort="best_val_loss")[-1] == "d"


def test_a_root_that_is_a_file_is_said_by_every_command(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("x")
    for ask in (list_runs, find_runs, partial(load_run, "a"), partial(free_folder, "a"), partial(choose_runs, ["a*"])):
        with pytest.raises(RunError) as caught:
            ask(root=path)
        assert str(caught.value) == (
            f"{path}: is a file, and runs are kept in a folder. Name that one with --runs or $RUNOFF_DIR."
        )


def test_a_run_whose_process_is_gone_was_killed(root: Path) -> None:
    make_run(root, "d", Told(identity={"status": "running"}))
    lock = root / "d" / ".lock"
    lock.write_text(json.dumps({"process": os.getpid(), "host": platform.node()}))
    assert names(root, "status == 'running'") == ["d"]
    lock.write_text(json.dumps({"process": 2**22 + 1, "host": platform.node()}))  # above Linux's highest
    assert names(root, "status == 'running'") == []  # no file of the record has changed
    assert names(root, "status == 'killed'") == ["d"]
    assert load_run("d", root).status == "killed"
    lock.write_text(json.dumps({"process": 2**22 + 1, "host": "elsewhere"}))
    assert names(root, "status == 'running'") == ["d"]  # can't be told from here


def test_a_folder_that_can_not_be_read_is_listed_as_such(root: Path) -> None:
    (root / "a" / "plan.json").write_text("{")
    assert names(root, "status == 'unreadable'") == ["a"]


def test_an_unknown_name_is_refused_with_the_nearest(root: Path) -> None:
    with pytest.raises(RunError, match=r"--where: no run has learning_rat; did you mean learning_rate\?"):
        names(root, "learning_rat < 1")


@pytest.mark.parametrize(
    "text", ["__import__('os').system('x') < 1", "a[0] < 1", "lambda: 1", "1 +", "learning_rate in (1, 2)"]
)
def test_nothing_but_comparisons_can_be_said(text: str) -> None:
    with pytest.raises(RunError, match="--where"):
        parse_where(text, ["learning_rate", "a"])


def test_no_folder_means_no_runs(tmp_path: Path) -> None:
    assert list_runs(tmp_path / "nowhere") == []


def test_a_read_only_folder_is_listed_all_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = list_runs(root)
    (root / ".index.sqlite").unlink()
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    assert list_runs(root) == wanted
    assert not (root / ".index.sqlite").exists()


def test_a_column_or_an_order_by_an_unknown_name_is_refused(root: Path) -> None:
    with pytest.raises(RunError, match=r"--sort: no run has learning_rat; did you mean learning_rate\?"):
        list_runs(root, sort="learning_rat")
    with pytest.raises(RunError, match=r"--columns: no run has zzz; `runoff show RUN` lists"):
        list_runs(root, columns=["zzz"])


def test_the_usual_columns_can_be_sorted_by_before_any_run_has_them(tmp_path: Path) -> None:
    assert list_runs(tmp_path, sort="best_val_loss") == []
