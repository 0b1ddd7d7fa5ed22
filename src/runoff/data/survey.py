"""Reading a data folder to report on it: every row that can't be used is listed, not just the first.

Owns: going on after a broken row. Must not: have rules of its own about rows (data/rows.py has them).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from runoff.config import Settings
from runoff.data.lines import numbered_lines, read_record
from runoff.data.rows import (
    SPLITS,
    Dataset,
    Row,
    RowSet,
    Split,
    load_rows,
    rows_from_records,
)
from runoff.errors import DataError
from runoff.words import count_of

__all__ = ["RowProblem", "Survey", "survey", "unread_splits"]

_OTHER_NAMES: dict[str, Split] = {
    "training": "train",
    "validation": "valid",
    "val": "valid",
    "dev": "valid",
    "eval": "valid",
    "testing": "test",
}
"""How other tools call a split. Only `train`, `valid` and `test` are read, by Runoff and by mlx-lm."""

_OF_ROWS = frozenset({".jsonl", ".json", ".ndjson", ".csv", ".tsv", ".parquet", ".arrow", ".txt", ".gz", ".zst"})
"""Endings of files that rows are kept in."""


@dataclass(frozen=True, slots=True)
class RowProblem:
    """A row that can't be used: `kind` says whose rule it breaks, `text` is the whole sentence with its place."""

    kind: Literal["last message", "format", "row"]
    place: str
    text: str


@dataclass(frozen=True, slots=True)
class Survey:
    """The readable rows of each split that has any, and the rows that can't be used."""

    folder: Path
    sets: tuple[RowSet, ...]
    problems: tuple[RowProblem, ...]

    @property
    def dataset(self) -> Dataset | None:
        """The splits, if there is something to train on."""
        named = {rows.name: rows for rows in self.sets}
        return Dataset(named["train"], named.get("valid"), named.get("test")) if "train" in named else None


def survey(folder: Path, settings: Settings) -> Survey:
    """Read train.jsonl, valid.jsonl and test.jsonl, as far as they are there.

    Raises:
        DataError: the folder has none of them.
    """
    files: dict[Split, Path] = {split: folder / f"{split}.jsonl" for split in SPLITS}
    present = {split: path for split, path in files.items() if path.exists() or path.is_symlink()}
    if not present:
        raise DataError(_without_splits(folder))
    sets: list[RowSet] = []
    problems: list[RowProblem] = []
    for split, path in present.items():
        rows, wrong = _read(path, split, settings)
        problems += wrong
        if rows.rows:
            sets.append(rows)
    return Survey(folder, tuple(sets), tuple(problems))


def unread_splits(sets: Sequence[RowSet]) -> tuple[tuple[Path, Split], ...]:
    """Files beside those that were read whose names say that they are splits too, and which split each would be."""
    folders = {path.parent for path in (Path(rows.place) for rows in sets) if path.is_file()}
    beside = sorted(path for folder in folders for path in folder.iterdir() if path.suffix.lower() in _OF_ROWS)
    named = ((path, _meant(path)) for path in beside)
    return tuple((path, split) for path, split in named if split is not None and not _is_read(path, split))


def _meant(path: Path) -> Split | None:
    """The split that a file's name says it is."""
    name = path.name.lower().partition(".")[0]
    return _OTHER_NAMES.get(name) or next((split for split in SPLITS if split == name), None)


def _is_read(path: Path, split: Split) -> bool:
    """Whether it is the split's own file, be it under a name that the disk takes for the same."""
    own = path.with_name(f"{split}.jsonl")
    return path == own or (path.name.lower() == own.name and own.exists() and own.samefile(path))


def _without_splits(folder: Path) -> str:
    if not folder.exists():
        return f"{folder}: no such folder. It is the one that holds train.jsonl, valid.jsonl and test.jsonl."
    if not folder.is_dir():
        return f"{folder}: is a file; data names the folder that holds train.jsonl."
    rows = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jsonl", ".json", ".csv"))
    from_what = f"runoff data split {rows[0]} --out data-split" if rows else "runoff data split"
    return f"{folder}: has no train.jsonl, valid.jsonl or test.jsonl. To make them: {from_what}."


def _read(path: Path, split: Split, settings: Settings) -> tuple[RowSet, list[RowProblem]]:
    try:
        return load_rows(path, settings, split), []
    except DataError as error:
        alone = str(error).startswith(f"{path}: ")  # it is of the file, not of one of its lines
        if not alone and path.is_file() and path.stat().st_size:
            return _read_each(path, split, settings)
        return RowSet(split, str(path), ()), [RowProblem("row", str(path), str(error))]


def _read_each(path: Path, split: Split, settings: Settings) -> tuple[RowSet, list[RowProblem]]:
    rows: list[Row] = []
    problems: list[RowProblem] = []
    repeated: dict[int, tuple[str, ...]] = {}
    for number, raw in numbered_lines(path):
        place, record = f"{path}:{number}", None
        try:
            record, twice = read_record(raw, place)
            rows += rows_from_records(iter([(number, record)]), settings, str(path))
            repeated |= {number: twice} if twice else {}
        except DataError as error:
            kind: Literal["last message", "row"] = "last message" if _ends_elsewhere(record, settings) else "row"
            problems.append(RowProblem(kind, place, str(error)))
    return RowSet(split, str(path), tuple(rows), repeated), [*problems, *_mixed(path, rows)]


def _ends_elsewhere(record: Any, settings: Settings) -> bool:
    """Whether the row is a chat whose last message is not the assistant's."""
    messages = record.get(settings.chat_feature) if isinstance(record, Mapping) else None
    last = messages[-1] if isinstance(messages, list) and messages else None
    return isinstance(last, Mapping) and isinstance(last.get("role"), str) and last["role"] != "assistant"


def _mixed(path: Path, rows: list[Row]) -> list[RowProblem]:
    formats = Counter(row.format for row in rows)
    if len(formats) < 2:
        return []
    kinds = ", ".join(count_of(count, f"{kind} row") for kind, count in formats.most_common())
    other = next(row for row in rows if row.format != rows[0].format)
    text = (
        f"{path}: has {kinds}; line {rows[0].number} is a {rows[0].format} row, line {other.number} a {other.format} "
        f"row."
    )
    return [RowProblem("format", f"{path}:{other.number}", text)]
