"""Files and folders on the command line -> files to look at.

Owns: walking (no symbolic link to a folder is followed), the first bytes, what is never opened. Must not: know what a
format means.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runoff.errors import ImportFailed
from runoff.importers.facts import SourceFile
from runoff.runs import RunFolder

__all__ = ["Found", "find_files"]

HEAD_BYTES = 1 << 16
MAX_FILES = 100_000
PICKLES = (".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt", ".npz", ".npy")
PACKED = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstandard",
}
_HIDDEN = (".git", "__pycache__", ".ipynb_checkpoints", ".cache")


@dataclass(frozen=True)
class Found:
    """One file: to be read, or why not. `given`: what on the command line it comes from."""

    name: str
    given: Path
    source: SourceFile | None = None
    why_not: str = ""


def find_files(paths: Sequence[Path], columns: Mapping[str, str]) -> Iterator[Found]:
    """Every regular file at or below the paths, once each, by name; below a folder no run of our own.

    Raises:
        ImportFailed: a path that was named is not there.
    """
    seen: set[tuple[int, int]] = set()
    count = 0
    for given in paths:
        if not given.exists():
            why = "is a symbolic link that leads nowhere" if given.is_symlink() else "no such file or folder"
            raise ImportFailed(f"{given}: {why}.")
        for path in _walk(given) if given.is_dir() else [given]:
            count += 1
            if count > MAX_FILES:
                raise ImportFailed(f"{given}: holds more than {MAX_FILES:,} files. Name the run's own folder or files.")
            found = _look(path, given, columns, seen)
            if found is not None and (found.source is not None or not (given.is_dir() and _is_prose(path.name))):
                yield found


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if name not in _HIDDEN and not _is_ours(Path(parent, name)))
        yield from (Path(parent) / name for name in sorted(files) if not name.startswith("."))


def _is_ours(folder: Path) -> bool:
    """A run folder of Runoff's own, be it trained or imported."""
    try:
        return b'"runoff_version"' in RunFolder(folder).identity.read_bytes()
    except OSError:
        return False


def _is_prose(name: str) -> bool:
    """A README may quote a log; named on the command line it is read."""
    return name.lower().endswith((".md", ".rst"))


def _look(path: Path, given: Path, columns: Mapping[str, str], seen: set[tuple[int, int]]) -> Found | None:
    name = _name(path, given)
    try:
        status = path.stat()
        if (status.st_dev, status.st_ino) in seen:
            return None
        seen.add((status.st_dev, status.st_ino))
        why_not = _never_opened(path, status)
        if why_not:
            return Found(name, given, why_not=why_not)
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        return Found(name, given, why_not=f"can't be read ({error.strerror})")
    packed = next((kind for start, kind in PACKED.items() if head.startswith(start)), None)
    if packed is not None:
        return Found(name, given, why_not=f"is packed ({packed}); unpack it first")
    prose = given.is_dir() and _is_prose(path.name)
    return Found(name, given, SourceFile(path, name, head, status.st_size, columns, prose))


def _never_opened(path: Path, status: os.stat_result) -> str:
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file"
    if path.suffix in PICKLES:
        return "is never opened: such files can hold programs (pickle)"
    return "" if status.st_size else "is empty"


def _name(path: Path, given: Path) -> str:
    """The path as the user would say it: from the named folder on; readable where the locale can't say it (LANG=C)."""
    name = f"{given.resolve().name}/{path.relative_to(given)}" if given.is_dir() else path.name
    return os.fsencode(name).decode("utf-8", "replace")
