"""Runs by name: reading one, and making room for a new one.

Owns: run names, and what is said of a folder that holds no run or half of one. Must not: know engines.
"""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from runoff.errors import RunError, disk_error
from runoff.files import changed_files, read_json_object, read_jsonl
from runoff.runs.folder import RunFolder, find_runs, no_folder, runs_root
from runoff.runs.record import SCHEMA_VERSION, Identity, MetricRow, PlanRecord

__all__ = ["Run", "create_run", "free_folder", "load_run"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Run:
    """What did happen: a run folder, read. Curves and examples are read when asked for."""

    folder: RunFolder
    identity: Identity
    plan: PlanRecord

    @property
    def name(self) -> str:
        """The run's name."""
        return self.identity.name

    @property
    def status(self) -> str:
        """As recorded, or `killed`: asked anew each time, since a process can end without a word."""
        return self.folder.status_now(self.identity.status)

    @cached_property
    def metrics(self) -> tuple[MetricRow, ...]:
        """All rows in the order in which they were written."""
        if not self.folder.metrics.exists():
            return ()
        bodies = read_jsonl(self.folder.metrics)
        try:
            return tuple(map(MetricRow.from_json, bodies))
        except (TypeError, AttributeError) as error:
            raise RunError(f"{self.folder.metrics}: a row is not as Runoff writes it ({error}). Restore it.") from None

    @cached_property
    def edited(self) -> tuple[str, ...]:
        """Files of the record that are no longer what the run left; empty where no hashes were kept."""
        return changed_files(self.folder.path, self.identity.files)

    def validation_rows(self, iteration: int) -> list[dict[str, Any]]:
        """Per-example values of the validation after an iteration; empty where none was kept."""
        path = self.folder.validation(iteration)
        return read_jsonl(path) if path.exists() else []


def create_run(name: str, root: Path | None = None, *, overwrite: bool = False) -> RunFolder:
    """A new, empty run folder.

    Raises:
        RunError: as `free_folder`, or it can't be made.
    """
    folder = free_folder(name, root, overwrite=overwrite)
    try:
        if folder.path.exists() and any(folder.path.iterdir()):
            with folder.lock():
                folder.delete()
        folder.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(error, folder.path, "the run folder") from None
    return folder


def free_folder(name: str, root: Path | None = None, *, overwrite: bool = False) -> RunFolder:
    """The folder that a new run of this name would have; changes nothing.

    Raises:
        RunError: the name can't be a folder's, is taken, or (with `overwrite`) is not a run's or is being written; or
            the folder can't be made.
    """
    if not _NAME.fullmatch(name):
        raise RunError(f"{name!r} can't be a run name: use letters, digits, dots, dashes and underscores, at most 100.")
    folder = RunFolder((root or runs_root()) / name)
    try:
        found = folder.holds()
    except FileNotFoundError:
        _refuse_unwritable(folder.path)
        return folder
    except NotADirectoryError:
        if folder.path.parent.is_file():
            raise no_folder(folder.path.parent) from None
        raise RunError(f"{folder.path}: is a file, so no run can be kept there. Choose another --name.") from None
    except OSError as error:
        raise RunError(f"{folder.path}: can't be read ({error.strerror}). Choose another --name.") from None
    if found in ("a run", "something else") and not overwrite:
        raise RunError(f"{folder.path}: this run exists. Choose another --name, or add --resume or --overwrite.")
    if found == "something else":
        raise RunError(
            f"{folder.path}: is not a run (it has no run.json), so --overwrite does not delete it. "
            "Choose another --name."
        )
    if found != "nothing":
        with folder.lock():
            pass
    return folder


def _refuse_unwritable(path: Path) -> None:
    """Before the model is loaded rather than after."""
    above = next((parent for parent in path.absolute().parents if parent.exists()), path)
    if not os.access(above, os.W_OK | os.X_OK):
        raise disk_error(OSError(errno.EACCES, "Permission denied"), path, "the run folder")


def load_run(name_or_path: str | Path, root: Path | None = None) -> Run:
    """Read a run by name or by the path of its folder.

    Raises:
        RunError: no such run (with the near ones), half a run, or a record of another version.
    """
    folder = RunFolder(_locate(str(name_or_path), root or runs_root()))
    identity = _read(folder.identity)
    version = identity.get("schema_version")
    if not isinstance(version, int):
        raise RunError(f"{folder.identity}: is not as Runoff writes it (it has no schema_version).")
    if version > SCHEMA_VERSION:
        raise RunError(
            f"{folder.path}: written by a newer Runoff (record version {version}, this one reads up to "
            f"{SCHEMA_VERSION}). Upgrade Runoff to read it."
        )
    try:
        return Run(folder, Identity.model_validate(identity), PlanRecord.from_json(_read(folder.plan)))
    except (ValidationError, KeyError, TypeError, AttributeError) as error:
        problem = _first(error) if isinstance(error, ValidationError) else f"{type(error).__name__}: {error}"
        said = f"{folder.path}: run.json or plan.json is not as Runoff writes it ({problem}). Restore it."
        raise RunError(said) from None


def _first(error: ValidationError) -> str:
    """The first thing that is wrong with run.json."""
    found = error.errors()[0]
    return f"{'.'.join(map(str, found['loc']))}: {found['msg']}"


def _locate(name: str, root: Path) -> Path:
    for path in (root / name, Path(name)):
        if RunFolder(path).identity.is_file():
            return path
    for path in (root / name, Path(name)):
        if path.is_dir():
            raise RunError(_no_run(path))
    import difflib

    known = [path.name for path in find_runs(root)]
    holding = [run for run in known if name.lower() in run.lower()]
    close = (holding or difflib.get_close_matches(name, known, n=3))[:3]
    more = f" and {len(known) - 10:,} more" if len(known) > 10 else ""
    runs = f"runs in {root}: {', '.join(known[:10]) or 'none'}{more}."
    hint = f"did you mean {' or '.join(close)}?" if close else runs
    raise RunError(f"{name}: no such run; {hint}")


def _no_run(path: Path) -> str:
    """What is said of a folder without a run.json."""
    inside = [run.name for run in find_runs(path)]
    if inside:
        more = f" and {len(inside) - 3:,} more" if len(inside) > 3 else ""
        return f"{path}: holds runs, and is none itself. Name one of them: {', '.join(inside[:3])}{more}."
    folder = RunFolder(path)
    if any(part.exists() for part in (folder.plan, folder.metrics, folder.checkpoints)):
        return f"{path}: is half a run (it has no run.json). Train it again, or import it: runoff import {path}."
    return f"{path}: is no run (it has no run.json). What another tool trained is imported: runoff import {path}."


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_json_object(path, RunError)
    except RunError as error:
        raise RunError(f"{error} Restore it, or delete the folder.") from None
    except FileNotFoundError:
        raise RunError(f"{path.parent}: is half a run (it has no {path.name}).") from None
