"""Rows in each of mlx-lm's formats, and the sentence for each row that is none."""

from __future__ import annotations

import gzip
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from tests.support.runs import write_rows

from runoff.config import Settings
from runoff.data import load_dataset, load_rows
from runoff.errors import DataError

USER = {"role": "user", "content": "What is proofing?"}
ANSWER = {"role": "assistant", "content": "The last rise."}


def write(folder: Path, *rows: Any) -> Path:
    return write_rows(folder / "rows.jsonl", rows)


def refusal(path: Path, settings: Settings | None = None) -> str:
    with pytest.raises(DataError) as caught:
        load_rows(path, settings)
    return str(caught.value)


def test_a_chat_row(tmp_path: Path) -> None:
    (row,) = load_rows(write(tmp_path, {"messages": [USER, ANSWER], "source": "loaves"})).rows
    assert (row.number, row.format, row.source, row.text, row.tools) == (1, "chat", "loaves", None, None)
    assert (row.question, row.answer) == ("What is proofing?", "The last rise.")
    assert row.messages == (USER, ANSWER)


def test_a_completion_row_is_a_chat_of_two_messages_but_remembers_its_format(tmp_path: Path) -> None:
    (row,) = load_rows(write(tmp_path, {"prompt": USER["content"], "completion": ANSWER["content"]})).rows
    assert row.format == "completion"
    assert row.messages == (USER, ANSWER)


def test_a_text_row(tmp_path: Path) -> None:
    (row,) = load_rows(write(tmp_path, {"text": "Flour and water."})).rows
    assert (row.format, row.text, row.messages) == ("text", "Flour and water.", ())
    assert (row.question, row.answer) == ("Flour and water.", "")


def test_a_row_of_several_kinds_is_read_as_mlx_lm_prefers(tmp_path: Path) -> None:
    both = {"prompt": "p", "completion": "c", "messages": [USER, ANSWER], "text": "t", "id": 3}
    (row,) = load_rows(write(tmp_path, both)).rows
    assert (row.format, row.unread) == ("completion", ("messages", "text"))
    del both["prompt"]
    assert load_rows(write(tmp_path, both)).rows[0].format == "chat"
    del both["messages"]
    assert load_rows(write(tmp_path, both)).rows[0].format == "text"


def test_fields_can_be_named_otherwise(tmp_path: Path) -> None:
    settings = Settings(prompt_feature="q", completion_feature="a", chat_feature="dialogue", text_feature="body")
    assert load_rows(write(tmp_path, {"q": "x", "a": "y"}), settings).rows[0].answer == "y"
    assert load_rows(write(tmp_path, {"dialogue": [USER, ANSWER]}), settings).rows[0].format == "chat"
    assert load_rows(write(tmp_path, {"body": "x"}), settings).rows[0].text == "x"
    assert "has none of the fields" in refusal(write(tmp_path, {"prompt": "x", "completion": "y"}), settings)


def test_tools_are_kept_and_an_empty_list_of_them_is_not_none(tmp_path: Path) -> None:
    tool = {"type": "function", "function": {"name": "timer", "parameters": {}}}
    rows = load_rows(
        write(
            tmp_path,
            {"messages": [USER, ANSWER], "tools": [tool]},
            {"messages": [USER, ANSWER], "tools": []},
            {"messages": [USER, ANSWER], "tools": None},
        )
    ).rows
    assert [row.tools for row in rows] == [(tool,), (), None]
    assert len({row.sha256 for row in rows}) == 3


def test_a_turn_may_call_a_tool_instead_of_speaking(tmp_path: Path) -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"type": "function", "function": {"name": "t"}}]}
    silent_user = {"role": "user", "tool_calls": [{"id": 1}]}
    (row,) = load_rows(write(tmp_path, {"messages": [USER, call, silent_user, call]})).rows
    assert row.answer == ""
    assert row.question == ""


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        ({"messages": []}, "messages must be a list of messages with role and content."),
        ({"messages": "hello"}, "messages must be a list of messages with role and content."),
        ({"messages": None}, "messages must be a list of messages with role and content."),
        ({"messages": ["hello"]}, 'message 1 has no role. Write {"role": ..., "content": ...}.'),
        ({"messages": [USER, {"content": "x"}]}, 'message 2 has no role. Write {"role": ..., "content": ...}.'),
        ({"messages": [{"role": 1, "content": "x"}]}, 'message 1 has no role. Write {"role": ..., "content": ...}.'),
        ({"messages": [{"role": "user"}, ANSWER]}, "message 1 (user) has no content. Write a text."),
        (
            {"messages": [{"role": "user", "content": [1]}, ANSWER]},
            "message 1 (user) has a list as its content. Write a text.",
        ),
        (
            {"messages": [USER]},
            "the last message is the user's, so there is no answer to learn. Add the assistant's turn or remove the "
            "row.",
        ),
        ({"prompt": 3, "completion": "x"}, "prompt must be a text, but is a number."),
        ({"prompt": "x", "completion": None}, "completion must be a text, but is null."),
        ({"text": 3}, "text must be a text."),
        ({"messages": [USER, ANSWER], "tools": 5}, "tools must be a list of JSON objects, one for each function."),
        ({"messages": [USER, ANSWER], "tools": "[]"}, "tools must be a list of JSON objects, one for each function."),
        ({"messages": [USER, ANSWER], "tools": ["a"]}, "tools must be a list of JSON objects, one for each function."),
        ({"text": "cut \ud83d"}, "holds half of a character (a lone surrogate). Remove it from the text."),
        (
            {"text": "whole", "source": "\udc00"},
            "holds half of a character (a lone surrogate). Remove it from the text.",
        ),
        (
            {},
            "has none of the fields messages, prompt and completion, or text (its fields: none). Rename them, set "
            "chat_feature, prompt_feature, completion_feature or text_feature, or convert the file: runoff data split.",
        ),
    ],
)
def test_a_row_that_is_none_is_named_with_file_and_line(tmp_path: Path, record: Any, sentence: str) -> None:
    good = {"text": "x"} if "text" in record else {"prompt": "x", "completion": "y"} if "prompt" in record else None
    path = write(tmp_path, good or {"messages": [USER, ANSWER]}, record)
    assert refusal(path) == f"{path}:2: {sentence}"


def test_numbers_count_lines_of_the_file_blank_ones_too(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'\n{"text": "a"}\r\n\n   \n{"text": "b"}')
    assert [row.number for row in load_rows(path).rows] == [2, 5]


def test_one_file_keeps_to_one_format(tmp_path: Path) -> None:
    path = write(tmp_path, {"text": "x"}, {"prompt": "x", "completion": "y"})
    assert refusal(path) == (
        f"{path}:2: is a completion row, but line 1 is a text row. mlx-lm would read all rows as the first one's kind; "
        "keep one format in a file."
    )


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"hello", "Expecting value, column 1"),
        (b'{"text": "a"', "Expecting ',' delimiter, column 13"),
        (b'{"text": "a"}}', "Extra data, column 14"),
        (b'{"n": ' + b"9" * 5000 + b"}", "nested too deeply or too long a number"),
        (b"[" * 100_000, "nested too deeply or too long a number"),
    ],
    ids=["words", "no end", "two ends", "endless number", "deep"],
)
def test_a_line_that_is_not_json(tmp_path: Path, line: bytes, reason: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"text": "a"}\n' + line + b"\n")
    assert refusal(path) == f"{path}:2: not JSON ({reason}). Each line must be one JSON object."


def test_a_byte_order_mark_is_no_part_of_the_first_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"text": "a"}\n')
    assert load_rows(path).rows[0].text == "a"


def test_utf_16_is_named_not_guessed(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes('{"text": "a"}\n'.encode("utf-16"))
    assert refusal(path) == f"{path}: is UTF-16 text. Save the file as UTF-8."


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (gzip.compress(b'{"text": "a"}\n'), "is no text (packed, or of another kind). Unpack it, or export its rows, "),
        (b"PAR1\x15\x04", "is no text (packed, or of another kind). "),
        (b"SQLite format 3\0", "is no text (packed, or of another kind). "),
        (b'{"text": "a"}\r{"text": "b"}\r', "has lines that end in CR alone. Save the file with line ends of LF."),
        (b'[{"text": "a"}]', "is one JSON list, not one object a line. Rename it to rows.json; "),
    ],
)
def test_a_file_of_another_kind_is_said_to_be_one(raw: bytes, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(raw)
    assert refusal(path).startswith(f"{path}: {sentence}")


def test_a_split_that_is_a_dead_link_is_not_taken_for_a_split_that_is_not_there(tmp_path: Path) -> None:
    write_rows(tmp_path / "train.jsonl", [{"text": "a"}])
    link = tmp_path / "valid.jsonl"
    link.symlink_to("elsewhere.jsonl")
    with pytest.raises(DataError) as caught:
        load_dataset(Settings(data=str(tmp_path)))
    assert str(caught.value) == f"{link}: is a link to a file that is not there."


def test_a_train_file_of_another_name_is_named(tmp_path: Path) -> None:
    write_rows(tmp_path / "Training.jsonl", [{"text": "a"}])
    with pytest.raises(DataError) as caught:
        load_dataset(Settings(data=str(tmp_path)))
    assert str(caught.value) == (
        f"{tmp_path}: has no train.jsonl. Training.jsonl is not read: rename it, if it has one JSON object a line."
    )


def test_an_empty_valid_file_can_be_removed_and_an_empty_train_file_not(tmp_path: Path) -> None:
    path = tmp_path / "valid.jsonl"
    path.write_text("")
    with pytest.raises(DataError, match=r"valid\.jsonl: is empty\. Add rows or remove the file\.$"):
        load_rows(path, None, "valid")
    with pytest.raises(DataError, match=r"valid\.jsonl: is empty\. It needs at least one row\.$"):
        load_rows(path, None, "train")


def test_a_line_separator_inside_a_text_does_not_end_the_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"text": "a\u2028b\x85c"}, ensure_ascii=False) + "\n", "utf-8")
    assert load_rows(path).rows[0].text == "a\u2028b\x85c"


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.jsonl") == f"{tmp_path / 'none.jsonl'}: no such file."
    (tmp_path / "folder.jsonl").mkdir()
    assert refusal(tmp_path / "folder.jsonl") == f"{tmp_path / 'folder.jsonl'}: can't be read (Is a directory)."
    assert stat.S_ISDIR((tmp_path / "folder.jsonl").stat().st_mode)


def test_the_hash_is_of_what_is_learnt_and_of_the_order(tmp_path: Path) -> None:
    one, two = {"messages": [USER, ANSWER]}, {"messages": [USER, {**ANSWER, "content": "Another."}]}
    plain = load_rows(write(tmp_path / "a", one, two))
    spaced = tmp_path / "b" / "rows.jsonl"
    spaced.parent.mkdir()
    spaced.write_text(json.dumps(one, indent=None, separators=(" ,  ", ":   ")) + "\n\n" + json.dumps(two) + "\n")
    with_source = load_rows(write(tmp_path / "c", {**one, "source": "s", "note": 1}, two))
    turned = load_rows(write(tmp_path / "d", two, one))
    assert plain.sha256 == load_rows(spaced).sha256 == with_source.sha256
    assert turned.sha256 != plain.sha256
    assert {row.sha256 for row in turned.rows} == {row.sha256 for row in plain.rows}


def test_sources_and_clusters(tmp_path: Path) -> None:
    rows = load_rows(
        write(
            tmp_path,
            {"text": "a", "video": "v2"},
            {"text": "b"},
            {"text": "c", "group": 7},
            {"text": "d", "video": "v2"},
        )
    )
    assert rows.sources == ("v2", "7")
    assert rows.clusters() == ["v2", "row 2", "7", "v2"]


def test_valid_and_test_may_be_absent_but_not_train(tmp_path: Path) -> None:
    write_rows(tmp_path / "train.jsonl", [{"text": "a"}])
    dataset = load_dataset(Settings(data=str(tmp_path)))
    assert (dataset.train.name, dataset.valid, dataset.test) == ("train", None, None)
    write_rows(tmp_path / "test.jsonl", [{"text": "b"}])
    test = load_dataset(Settings(data=str(tmp_path))).test
    assert test is not None
    assert (test.name, test.place) == ("test", str(tmp_path / "test.jsonl"))
