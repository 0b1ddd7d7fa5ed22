"""Training rows are those that a run was trained on, not whatever stands behind the same path today."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.runs import chat_row, fake_train, make_config, make_data, write_rows

from runoff.data import load_rows
from runoff.evaluation.samples import spread, training_rows
from runoff.runs import Run


@pytest.fixture
def run(tiny_model: Path, tmp_path: Path) -> Run:
    return fake_train(make_config(tiny_model, make_data(tmp_path / "data"), iters=2), "run", tmp_path / "runs")


def test_all_rows_are_at_hand_where_the_file_is_as_it_was(run: Run) -> None:
    assert len(training_rows(run)) == 11


def test_of_a_file_that_was_split_anew_the_rows_that_were_trained_on_are_left(run: Run, tmp_path: Path) -> None:
    write_rows(tmp_path / "data" / "train.jsonl", [chat_row(number) for number in (30, 2, 31, 5)])
    assert [row.question.partition(",")[0] for row in training_rows(run)] == ["Question 2", "Question 5"]


def test_of_a_record_that_does_not_name_its_rows_none_is_known(run: Run) -> None:
    train = {key: value for key, value in run.identity.data["train"].items() if key != "row_sha256"}
    run.identity.data["train"] = train
    assert training_rows(run) == []


@pytest.mark.parametrize("text", [None, "no row\n"])
def test_a_file_that_is_gone_or_can_not_be_read_leaves_none(run: Run, tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "data" / "train.jsonl"
    path.unlink()
    if text:
        path.write_text(text)
    assert training_rows(run) == []


def test_rows_are_spread_evenly_and_none_twice(tmp_path: Path) -> None:
    rows = load_rows(write_rows(tmp_path / "rows.jsonl", [chat_row(at) for at in (*range(10), 0, 1)])).rows
    distinct = [row.sha256 for row in rows[:10]]
    assert [row.sha256 for row in spread(rows, 4)] == [distinct[at] for at in (0, 2, 5, 7)]
    assert [row.sha256 for row in spread(rows, 10)] == distinct
    assert [row.sha256 for row in spread(rows, 99)] == distinct
