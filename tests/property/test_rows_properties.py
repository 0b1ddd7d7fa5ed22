"""Laws of reading rows: any bytes give rows or a sentence with the place."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runoff.data import RowSet, load_rows
from runoff.errors import DataError

ANY_TEXT = st.text(st.characters(), max_size=20)  # lone surrogates, too
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "content", "x"]), inner),
    max_leaves=6,
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant", "tool"]) | VALUES},
        optional={"content": VALUES, "tool_calls": VALUES},
    ),
    max_size=4,
)
RECORDS = st.fixed_dictionaries(
    {},
    optional={
        "messages": MESSAGES | VALUES,
        "prompt": VALUES,
        "completion": VALUES,
        "text": VALUES,
        "tools": VALUES,
        "source": VALUES,
    },
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rows") / "rows.jsonl"


def read(path: Path, content: bytes) -> RowSet | DataError:
    path.write_bytes(content)
    try:
        found = load_rows(path)
    except DataError as error:
        refusal = error
    else:
        assert_whole(found)
        return found
    assert str(refusal).startswith(f"{path}:")
    return refusal


def assert_whole(found: RowSet) -> None:
    assert found.rows
    for row in found.rows:
        assert len(row.sha256) == 64
        assert isinstance(row.question, str)
        assert isinstance(row.answer, str)
        json.dumps([row.question, row.answer, row.source], ensure_ascii=False).encode()


@given(content=st.binary(max_size=200))
@settings(max_examples=150)
def test_any_bytes_are_rows_or_a_data_error(path: Path, content: bytes) -> None:
    assert isinstance(read(path, content), RowSet | DataError)


@given(records=st.lists(RECORDS | VALUES, min_size=1, max_size=4))
@settings(max_examples=120)
def test_any_json_lines_are_rows_or_a_data_error(path: Path, records: list[Any]) -> None:
    read(path, b"".join(json.dumps(record).encode() + b"\n" for record in records))


TEXT = st.text(max_size=30)
CHATS = st.lists(st.tuples(TEXT, TEXT, st.none() | TEXT), min_size=1, max_size=8)


@given(chats=CHATS)
@settings(max_examples=60)
def test_good_rows_come_back_as_they_were_written(path: Path, chats: list[tuple[str, str, str | None]]) -> None:
    def record(question: str, answer: str, source: str | None) -> dict[str, Any]:
        turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        return {"messages": turns, "source": source}

    written = [record(*chat) for chat in chats]
    found = read(path, b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in written))
    assert isinstance(found, RowSet)
    assert [(row.question, row.answer, row.source) for row in found.rows] == chats
    assert [row.number for row in found.rows] == list(range(1, len(chats) + 1))
    assert len(found.clusters()) == len(chats)
    with tempfile.TemporaryDirectory() as folder:
        ascii_only = Path(folder) / "rows.jsonl"
        ascii_only.write_text("\n".join(json.dumps(row, indent=None) for row in written))
        assert load_rows(ascii_only).sha256 == found.sha256
