"""Folders that are no data folders, and files that are wrong as a whole: one sentence each, with what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.runs import chat_row, write_rows

from runoff.config import Settings
from runoff.data import load_rows
from runoff.data.survey import survey
from runoff.errors import DataError
from runoff.plan import check_data


def complaint(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        survey(folder, Settings())
    return str(caught.value)


def test_what_is_no_data_folder_says_what_it_is(tmp_path: Path) -> None:
    assert complaint(tmp_path / "gone").startswith(f"{tmp_path / 'gone'}: no such folder.")
    rows = tmp_path / "rows.csv"
    rows.write_text("prompt,completion\na,b\n")
    assert complaint(rows) == f"{rows}: is a file; data names the folder that holds train.jsonl."
    assert complaint(tmp_path).endswith(f"To make them: runoff data split {rows} --out data-split.")


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (json.dumps([{"prompt": "a", "completion": "b"}] * 9, indent=1).encode(), "is one JSON list, not one object"),
        (
            '{"prompt": "a", "completion": "b"}\n{"prompt": "c", "completion": "d"}\n'.encode("utf-16"),
            "is UTF-16 text.",
        ),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_is_said_once(raw: bytes, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_bytes(raw)
    (problem,) = survey(tmp_path, Settings()).problems
    assert problem.text.startswith(f"{tmp_path / 'train.jsonl'}: {sentence}")


def test_rows_that_are_wrong_alike_are_one_finding(tmp_path: Path) -> None:
    alpaca = [{"instruction": "a", "output": str(number)} for number in range(9)]
    write_rows(tmp_path / "train.jsonl", [chat_row(0), *alpaca, {"prompt": 1, "completion": "b"}])
    found = [found for found in check_data(tmp_path).looked.findings if found.code == "D301"]
    assert [one.place for one in found] == [f"{tmp_path / 'train.jsonl'}:{line}" for line in (2, 11)]
    assert found[0].what.endswith("or convert the file: runoff data split. 8 more rows in the same way.")


def test_blank_lines_alone_and_a_link_to_itself_are_said(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").symlink_to("train.jsonl")
    (tmp_path / "valid.jsonl").write_text("\n\n")
    told = [problem.text for problem in survey(tmp_path, Settings()).problems]
    assert told == [
        f"{tmp_path}/train.jsonl: can't be read (Too many levels of symbolic links).",
        f"{tmp_path}/valid.jsonl: is empty. Add rows or remove the file.",
    ]


def test_check_says_of_a_broken_row_what_training_says(tmp_path: Path) -> None:
    """The column too; and a file whose lines end in CR alone is no file of rows to either."""
    path = tmp_path / "train.jsonl"
    row = b'{"text": "a"}'
    for raw in (row + b"\n{'text': 'b'}\n", row + b"\r" + row + b"\r", row + b"\n[1]\n", row + b'\n{"text": "\xff"}\n'):
        path.write_bytes(raw)
        with pytest.raises(DataError) as caught:
            load_rows(path)
        assert [problem.text for problem in survey(tmp_path, Settings()).problems] == [str(caught.value)]
    path.write_bytes(row + b'\n{"text": b}\n')
    (problem,) = survey(tmp_path, Settings()).problems
    assert problem.text.startswith(f"{path}:2: not JSON (Expecting value, column 10).")


def test_repeated_keys_are_kept_whichever_way_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    twice = '{"messages": [{"role": "user", "role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}'
    path.write_text(f"{json.dumps(chat_row(0))}\n{twice}\n")
    assert load_rows(path).repeated_keys == {2: ("role",)}
    path.write_text(f"{json.dumps(chat_row(0))}\n{twice}\n[]\n")
    assert survey(tmp_path, Settings()).sets[0].repeated_keys == {2: ("role",)}
