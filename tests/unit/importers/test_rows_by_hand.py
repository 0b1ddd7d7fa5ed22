"""`--set data=FOLDER`: the rows that a person says a run was trained on are hashed, counted, and marked as given."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.runs import chat_row, make_data, write_rows
from tests.unit.importers.given import write

from runoff.comparison import compare
from runoff.errors import DataError
from runoff.evaluation.samples import training_rows
from runoff.importers import ImportedRun, import_runs

PEFT = {"peft_type": "LORA", "r": 4, "lora_alpha": 16, "lora_dropout": 0.0}


def imported(root: Path, name: str, *assignments: str) -> ImportedRun:
    adapter = write(root / name / "adapter_config.json", PEFT)
    (found,) = import_runs([adapter], name=name, root=root / "runs", assignments=assignments).imported
    return found


def test_the_rows_are_at_hand_and_marked(tmp_path: Path) -> None:
    data = make_data(tmp_path / "data")
    run = imported(tmp_path, "a", f"data={data}").run
    assert run is not None
    train = run.identity.data["train"]
    assert train["given"] == "by hand"
    assert len(training_rows(run)) == train["rows"] == run.plan.counts["train_rows"].value > 0
    assert (run.plan.counts["train_rows"].origin.place or "").startswith("--set")
    plain = imported(tmp_path, "b").run
    assert plain is not None
    assert plain.identity.data == {}
    (said,) = [check for check in compare([run, plain]).checks if check.topic == "training rows"]
    assert said.sentence.text == "Which rows a trained on was given by hand at the import."


def test_a_count_given_beside_it_holds(tmp_path: Path) -> None:
    run = imported(tmp_path, "a", f"data={make_data(tmp_path / 'data')}", "train_rows=7").run
    assert run is not None
    assert run.plan.counts["train_rows"].value == 7


def test_other_rows_are_another_import(tmp_path: Path) -> None:
    data = make_data(tmp_path / "data")
    assert imported(tmp_path, "a", f"data={data}").new
    assert not imported(tmp_path, "a", f"data={data}").new
    write_rows(data / "train.jsonl", [chat_row(number) for number in range(90, 95)])
    assert (
        import_runs([tmp_path / "a" / "adapter_config.json"], root=tmp_path / "runs", assignments=[f"data={data}"])
        .imported[0]
        .new
    )


def test_a_row_that_cant_be_read_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    data = make_data(tmp_path / "data")
    (data / "train.jsonl").write_text("{")
    with pytest.raises(DataError, match=r"train\.jsonl:1"):
        imported(tmp_path, "a", f"data={data}")
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_is_not_here_is_only_a_name(tmp_path: Path) -> None:
    run = imported(tmp_path, "a", "data=gone/data").run
    assert run is not None
    assert run.identity.data == {}
    assert run.plan.settings["data"].value == "gone/data"
