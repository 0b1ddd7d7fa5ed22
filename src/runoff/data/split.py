"""Train, valid and test from rows, so that nothing that belongs together crosses a border.

Owns: what belongs together (rows of one source, and near-duplicates), which groups go where, and the manifest. The same
rows, shares and seed give the same files on every machine. Must not: read foreign formats (data/readers.py does).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from runoff.config import Settings
from runoff.data.duplicates import NEAR, Pair, clusters, near_duplicates
from runoff.data.readers import Record, read_records
from runoff.data.rows import SPLITS, Row, Split, rows_from_records
from runoff.errors import DataError
from runoff.files import json_bytes, jsonl, write_files

__all__ = ["Splitting", "split_files", "split_records"]


@dataclass(frozen=True)
class Splitting:
    """The rows of each split in their old order, and how many groups they came from."""

    splits: Mapping[Split, tuple[Record, ...]]
    groups: int
    rows_without_source: int
    pairs_of_near_duplicates: int

    def sources(self, split: Split) -> tuple[str, ...]:
        """Distinct sources of one split, in order of appearance."""
        return tuple(dict.fromkeys(record.source for record in self.splits[split] if record.source is not None))


def split_files(
    paths: Sequence[Path], out: Path, *, valid: float, test: float, seed: int, source_key: str | None = None
) -> Splitting:
    """Read the files, split their rows, and write train.jsonl, valid.jsonl, test.jsonl and manifest.json.

    Raises:
        DataError: a file or row can't be read, the folder has rows already, or nothing can be held out.
    """
    taken = [name for name in (*(f"{split}.jsonl" for split in SPLITS), "manifest.json") if (out / name).exists()]
    if taken:
        raise DataError(f"{out}: has {', '.join(taken)} already. Choose another --out, so that no old split is lost.")
    twice = next(
        (path for at, path in enumerate(paths) if path.resolve() in {one.resolve() for one in paths[:at]}), None
    )
    if twice is not None:
        raise DataError(f"{twice}: is named twice, so every row would count twice. Name it once.")
    records = [record for path in paths for record in read_records(path, source_key)]
    if source_key is not None and all(record.source is None for record in records):
        raise DataError(f"--source {source_key}: no row has this field. Name one that the rows have, or leave it out.")
    done = split_records(records, valid=valid, test=test, seed=seed)
    files = {split: jsonl(_line(record) for record in rows) for split, rows in done.splits.items() if rows}
    asked = {"valid": valid, "test": test, "seed": seed, "source_key": source_key}
    manifest = json_bytes(_manifest(paths, files, done, asked))
    write_files(
        {**{out / f"{split}.jsonl": content for split, content in files.items()}, out / "manifest.json": manifest}
    )
    return done


def split_records(records: Sequence[Record], *, valid: float, test: float, seed: int) -> Splitting:
    """Assign every record to a split.

    Raises:
        DataError: shares that leave nothing to train on, or rows that all hang together.
    """
    if not (0 <= valid < 1 and 0 <= test < 1 and valid + test < 1):
        raise DataError(
            f"shares of {valid:g} valid and {test:g} test leave nothing to train on. Write e.g. 0.1 and 0.1."
        )
    rows = [_row(record) for record in records]
    _refuse_mixture(records, rows)
    near = near_duplicates([_text(row) for row in rows])
    groups = _groups(records, rows, near)
    assigned = _assign(groups, {"test": test, "valid": valid}, len(records), seed)
    return Splitting(
        splits={
            split: tuple(records[index] for index in sorted(index for group in assigned[split] for index in group))
            for split in SPLITS
        },
        groups=len(groups),
        rows_without_source=sum(record.source is None for record in records),
        pairs_of_near_duplicates=len(near),
    )


def _row(record: Record) -> Row:
    """The row as training will read it, checked by its rules."""
    (row,) = rows_from_records(iter([(1, record.body)]), Settings(), record.place)
    return row


def _refuse_mixture(records: Sequence[Record], rows: Sequence[Row]) -> None:
    """A folder whose first row is a chat is read as chats alone, by mlx-lm and by Runoff."""
    places = {row.text is None: record.place for record, row in zip(records, rows, strict=True)}
    if len(places) > 1:
        raise DataError(
            f"{places[True]} is a question and answer, {places[False]} plain text: one folder can't hold both. Split "
            "them apart, into two folders."
        )


def _text(row: Row) -> str:
    return row.text if row.text is not None else f"{row.question}\n{row.answer}"


def _groups(records: Sequence[Record], rows: Sequence[Row], near: Sequence[Pair]) -> list[list[int]]:
    """Rows that must stay together: of one source, equal, or nearly so; and whatever these join."""
    first: dict[tuple[str, str], int] = {}
    links = list(near)
    for index, (record, row) in enumerate(zip(records, rows, strict=True)):
        keys = [("row", row.sha256), ("text", _text(row))]
        keys += [("source", record.source)] if record.source is not None else []
        links += [Pair(first.setdefault(key, index), index, 1.0) for key in keys]
    groups: dict[int, list[int]] = defaultdict(list)
    for index, head in enumerate(clusters(len(records), links)):
        groups[head].append(index)
    return list(groups.values())


def _assign(
    groups: Sequence[list[int]], shares: Mapping[str, float], rows: int, seed: int
) -> dict[str, list[list[int]]]:
    """Fill test and valid with whole groups in the seed's order, each up to its share; the rest is train."""
    order = np.random.Generator(np.random.PCG64([seed, 0x5917])).permutation(len(groups))
    left = [groups[index] for index in order]
    assigned: dict[str, list[list[int]]] = {split: [] for split in SPLITS}
    wanted = [split for split, share in shares.items() if share]
    for number, split in enumerate(wanted):
        room = max(1, round(shares[split] * rows))
        others = len(wanted) - number  # splits to come, train among them: each needs a group
        for group in list(left):
            if len(group) <= room and len(left) > others:
                assigned[split].append(group)
                left.remove(group)
                room -= len(group)
        if not assigned[split] and len(left) > others:  # every group is larger than the share
            assigned[split].append(min(left, key=len))
            left.remove(assigned[split][0])
        if not assigned[split]:
            raise DataError(
                f"nothing can be held out for {split}: {_together(rows, len(groups))} (by source or as "
                f"near-duplicates). Add sources, or leave {split} out with --{split} 0."
            )
    assigned["train"] = left
    if not left:
        raise DataError("nothing is left to train on. Ask for smaller shares, or add rows.")
    return assigned


def _together(rows: int, groups: int) -> str:
    if groups == 1:
        return "there is only one row" if rows == 1 else f"all {rows} rows belong together"
    return f"the {rows} rows are {groups} groups that belong together"


def _line(record: Record) -> dict[str, Any]:
    return {**record.body, **({"source": record.source} if record.source is not None else {})}


def _manifest(
    paths: Sequence[Path], files: Mapping[Split, bytes], done: Splitting, asked: Mapping[str, Any]
) -> dict[str, Any]:
    """What the split was made from and how: enough to make it again and to recognise it."""
    return {
        "schema_version": 1,
        "asked": dict(asked),
        "near_duplicate_share": NEAR,
        "inputs": [{"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()} for path in paths],
        "groups": done.groups,
        "rows_without_source": done.rows_without_source,
        "pairs_of_near_duplicates": done.pairs_of_near_duplicates,
        "splits": {
            split: {
                "rows": len(done.splits[split]),
                "sha256": hashlib.sha256(content).hexdigest(),
                "sources": list(done.sources(split)),
            }
            for split, content in files.items()
        },
    }
