"""Rows as people keep them: JSONL files in any of mlx-lm's formats, read once and checked.

Owns: the formats, the sentence for each broken row, row hashes, sources. Must not: know tokens.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from runoff.config import Settings
from runoff.data.lines import json_kind, numbered_lines, read_record, wrong_as_a_whole
from runoff.errors import DataError

__all__ = [
    "Dataset",
    "Row",
    "RowSet",
    "load_dataset",
    "load_rows",
    "numbered_lines",
    "read_record",
    "rows_from_records",
]

Split = Literal["train", "valid", "test"]
Format = Literal["chat", "completion", "text"]
SPLITS: tuple[Split, ...] = ("train", "valid", "test")
SOURCE_KEYS = ("source", "group", "video", "video_id", "chapter")
_HABITS = ("system", "system_prompt", "conversations", "instruction", "input", "output", "response", "answer")
"""Fields that hold something to train on wherever they are read."""


@dataclass(frozen=True, slots=True)
class Row:
    """One example. `number` is its line in the file (from 1); `messages` end with the answer, except in text rows.

    unread: fields that look like something to train on, beside those of the row's format.
    """

    number: int
    format: Format
    messages: tuple[Mapping[str, Any], ...]
    text: str | None
    tools: tuple[Any, ...] | None
    source: str | None
    sha256: str
    unread: tuple[str, ...] = ()

    @property
    def question(self) -> str:
        """Text of the last user message; the whole text of a text row."""
        users = [str(message.get("content") or "") for message in self.messages if message["role"] == "user"]
        return users[-1] if users else (self.text or "")

    @property
    def answer(self) -> str:
        """Text of the last message; empty for a text row."""
        return str(self.messages[-1].get("content") or "") if self.messages else ""


@dataclass(frozen=True, slots=True)
class RowSet:
    """All rows of one file, in file order. repeated_keys: by line, JSON keys that stand in one object twice."""

    name: Split
    place: str
    rows: tuple[Row, ...]
    repeated_keys: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """Hash of the rows and their order; independent of white space in the file and of other fields."""
        return hashlib.sha256("\n".join(row.sha256 for row in self.rows).encode()).hexdigest()

    @property
    def sources(self) -> tuple[str, ...]:
        """Distinct sources in order of appearance."""
        return tuple(dict.fromkeys(row.source for row in self.rows if row.source is not None))

    def identity(self) -> dict[str, Any]:
        """As a run's record keeps them: place, counts, hash; of training rows also each row's."""
        each = {"row_sha256": [row.sha256[:16] for row in self.rows]} if self.name == "train" else {}
        return {
            "place": self.place,
            "rows": len(self.rows),
            "sha256": self.sha256,
            "sources": len(self.sources),
            **each,
        }

    def clusters(self) -> list[str]:
        """The cluster of each row: its source, or the row itself where none is given."""
        return [row.source if row.source is not None else f"row {row.number}" for row in self.rows]


@dataclass(frozen=True, slots=True)
class Dataset:
    """The three splits; valid and test may be absent."""

    train: RowSet
    valid: RowSet | None
    test: RowSet | None


def load_dataset(settings: Settings) -> Dataset:
    """Read `settings.data`: a folder of JSONL files, or a Hugging Face dataset id.

    Raises:
        DataError: no such folder or dataset, no train rows, or a broken row.
    """
    folder = Path(settings.data)
    if settings.hf_dataset is not None or not folder.exists():
        from runoff.data.hub import load_hub_dataset

        return load_hub_dataset(settings)
    if not folder.is_dir():
        raise DataError(f"{folder}: is a file; data names the folder that holds train.jsonl.")
    found = {split: folder / f"{split}.jsonl" for split in SPLITS}
    if not (found["train"].exists() or found["train"].is_symlink()):
        raise DataError(_without_train(folder))
    sets = {
        split: load_rows(path, settings, split) for split, path in found.items() if path.exists() or path.is_symlink()
    }
    return Dataset(sets["train"], sets.get("valid"), sets.get("test"))


def load_rows(path: Path, settings: Settings | None = None, name: Split = "test") -> RowSet:
    """Read one JSONL file.

    Raises:
        DataError: the first thing that is wrong, with file and line.
    """
    repeated: dict[int, tuple[str, ...]] = {}
    if whole := wrong_as_a_whole(path):
        raise DataError(f"{path}: {whole}")
    rows = rows_from_records(_read_records(path, repeated), settings or Settings(), str(path))
    if not rows:
        cure = "It needs at least one row." if name == "train" else "Add rows or remove the file."
        raise DataError(f"{path}: is empty. {cure}")
    return RowSet(name, str(path), tuple(rows), repeated)


def rows_from_records(records: Iterator[tuple[int, Mapping[str, Any]]], settings: Settings, place: str) -> list[Row]:
    """Rows from (number, JSON object) pairs; one file must keep to one format."""
    rows: list[Row] = []
    for number, record in records:
        row = _row(number, record, settings, f"{place}:{number}")
        if rows and row.format != rows[0].format:
            raise DataError(
                f"{place}:{number}: is a {row.format} row, but line {rows[0].number} is a {rows[0].format} row. "
                "mlx-lm would read all rows as the first one's kind; keep one format in a file."
            )
        rows.append(row)
    return rows


def _without_train(folder: Path) -> str:
    """With the file that was meant, where one is named nearly so."""
    close = sorted(path.name for path in folder.iterdir() if path.stem.lower() in ("train", "training"))
    cure = f"{close[0]} is not read: rename it, if it has" if close else "Put the training rows there,"
    return f"{folder}: has no train.jsonl. {cure} one JSON object a line."


def _read_records(path: Path, repeated: dict[int, tuple[str, ...]]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, raw in numbered_lines(path):
        record, twice = read_record(raw, f"{path}:{number}")
        if twice:
            repeated[number] = twice
        yield number, record


def _row(number: int, record: Mapping[str, Any], settings: Settings, place: str) -> Row:
    prompt, completion = settings.prompt_feature, settings.completion_feature
    # mlx-lm's order of preference (tuner/datasets.py): completion, then chat, then text.
    if prompt in record and completion in record:
        kind: Format = "completion"
        messages = _pair(record[prompt], record[completion], place, prompt, completion)
    elif settings.chat_feature in record:
        kind, messages = "chat", _chat(record[settings.chat_feature], place, settings.chat_feature)
    elif settings.text_feature in record:
        kind, messages = "text", ()
        if not isinstance(record[settings.text_feature], str):
            raise DataError(f"{place}: {settings.text_feature} must be a text.")
    else:
        fields = ", ".join(map(str, record)) or "none"
        raise DataError(
            f"{place}: has none of the fields messages, prompt and completion, or text (its fields: {fields}). "
            "Rename them, set chat_feature, prompt_feature, completion_feature or text_feature, or convert the file: "
            "runoff data split."
        )
    tools = _tools(record.get("tools"), place)
    text = str(record[settings.text_feature]) if kind == "text" else None
    source = next((str(record[key]) for key in SOURCE_KEYS if record.get(key) is not None), None)
    try:
        (source or "").encode()
        unread = _unread(record, kind, settings)
        return Row(number, kind, messages, text, tools, source, _hash(messages, text, tools), unread)
    except UnicodeEncodeError:
        raise DataError(f"{place}: holds half of a character (a lone surrogate). Remove it from the text.") from None
    except RecursionError:
        raise DataError(f"{place}: is nested too deeply. Flatten it.") from None


def _unread(record: Mapping[str, Any], kind: Format, settings: Settings) -> tuple[str, ...]:
    pair = (settings.prompt_feature, settings.completion_feature)
    read = {"completion": pair, "chat": (settings.chat_feature,), "text": (settings.text_feature,)}[kind]
    telling = (*pair, settings.chat_feature, settings.text_feature, *_HABITS)
    return tuple(key for key in dict.fromkeys(telling) if key not in read and record.get(key))


def _tools(tools: Any, place: str) -> tuple[Any, ...] | None:
    if tools is not None and not (isinstance(tools, list) and all(isinstance(tool, dict) for tool in tools)):
        raise DataError(f"{place}: tools must be a list of JSON objects, one for each function.")
    return None if tools is None else tuple(tools)


def _pair(prompt: Any, completion: Any, place: str, *names: str) -> tuple[Mapping[str, Any], ...]:
    for value, name in zip((prompt, completion), names, strict=True):
        if not isinstance(value, str):
            raise DataError(f"{place}: {name} must be a text, but is {json_kind(value)}.")
    return ({"role": "user", "content": prompt}, {"role": "assistant", "content": completion})


def _chat(messages: Any, place: str, field: str) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(messages, list) or not messages:
        raise DataError(f"{place}: {field} must be a list of messages with role and content.")
    for index, message in enumerate(messages, start=1):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise DataError(f'{place}: message {index} has no role. Write {{"role": ..., "content": ...}}.')
        content = message.get("content")
        if not isinstance(content, str) and not message.get("tool_calls"):
            found = f"{json_kind(content)} as its content" if "content" in message else "no content"
            raise DataError(f"{place}: message {index} ({message['role']}) has {found}. Write a text.")
    if messages[-1]["role"] != "assistant":
        raise DataError(
            f"{place}: the last message is the {messages[-1]['role']}'s, so there is no answer to learn. "
            "Add the assistant's turn or remove the row."
        )
    return tuple(messages)


def _hash(messages: Sequence[Mapping[str, Any]], text: str | None, tools: Any) -> str:
    canonical = json.dumps([list(messages), text, tools], ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
