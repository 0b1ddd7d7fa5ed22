"""Files are whole or absent, and JSON holds no NaN."""

from __future__ import annotations

import errno
import json
import math
import os
from pathlib import Path
from typing import Any

import pytest

from runoff.errors import ModelError, RunError
from runoff.files import jsonl, read_json_object, write_bytes, write_files, write_json, write_text


def test_a_written_file_is_there_with_its_folders_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file.txt"
    write_text(path, "grüße\n")
    assert path.read_bytes() == "grüße\n".encode()
    assert list(path.parent.iterdir()) == [path]


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_bytes(path, b"long content")
    write_bytes(path, b"short")
    assert path.read_bytes() == b"short"


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, "the disk is full, so file could not be written. Free some space and run it again."),
        (errno.EDQUOT, "the disk is full, so file could not be written. Free some space and run it again."),
        (errno.EROFS, "not writable, so file could not be written. Choose another folder."),
        (errno.EIO, "file could not be written (Input/output error)."),
    ],
)
def test_a_write_that_fails_says_why_and_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, sentence: str
) -> None:
    path = tmp_path / "file"
    write_bytes(path, b"before")

    def fail(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(RunError) as caught:
        write_bytes(path, b"after")
    assert str(caught.value) == f"{path}: {sentence}"
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_files_that_belong_together_are_all_new_or_all_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    write_bytes(first, b"before")
    saved = []

    def full(descriptor: int) -> None:
        saved.append(descriptor)
        if len(saved) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="second: the disk is full, so second could not be written"):
        write_files({first: b"after", second: b"after"})
    assert first.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [first]
    write_files({first: b"after", second: b"after"})
    assert (first.read_bytes(), second.read_bytes()) == (b"after", b"after")


def test_a_folder_that_cannot_be_made_is_a_sentence_too(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    path = tmp_path / "taken" / "inside" / "file"
    with pytest.raises(RunError) as caught:
        write_bytes(path, b"")
    assert str(caught.value) == (
        f"{tmp_path / 'taken'}: is a file, so file could not be written below it. Choose another folder."
    )


def test_numbers_that_json_does_not_know_are_written_by_name(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_json(path, {"a": [math.nan, (math.inf,)], "b": {"c": -math.inf}, "d": 1.5, "e": None, "ü": True})
    expected = {"a": ["nan", ["inf"]], "b": {"c": "-inf"}, "d": 1.5, "e": None, "ü": True}
    assert json.loads(path.read_text("utf-8")) == expected


def test_half_a_character_is_escaped_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_json(path, {"place": "caf\udce9"})
    assert json.loads(path.read_text("utf-8")) == {"place": "caf\udce9"}
    assert json.loads(jsonl([{"source": "\ud83d"}]).decode("utf-8")) == {"source": "\ud83d"}


def test_jsonl_is_one_object_a_line_even_with_line_breaks_inside() -> None:
    rows: list[dict[str, Any]] = [{"text": "a\nb\u2028c"}, {"loss": math.nan}]
    lines = jsonl(rows).decode().split("\n")
    assert lines[-1] == ""
    assert [json.loads(line) for line in lines[:-1]] == [{"text": "a\nb\u2028c"}, {"loss": "nan"}]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"{", "can't be read as JSON ("),
        (b"\xff\xfe", "can't be read as JSON ("),
        (b"[" * 100_000, "can't be read as JSON ("),
        (b"[1]", "must be a JSON object."),
    ],
)
def test_what_is_no_json_object_is_one_sentence_of_the_callers_kind(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        read_json_object(path, ModelError)
    assert str(caught.value).startswith(f"{path}: {why}")


def test_a_json_object_is_read_and_a_missing_file_is_the_callers_to_explain(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    with pytest.raises(FileNotFoundError):
        read_json_object(path, ModelError)
    path.write_text('{"r": 8}')
    assert read_json_object(path, ModelError) == {"r": 8}
