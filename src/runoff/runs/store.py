"""Run folders on disk: the only module that knows the file names inside one.

Owns: creating, locking, writing (atomically) and reading run folders. Must not: know engines or decide anything.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from runoff.errors import RunError, disk_error
from runoff.files import changed_files, file_hashes, leftovers
from runoff.runs.record import SCHEMA_VERSION, Identity, MetricRow, PlanRecord

__all__ = [
    "Run",
    "RunFolder",
    "create_run",
    "find_runs",
    "free_folder",
    "judge_cache_file",
    "load_run",
    "runs_root",
    "trunk_folder",
    "votes_file",
]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_OF_A_START = {".lock", "config.yaml", "plan.json"}
"""What a run folder holds before its run.json, which comes last: without that, nothing was begun."""


def runs_root() -> Path:
    """Where run names are looked up: $RUNOFF_DIR, else ./runs."""
    return Path(os.environ.get("RUNOFF_DIR", "runs"))


@dataclass(frozen=True)
class RunFolder:
    """The paths inside one run folder."""

    path: Path

    @property
    def identity(self) -> Path:
        """Who the run is."""
        return self.path / "run.json"

    @property
    def config(self) -> Path:
        """The YAML as given."""
        return self.path / "config.yaml"

    @property
    def plan(self) -> Path:
        """Settings and counts as they take effect."""
        return self.path / "plan.json"

    @property
    def metrics(self) -> Path:
        """One row per report, append-only."""
        return self.path / "metrics.jsonl"

    @property
    def adapter(self) -> Path:
        """What PEFT or mlx_lm loads."""
        return self.path / "adapter"

    @property
    def has_adapter(self) -> bool:
        """Whether the adapter's weights are there, not only its configuration."""
        return any(self.adapter.glob("*.safetensors"))

    @property
    def checkpoints(self) -> Path:
        """Resumable state and snapshots."""
        return self.path / "checkpoints"

    @property
    def last_checkpoint(self) -> Path:
        """The newest resumable state."""
        return self.checkpoints / "last.safetensors"

    @property
    def best_snapshot(self) -> Path:
        """The adapter with the lowest validation loss so far."""
        return self.checkpoints / "best.safetensors"

    def snapshot(self, iteration: int) -> Path:
        """The adapter as it was after an iteration."""
        return self.checkpoints / f"{iteration:07d}.safetensors"

    def validation(self, iteration: int) -> Path:
        """Per-example values of one validation."""
        return self.path / "validation" / f"{iteration:07d}.jsonl"

    def evaluation(self, key: str) -> Path:
        """One evaluation of this run on one test set."""
        return self.path / "evaluations" / key

    @property
    def source(self) -> Path:
        """An imported run's original files."""
        return self.path / "source"

    def hashes(self) -> dict[str, str]:
        """Of what the run left behind besides run.json, the adapter and its checkpoints, by name."""
        kept = (self.config, self.plan, self.metrics, *(self.path / "validation").glob("*.jsonl"))
        return file_hashes(self.path, kept)

    def take_back(self, iteration: int, metrics_bytes: int) -> None:
        """Undo what was recorded after a checkpoint: metric rows, validations, snapshots, half-written files.

        An iteration of -1 with 0 bytes: back to the start.

        Raises:
            RunError: the metrics are shorter than they were at the checkpoint.
        """
        later = [*(self.path / "validation").glob("*.jsonl"), *self.checkpoints.glob("*.safetensors")]
        try:
            if (self.metrics.stat().st_size if self.metrics.exists() else 0) < metrics_bytes:
                raise RunError(f"{self.metrics}: has lost rows since the checkpoint. Train again with --overwrite.")
            if self.metrics.exists():
                os.truncate(self.metrics, metrics_bytes)
            for folder in (self.path, self.path / "validation", self.checkpoints, self.adapter):
                for path in leftovers(folder):
                    path.unlink()
            for path in later:
                if path.stem.isdecimal() and int(path.stem) > iteration:
                    path.unlink()
            self.best_snapshot.unlink(missing_ok=True)
        except OSError as error:
            raise disk_error(error, self.path, "the run's record") from None

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder; a second training into it is refused.

        Raises:
            RunError: another process holds it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            handle = (self.path / ".lock").open("a+", encoding="utf-8")
        except OSError as error:
            raise disk_error(error, self.path, "the run folder") from None
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunError(
                    f"{self.path}: another training is writing this run. Wait for it, or choose another --name."
                ) from None
            except OSError as error:
                raise disk_error(error, self.path, "the lock") from None
            with contextlib.suppress(OSError):  # who holds it is for those who watch; the lock holds without
                handle.truncate(0)
                handle.write(json.dumps({"process": os.getpid(), "host": platform.node()}))
                handle.flush()
            yield

    @property
    def writer_lives(self) -> bool | None:
        """Whether the process that last held the folder is still there; None if it is another machine's."""
        try:
            holder = json.loads((self.path / ".lock").read_text("utf-8"))
            if holder["host"] != platform.node():
                return None
            os.kill(int(holder["process"]), 0)
        except PermissionError:  # there, and somebody else's
            return True
        except ProcessLookupError:
            return False
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return True


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Rows of a JSON lines file; a last line that was cut off is left out."""
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

    @cached_property
    def metrics(self) -> tuple[MetricRow, ...]:
        """All rows in the order in which they were written."""
        if not self.folder.metrics.exists():
            return ()
        rows = []
        for body in read_jsonl(self.folder.metrics):
            try:
                rows.append(MetricRow.from_json(body))
            except TypeError:
                raise RunError(f"{self.folder.metrics}: a row has no kind or no iteration. Restore the file.") from None
        return tuple(rows)

    @cached_property
    def edited(self) -> tuple[str, ...]:
        """Files of the record that are no longer what the run left; empty where no hashes were kept."""
        return changed_files(self.folder.path, self.identity.files)

    def validation_rows(self, iteration: int) -> list[dict[str, Any]]:
        """Per-example values of the validation after an iteration; empty where none was kept."""
        path = self.folder.validation(iteration)
        return read_jsonl(path) if path.exists() else []


def trunk_folder(root: Path, model_sha256: str, engine: str, dtype: str, boundary: int) -> Path:
    """Where the states below a block are kept, for all runs and evaluations below this root."""
    return root / ".trunk" / f"{model_sha256[:16]}-{engine}-{dtype}-below-{boundary}"


def judge_cache_file(root: Path) -> Path:
    """Where a judge model's replies are kept, for all evaluations below this root."""
    return root / ".judge.sqlite"


def votes_file(root: Path) -> Path:
    """Where people's votes on the runs below this root are kept."""
    return root / "votes.jsonl"


def create_run(name: str, root: Path | None = None, *, overwrite: bool = False) -> RunFolder:
    """A new, empty run folder.

    Raises:
        RunError: as `free_folder`, or it can't be made.
    """
    folder = free_folder(name, root, overwrite=overwrite)
    try:
        if folder.path.exists() and any(folder.path.iterdir()):
            with folder.lock():
                _delete(folder)
        folder.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(error, folder.path, "the run folder") from None
    return folder


def _delete(folder: RunFolder) -> None:
    """run.json goes last, so that a deletion that was killed leaves a run that can be deleted."""
    for path in folder.path.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path not in (folder.identity, folder.path / ".lock"):
            path.unlink()
    folder.identity.unlink(missing_ok=True)
    (folder.path / ".lock").unlink(missing_ok=True)


def free_folder(name: str, root: Path | None = None, *, overwrite: bool = False) -> RunFolder:
    """The folder that a new run of this name would have; changes nothing.

    Raises:
        RunError: the name can't be a folder's, is taken, or (with `overwrite`) is not a run's or is being written.
    """
    if not _NAME.fullmatch(name):
        raise RunError(f"{name!r} can't be a run name: use letters, digits, dots, dashes and underscores, at most 100.")
    folder = RunFolder((root or runs_root()) / name)
    try:
        inside = {path.name for path in folder.path.iterdir()}
    except FileNotFoundError:
        return folder
    except NotADirectoryError:
        raise RunError(f"{folder.path}: is a file, so no run can be kept there. Choose another --name.") from None
    except OSError as error:
        raise RunError(f"{folder.path}: can't be read ({error.strerror}). Choose another --name.") from None
    killed_while_starting = ".lock" in inside and inside - {path.name for path in leftovers(folder.path)} <= _OF_A_START
    if inside and not overwrite and not killed_while_starting:
        raise RunError(f"{folder.path}: this run exists. Choose another --name, or add --resume or --overwrite.")
    if inside and not killed_while_starting and "run.json" not in inside:
        raise RunError(
            f"{folder.path}: is not a run (it has no run.json), so --overwrite does not delete it. "
            "Choose another --name."
        )
    if inside:
        with folder.lock():
            pass
    return folder


def load_run(name_or_path: str | Path, root: Path | None = None) -> Run:
    """Read a run by name or by the path of its folder.

    Raises:
        RunError: no such run (with the near ones), half a run, or a record of another version.
    """
    folder = RunFolder(_locate(str(name_or_path), root or runs_root()))
    identity = _read(folder.identity)
    version = identity.get("schema_version")
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise RunError(
            f"{folder.path}: written by a newer Runoff (record version {version}, this one reads up to "
            f"{SCHEMA_VERSION}). Upgrade Runoff to read it."
        )
    try:
        return Run(folder, Identity.model_validate(identity), PlanRecord.from_json(_read(folder.plan)))
    except (ValidationError, KeyError, TypeError, AttributeError) as error:
        problem = str(error).splitlines()[0]
        raise RunError(f"{folder.path}: run.json or plan.json is not as Runoff writes it ({problem}).") from None


def find_runs(root: Path | None = None) -> list[Path]:
    """Folders below the root that hold a run, by name."""
    base = root or runs_root()
    return sorted(path.parent for path in base.glob("*/run.json")) if base.is_dir() else []


def _locate(name: str, root: Path) -> Path:
    for path in (root / name, Path(name)):
        if (path / "run.json").is_file():
            return path
    for path in (root / name, Path(name)):
        if path.is_dir():
            raise RunError(
                f"{path}: is half a run (it has no run.json). Train it again, or import it: runoff import {path}."
            )
    import difflib

    known = [path.name for path in find_runs(root)]
    holding = [run for run in known if name.lower() in run.lower()]
    close = (holding or difflib.get_close_matches(name, known, n=3))[:3]
    hint = f"did you mean {' or '.join(close)}?" if close else f"runs in {root}: {', '.join(known[:10]) or 'none'}."
    raise RunError(f"{name}: no such run; {hint}")


def _read(path: Path) -> dict[str, Any]:
    try:
        body = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path.parent}: is half a run (it has no {path.name}).") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: can't be read as JSON ({error}).") from None
    if not isinstance(body, dict):
        raise RunError(f"{path}: must be a JSON object.")
    return body
