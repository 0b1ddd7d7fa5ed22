"""The names of the files inside a run folder, and of what all runs below a root share.

Owns: those names (the only module that does), the lock, taking back and deleting. Must not: know what the files say.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runoff.errors import RunError, disk_error
from runoff.files import file_hashes, leftovers

__all__ = ["RunFolder", "find_runs", "judge_cache_file", "no_folder", "runs_root", "trunk_folder", "votes_file"]


def runs_root() -> Path:
    """Where run names are looked up: $RUNOFF_DIR, else ./runs."""
    return Path(os.environ.get("RUNOFF_DIR", "runs"))


def find_runs(root: Path | None = None) -> list[Path]:
    """Folders below the root that hold a run, by name; none where there is no root yet.

    Raises:
        RunError: the root is a file.
    """
    base = root or runs_root()
    if base.is_dir():
        return sorted(path.parent for path in base.glob("*/run.json"))
    if base.exists():
        raise no_folder(base)
    return []


def no_folder(root: Path) -> RunError:
    """The sentence for a root that is a file."""
    return RunError(f"{root}: is a file, and runs are kept in a folder. Name that one with --runs or $RUNOFF_DIR.")


def trunk_folder(root: Path, model_sha256: str, engine: str, dtype: str, boundary: int) -> Path:
    """Where the states below a block are kept, for all runs and evaluations below this root."""
    return root / ".trunk" / f"{model_sha256[:16]}-{engine}-{dtype}-below-{boundary}"


def judge_cache_file(root: Path) -> Path:
    """Where a judge model's replies are kept, for all evaluations below this root."""
    return root / ".judge.sqlite"


def votes_file(root: Path) -> Path:
    """Where people's votes on the runs below this root are kept."""
    return root / "votes.jsonl"


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
            handle = self._lock.open("a+", encoding="utf-8")
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
            holder = json.loads(self._lock.read_text("utf-8"))
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

    def status_now(self, recorded: str) -> str:
        """A recorded status as it is now: who says `running` and has no process any more on this machine was killed."""
        return "killed" if recorded == "running" and self.writer_lives is False else recorded

    def delete(self) -> None:
        """Empty the folder; run.json goes last, so that a deletion that was killed leaves a run that can be deleted."""
        for path in self.path.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path not in (self.identity, self._lock):
                path.unlink()
        self.identity.unlink(missing_ok=True)
        self._lock.unlink(missing_ok=True)

    def holds(self) -> Literal["nothing", "a start", "a run", "something else"]:
        """What is there. A start was killed before its run.json, which comes last: nothing was begun.

        Raises:
            OSError: the folder can't be read.
        """
        inside = {path.name for path in self.path.iterdir()}
        of_a_start = {self._lock.name, self.config.name, self.plan.name}
        if not inside:
            return "nothing"
        if self._lock.name in inside and inside - {path.name for path in leftovers(self.path)} <= of_a_start:
            return "a start"
        return "a run" if self.identity.name in inside else "something else"

    @property
    def _lock(self) -> Path:
        return self.path / ".lock"
