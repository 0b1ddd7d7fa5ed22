"""The cache of made models. Owns: where it is, and that a folder in it is whole or not there at all.

Must not: know how a model is made; the maker is passed in.

A folder is made beside its final place and renamed into it, which is atomic. Whoever makes it holds a lock that the
system lets go of when the process dies, however it dies. So two calls at once make it once, and what an earlier, dead
process left behind is known by its lock being free.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from runoff.errors import ModelError
from runoff.models.folder import check_model_folder

__all__ = ["made_once", "models_home"]

_HALF_MADE = ".part"


def models_home() -> Path:
    """$RUNOFF_HOME/models; by default in the user's own cache folder."""
    return Path(os.environ.get("RUNOFF_HOME") or "~/.cache/runoff").expanduser() / "models"


def made_once(name: str, make: Callable[[Path], None]) -> Path:
    """The folder of that name in the cache; `make` fills an empty folder if it is not there yet.

    What was made first stays: a base model that changed under finished runs would make them incomparable.
    """
    home = models_home()
    target = home / name
    if not target.is_dir():
        with _disk_trouble_in(home):
            home.mkdir(parents=True, exist_ok=True)
            with _lock(home, name):
                _clear_what_dead_processes_left(home, besides=name)
                if not target.is_dir():
                    _make_whole(home / f".{name}{_HALF_MADE}", target, make)
    check_model_folder(target)
    return target


def _make_whole(part: Path, target: Path, make: Callable[[Path], None]) -> None:
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        make(part)
        part.replace(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def _lock(home: Path, name: str, *, wait: bool = True) -> Iterator[None]:
    from filelock import FileLock

    with FileLock(home / f".{name}.lock", blocking=wait):
        yield


def _clear_what_dead_processes_left(home: Path, *, besides: str) -> None:
    from filelock import Timeout

    for part in home.glob(f".*{_HALF_MADE}"):
        name = part.name[1 : -len(_HALF_MADE)]
        if name == besides:  # its lock is ours, and `_make_whole` empties it
            continue
        try:
            with _lock(home, name, wait=False):
                shutil.rmtree(part, ignore_errors=True)
        except Timeout:
            continue  # somebody alive is making it


@contextmanager
def _disk_trouble_in(home: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ModelError(f"{home}: {_disk_sentence(error)}") from error


def _disk_sentence(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full, so the model could not be kept; free some space or set RUNOFF_HOME to another disk."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "not writable, so the model could not be kept; set RUNOFF_HOME to a folder of your own."
    return f"the model could not be kept there ({error.strerror or error}); set RUNOFF_HOME to another folder."
