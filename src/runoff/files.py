"""Files that are whole or absent, JSON without NaN, JSON lines that were cut off. Must not: know what is in them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runoff.errors import RunError, RunoffError, disk_error

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

__all__ = [
    "changed_files",
    "file_hashes",
    "file_sha256",
    "json_bytes",
    "jsonl",
    "leftovers",
    "read_json_object",
    "read_jsonl",
    "text_bytes",
    "write_bytes",
    "write_files",
    "write_json",
    "write_parts",
    "write_text",
]

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}")


def file_sha256(path: Path) -> str:
    """Hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_hashes(folder: Path, paths: Iterable[Path]) -> dict[str, str]:
    """Hashes of the files among these that exist, by their names within the folder."""
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in sorted(paths) if path.is_file()}


def changed_files(folder: Path, hashes: Mapping[str, str]) -> tuple[str, ...]:
    """Names of files that are gone or are not what was hashed."""
    now = file_hashes(folder, (folder / name for name in hashes))
    return tuple(name for name, digest in hashes.items() if now.get(name) != digest)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that it is whole or absent.

    Raises:
        RunError: the disk is full or the folder is not writable.
    """
    write_parts(path, (content,))


def write_parts(path: Path, parts: Iterable[Buffer]) -> None:
    """The same for a file that never stands in memory whole.

    Raises:
        RunError: the disk is full or the folder is not writable.
    """
    _write_together({path: parts})


def write_files(contents: Mapping[Path, bytes]) -> None:
    """Several files that belong together: none takes its name before all are on the disk.

    Raises:
        RunError: the disk is full or a folder is not writable; what stood there before stands there still.
    """
    _write_together({path: (content,) for path, content in contents.items()})


def _write_together(contents: Mapping[Path, Iterable[Buffer]]) -> None:
    temporary = {path: path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}") for path in contents}
    path = Path()
    try:
        for path, parts in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary[path].open("wb") as file:
                for part in parts:
                    file.write(part)
                file.flush()
                os.fsync(file.fileno())
        for path in contents:
            temporary[path].replace(path)
    except OSError as error:
        raise disk_error(error, path, path.name) from None
    finally:
        for left in temporary.values():
            with contextlib.suppress(OSError):
                left.unlink(missing_ok=True)


def leftovers(folder: Path) -> Iterator[Path]:
    """Half-written files that a killed process left in this very folder."""
    if folder.is_dir():
        yield from (path for path in folder.iterdir() if _TEMPORARY.fullmatch(path.name))


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text so that it is whole or absent."""
    write_bytes(path, text_bytes(text))


def text_bytes(text: str) -> bytes:
    """UTF-8, as `write_text` writes it."""
    return text.encode("utf-8", "surrogatepass")


def write_json(path: Path, body: Any, *, indent: int | None = 1) -> None:
    """Write JSON so that it is whole or absent."""
    write_bytes(path, json_bytes(body, indent=indent))


def json_bytes(body: Any, *, indent: int | None = 1) -> bytes:
    """JSON for people and programs; NaN and infinity are written by name. Without indent: small, fast, ASCII."""
    shape: dict[str, Any] = {"ensure_ascii": indent is None, "indent": indent, "allow_nan": False}
    shape |= {"separators": (",", ":")} if indent is None else {}
    try:
        text = json.dumps(body, **shape)
    except ValueError:
        text = json.dumps(_finite(body), **shape)
    return _encoded(text + "\n")


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


def read_json_object(path: Path, error: type[RunoffError]) -> dict[str, Any]:
    """The one JSON object that a file holds.

    Raises:
        FileNotFoundError: there is no such file; what that means the caller knows.
        RunoffError: the `error` that was passed in: it can't be read, or holds something else.
    """
    try:
        body = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise
    except NotADirectoryError as problem:  # there is a file where its folder should be, so it isn't there either
        raise FileNotFoundError(str(problem)) from None
    except (OSError, ValueError, RecursionError) as problem:
        raise error(f"{path}: can't be read as JSON ({problem}).") from None
    if not isinstance(body, dict):
        raise error(f"{path}: must be a JSON object.")
    return body


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Rows of a JSON lines file; a last line that was cut off is left out.

    Raises:
        RunError: another line is not a JSON object.
    """
    whole = path.read_bytes()
    with contextlib.suppress(ValueError):
        # As one array the lines of a whole file are read three times as fast as one by one.
        rows = json.loads(b"[%b]" % b",".join(whole.split(b"\n")[:-1]))
        if whole.endswith(b"\n") and all(type(row) is dict for row in rows):
            return list(rows)
    rows = []
    lines = whole.split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError("not an object")
            rows.append(row)
        except ValueError:
            if number == len(lines):
                break
            raise RunError(
                f"{path}:{number}: not a JSON object. The file was damaged; restore it or remove the line."
            ) from None
    return rows
