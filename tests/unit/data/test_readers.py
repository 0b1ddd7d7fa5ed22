"""Readers: each habit of keeping questions and answers, and the sentence where there is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runoff.data.readers import Record, read_records
from runoff.errors import DataError

CHAT = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because."}]


def read(tmp_path: Path, name: str, text: str, **options: Any) -> list[Record]:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read_records(path, **options)


@pytest.mark.parametrize(
    "raw",
    [
        {"messages": CHAT},
        {"conversations": [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "Because."}]},
        {"prompt": "Why?", "completion": " Because. "},
        {"instruction": "Why?", "input": "", "output": "Because."},
        {"question": "Why?", "answer": "Because."},
        {"input": "Why?", "output": "Because."},
    ],
)
def test_every_habit_becomes_the_same_chat(raw: dict[str, Any], tmp_path: Path) -> None:
    (record,) = read(tmp_path, "rows.jsonl", json.dumps(raw | {"video": 7}) + "\n\n")
    assert record.body == {"messages": CHAT}
    assert record.source == "7"
    assert record.place == f"{tmp_path / 'rows.jsonl'}:1"


def test_an_instruction_with_input_and_system(tmp_path: Path) -> None:
    raw = {"system": "Be kind.", "instruction": "Sum up.", "input": "A long text.", "output": "Short."}
    (record,) = read(tmp_path, "rows.jsonl", json.dumps(raw))
    assert [m["content"] for m in record.body["messages"]] == ["Be kind.", "Sum up.\n\nA long text.", "Short."]


def test_text_rows_stay_text(tmp_path: Path) -> None:
    (record,) = read(tmp_path, "rows.jsonl", '{"text": "Once upon a time."}')
    assert record.body == {"text": "Once upon a time."}


@pytest.mark.parametrize(
    "text", ['[{"q": "Why?", "a": "Because."}]', '{"rows": [{"q": "Why?", "a": "Because."}], "n": 1}']
)
def test_json(text: str, tmp_path: Path) -> None:
    assert [record.body for record in read(tmp_path, "rows.json", text)] == [{"messages": CHAT}]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv_with_quotes_line_breaks_and_any_separator(separator: str, tmp_path: Path) -> None:
    text = separator.join(["Question", "Answer", "Chapter"]) + "\n" + separator.join(['"Why?"', '"Be\ncause."', "One"])
    (record,) = read(tmp_path, "rows.csv", f"\ufeff{text}\n", source_key="chapter")
    assert [m["content"] for m in record.body["messages"]] == ["Why?", "Be\ncause."]
    assert record.source == "One"


def test_markdown_with_marks(tmp_path: Path) -> None:
    text = "# Tea\n\n**Q:** Why?\nReally?\n\n**A:** Because.\n\nAnd so on.\n\n# Bread\nQ: How?\nA: Slowly.\n"
    first, second = read(tmp_path, "faq.md", text)
    assert [m["content"] for m in first.body["messages"]] == ["Why?\nReally?", "Because.\n\nAnd so on."]
    assert (first.source, second.source) == ("Tea", "Bread")
    assert second.place.endswith("faq.md:11")


def test_markdown_with_headings(tmp_path: Path) -> None:
    text = (
        "Intro.\n\n## Tea\n\n### Why?\n\nBecause.\n\n```\n# not a heading?\n```\n\n### How?\nSlowly.\n\n## End\nBye.\n"
    )
    first, second = read(tmp_path, "faq.md", text)
    assert first.body["messages"][1]["content"] == "Because.\n\n```\n# not a heading?\n```"
    assert (first.source, second.body["messages"][1]["content"]) == ("Tea", "Slowly.")


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("rows.txt", "x", "rows are read from .jsonl, .json, .csv, .md, .markdown files"),
        ("rows.jsonl", '{"a": 1}\n{"x": ', "rows.jsonl:1: has no question and answer"),
        ("rows.jsonl", '{"x": ', "rows.jsonl:1: not JSON"),
        ("rows.jsonl", "[1]", "must be an object"),
        ("rows.json", "3", "must be a list"),
        ("rows.csv", "a,b\n1,2\n", "its fields: a, b"),
        ("rows.md", "Just text.", "no question and answer was found"),
        ("rows.md", "## Why?\n\n## How?\nSo.", "answer is empty"),
        ("rows.jsonl", '{"conversations": [{"from": "dog", "value": "Woof"}]}', "a turn must be like"),
    ],
)
def test_what_cant_be_read_is_one_sentence(name: str, text: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=sentence.replace(".", r"\.").replace("[", r"\[")):
        read(tmp_path, name, text)


def test_a_missing_or_binary_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_records(tmp_path / "none.jsonl")
    (tmp_path / "raw.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not UTF-8"):
        read_records(tmp_path / "raw.jsonl")


def test_markdown_with_both_ways_of_asking(tmp_path: Path) -> None:
    text = """# Fasting

## What is it?

A pause. It has parts:

```
Q: not a question
```

## Why does it work?

**Q:** Really?
**A:** Yes.

## How long?
**A:** A day.
"""
    path = tmp_path / "q.md"
    path.write_text(text, "utf-8")
    records = read_records(path)
    pairs = [(r.body["messages"][0]["content"], r.body["messages"][1]["content"], r.source) for r in records]
    assert pairs == [
        ("What is it?", "A pause. It has parts:\n\n```\nQ: not a question\n```", "Fasting"),
        ("Really?", "Yes.", "Why does it work?"),
        ("How long?", "A day.", "Why does it work?"),
    ]


def test_markdown_question_without_an_answer_is_not_dropped(tmp_path: Path) -> None:
    path = tmp_path / "q.md"
    path.write_text("## One?\n\n## Two?\n\nYes.\n", "utf-8")
    with pytest.raises(DataError, match="answer is empty"):
        read_records(path)


def test_broken_json_comes_with_line_and_column(tmp_path: Path) -> None:
    lines, whole = tmp_path / "rows.jsonl", tmp_path / "rows.json"
    lines.write_text('{"q": "a", "a": "b"}\n{"q": a}\n')
    whole.write_text('[\n {"q": "a",\n  "a" "b"}\n]\n')
    for path, place in ((lines, f"{lines}:2: not JSON (Expecting value, column 7)."), (whole, f"{whole}: not JSON (")):
        with pytest.raises(DataError) as caught:
            read_records(path)
        assert str(caught.value).startswith(place)
    assert "line 3, column 7" in str(caught.value)


def test_a_key_that_stands_twice_is_refused_before_it_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"q": "a", "q": "c", "a": "b"}\n')
    with pytest.raises(DataError) as caught:
        read_records(path)
    assert str(caught.value) == f"{path}:1: has the key q twice in one object. Rename or remove one of the two."
