"""The lines of a JSONL file, each one JSON object. Owns: what is said of a file or line that is none.

Must not: know what an object holds (data/rows.py does).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from runoff.errors import DataError

__all__ = ["json_kind", "numbered_lines", "read_record", "repeated", "wrong_as_a_whole"]

_PACKED = (b"\x1f\x8b", b"PK\x03\x04", b"\x28\xb5\x2f\xfd", b"PAR1")
"""How gzip, zip, zstd and Parquet files begin."""


def wrong_as_a_whole(path: Path) -> str:
    """What one sentence says of the file, where each line would be wrong for the same reason; else nothing."""
    try:
        with path.open("rb") as file:
            return _not_lines(file.read(4096), path.stem)
    except OSError:  # said by who reads it
        return ""


def _not_lines(head: bytes, name: str) -> str:
    first = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "is UTF-16 text. Save the file as UTF-8."
    if head.startswith(_PACKED) or b"\0" in head:
        return "is no text (packed, or of another kind). Unpack it, or export its rows, one JSON object a line."
    if first.startswith(b"["):
        return f"is one JSON list, not one object a line. Rename it to {name}.json; runoff data split reads that."
    if b"\n" not in head and first.partition(b"\r")[0].endswith(b"}") and b"\r" in first:
        return "has lines that end in CR alone. Save the file with line ends of LF."
    return ""


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers from 1.

    Raises:
        DataError: there is no such file, or it can't be read.
    """
    try:
        with path.open("rb") as lines:
            yield from ((number, raw) for number, raw in enumerate(lines, start=1) if raw.strip())
    except FileNotFoundError:
        what = "is a link to a file that is not there" if path.is_symlink() else "no such file"
        raise DataError(f"{path}: {what}.") from None
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror}).") from None


def read_record(raw: bytes, place: str) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """The JSON object of a line, and the keys that stand in one of its objects twice (the last one counts).

    Raises:
        DataError: it is not UTF-8, not JSON or no object.
    """
    twice: list[str] = []

    def made(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        twice.extend(repeated(pairs))
        return dict(pairs)

    try:
        record = json.loads(raw.rstrip(b"\r\n").decode("utf-8-sig"), object_pairs_hook=made)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{place}: not UTF-8 text (byte {error.start + 1} of the line). Save the file as UTF-8."
        ) from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits is a plain ValueError
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply or too long a number"
        column = f", column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        raise DataError(f"{place}: not JSON ({reason}{column}). Each line must be one JSON object.") from None
    if not isinstance(record, dict):
        raise DataError(f'{place}: is {json_kind(record)}, but must be an object such as {{"messages": [...]}}.')
    return record, tuple(dict.fromkeys(twice))


def repeated(pairs: Sequence[tuple[str, Any]]) -> list[str]:
    """The keys of a JSON object that stand in it more than once."""
    if len(pairs) == len(dict(pairs)):
        return []
    return [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]


def json_kind(value: Any) -> str:
    """What JSON calls a value that is no object."""
    kinds = {bool: "true or false", int: "a number", float: "a number", str: "a text", list: "a list"}
    return kinds.get(type(value), "null")
