"""Writing files so that they are whole or absent, and JSON without NaN. Must not: know what is in them."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from runoff.errors import disk_error

__all__ = ["jsonl", "leftovers", "write_bytes", "write_json", "write_text"]

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that it is whole or absent.

    Raises:
        RunError: the disk is full or the folder is not writable.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise disk_error(error, path, path.name) from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def leftovers(folder: Path) -> Iterator[Path]:
    """Half-written files that a killed process left in this very folder."""
    if folder.is_dir():
        yield from (path for path in folder.iterdir() if _TEMPORARY.fullmatch(path.name))


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text so that it is whole or absent."""
    write_bytes(path, text.encode("utf-8", "surrogatepass"))


def write_json(path: Path, body: Any) -> None:
    """JSON for people and programs; NaN and infinity are written as their names."""
    text = json.dumps(_finite(body), ensure_ascii=False, indent=1, allow_nan=False)
    write_bytes(path, _encoded(text + "\n"))


def _encoded(text: str) -> bytes:
    """UTF-8; half a character (a lone surrogate, in a file name or a row) becomes JSON's escape of it."""
    return text.encode("utf-8", "backslashreplace")


def _finite(value: Any) -> Any:
    """JSON knows no NaN: such a float becomes its name, so that it can't be read back as a number or as nothing."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value


def jsonl(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Rows as JSON lines."""
    return b"".join(_encoded(json.dumps(_finite(row), ensure_ascii=False, allow_nan=False)) + b"\n" for row in rows)
