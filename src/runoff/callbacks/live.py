"""A run folder that fills while another tool trains.

Owns: the lock, the record at the start and at the end, metric rows in between. What the tool does with its settings is
what the importers know about it. Must not: know a tool's callbacks, or import a tensor library.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.metadata
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from runoff.config import Origin
from runoff.data import load_rows, load_tokenizer
from runoff.errors import RunError, RunoffError, disk_error
from runoff.files import jsonl, write_bytes, write_json
from runoff.importers.adapter_files import TENSORS
from runoff.importers.facts import Facts, SourceFile, Told
from runoff.importers.group import Group, Item
from runoff.importers.merge import Hand, Merged, merge
from runoff.models import get_model
from runoff.plan import read_model_facts
from runoff.runs import (
    Identity,
    MetricRow,
    PlanRecord,
    Run,
    RunFolder,
    Value,
    create_run,
    load_run,
    model_identity,
    runs_root,
    timestamp,
)
from runoff.runs.record import Status
from runoff.version import __version__, command_line, installed_packages, machine_identity

__all__ = ["LiveRun"]

PLACE = "the training's own arguments"
_OF_FILES = frozenset({"I105", "I108"})
"""What an import says of files without losses, or that end early: not of a training that has just begun."""

_OPEN: dict[Path, LiveRun] = {}
"""Of this process. One that an exception left behind, as in a notebook, does not lock out the next start."""


class LiveRun:
    """One run in the making. Made: the folder exists, is locked, and says `running`.

    settings: in the tool's spelling. own: those that no setting of ours means, kept as they are. counts: as planned;
    unknown: why others can't be told.
    goes_on_after: with so many optimizer updates done the tool goes on; the folder is taken up if there is one, and
    what it holds of later updates is taken back.

    Raises:
        RunError: the folder is taken or can't be written.
    """

    def __init__(
        self,
        name: str,
        tool: str,
        package: str,
        settings: Mapping[str, Any],
        *,
        own: Mapping[str, Any] | None = None,
        counts: Mapping[str, int] | None = None,
        unknown: Mapping[str, str] | None = None,
        root: Path | None = None,
        overwrite: bool = False,
        goes_on_after: int = 0,
        processes: int = 1,
    ) -> None:
        self._tool, self._version = tool, importlib.metadata.version(package)
        self._settings = tuple(Told(key, value, PLACE) for key, value in settings.items() if value is not None)
        self._own = {key: Value(value, Origin("imported", PLACE)) for key, value in (own or {}).items()}
        self._counts = dict(counts or {})
        self._unknown = {key: Value.unknown(why) for key, why in (unknown or {}).items()}
        self._rows: list[MetricRow] = []
        self._started = time.monotonic()
        self._processes = processes
        path = (root or runs_root()) / name
        if path in _OPEN:
            _OPEN[path]._abandoned()
        earlier = _to_take_up(path) if goes_on_after and not overwrite else None
        if not (earlier or overwrite) and RunFolder(path).identity.exists():
            raise RunError(f"{path}: this run exists. Choose another name, or pass overwrite=True.")
        self.folder = earlier.folder if earlier else create_run(name, root, overwrite=overwrite)
        self._held = contextlib.ExitStack()
        self._held.enter_context(self.folder.lock())
        _OPEN[path] = self
        if earlier:
            self._take_back(earlier, goes_on_after)
        merged = self._merged()
        begun = tuple(finding for finding in merged.plan.findings if finding.code not in _OF_FILES)
        write_json(self.folder.plan, replace(merged.plan, findings=begun).to_json())
        fresh = self._first_identity(name, package, merged.plan)
        self._identity = fresh.model_copy(update={"created": earlier.identity.created}) if earlier else fresh
        self._mark("running")
        atexit.register(self._abandoned)
        if goes_on_after:
            also = _differences(earlier.plan, merged.plan) if earlier else "; what was before it was not recorded"
            text = f"{tool} goes on from its checkpoint after optimizer update {goes_on_after}{also}."
            self.record(MetricRow("event", optimizer_updates=goes_on_after, text=text))

    def record(self, row: MetricRow) -> None:
        """Append a row, with the seconds since the start."""
        row = replace(row, seconds=round(time.monotonic() - self._started, 3))
        try:
            with self.folder.metrics.open("ab") as metrics:
                metrics.write(jsonl([row.to_json()]))
        except OSError as error:
            raise disk_error(error, self.folder.metrics, "the metrics") from None
        self._rows.append(row)

    def _take_back(self, earlier: Run, optimizer_updates: int) -> None:
        """Keep the rows up to the checkpoint from which the tool goes on, and their seconds."""
        self._rows = [row for row in earlier.metrics if (row.optimizer_updates or 0) <= optimizer_updates]
        write_bytes(self.folder.metrics, jsonl(row.to_json() for row in self._rows))
        self._started -= max((row.seconds or 0.0 for row in self._rows), default=0.0)

    def end(
        self, status: Status, reason: str, *, counts: Mapping[str, int] | None = None, adapter: str | None = None
    ) -> None:
        """Write what is known now, the adapter's own tensors included, and let the folder go.

        counts: as they turned out. adapter: which one the tool left, and why.
        """
        atexit.unregister(self._abandoned)
        self._counts |= counts or {}
        merged = self._merged()
        write_json(self.folder.plan, merged.plan.to_json())
        last = max((row.iteration for row in self._rows if row.iteration is not None), default=None)
        updates = max((row.optimizer_updates for row in self._rows if row.optimizer_updates is not None), default=None)
        known = {
            "reason": reason,
            "iterations": last,
            "optimizer_updates": updates,
            "seconds": round(time.monotonic() - self._started, 3),
            "adapter_reason": (adapter or f"the one that {self._tool} left") if self.folder.has_adapter else None,
            "loss_definition": merged.loss_definition,
        }
        self._mark(status, ended=timestamp(), result={key: value for key, value in known.items() if value is not None})
        _OPEN.pop(self.folder.path, None)
        self._held.close()

    def _abandoned(self) -> None:
        with contextlib.suppress(RunoffError):
            self.end("failed", "the training did not come to its end")

    def _mark(self, status: Status, **changes: Any) -> None:
        self._identity = self._identity.model_copy(update={"status": status, **changes})
        write_json(self.folder.identity, self._identity.model_dump(mode="json", exclude_none=True))

    def _merged(self) -> Merged:
        """The record that an import of the same run would make."""
        counts = tuple(Told(key, value, PLACE) for key, value in self._counts.items())
        facts = Facts("record", settings=self._settings, counts=counts, rows=tuple(self._rows), finished=True)
        items = [_item(Path(PLACE), facts)]
        for path in sorted(self.folder.adapter.glob("*.safetensors")):
            reading = TENSORS.read(SourceFile(path, path.name, b"", path.stat().st_size))
            items += [_item(path, found) for found in reading.facts]
        merged = merge(Group(self.folder.path.name, tuple(items)), Hand(tool=self._tool, version=self._version))
        settings, known = {**merged.plan.settings, **self._own}, {**merged.plan.counts, **self._unknown}
        return replace(merged, plan=replace(merged.plan, settings=settings, counts=known))

    def _first_identity(self, name: str, package: str, plan: PlanRecord) -> Identity:
        model, tokenizer = _model(plan)
        return Identity(
            name=name,
            status="running",
            created=timestamp(),
            runoff_version=__version__,
            command=command_line(),
            packages=installed_packages(package),
            python=platform.python_version(),
            machine=machine_identity(self._processes),
            model=model,
            tokenizer_sha256=tokenizer,
            data=_data(plan),
            imported={
                "tool": self._tool,
                "version": self._version,
                "version_evidence": ["it was recorded while it ran"],
                "files": [],
            },
        )


def _to_take_up(path: Path) -> Run | None:
    """The run in this folder, if there is one and it did not come to its end."""
    run = load_run(path) if RunFolder(path).identity.exists() else None
    return run if run and run.identity.status != "finished" else None


def _differences(then: PlanRecord, now: PlanRecord) -> str:
    """Settings that are not what the run began with."""
    pairs = {key: (then.settings.get(key), value) for key, value in now.settings.items()}
    other = [
        f"{key} ({before.value} before, {value.value} since)"
        for key, (before, value) in pairs.items()
        if before is not None and before.value != value.value
    ]
    return f", with other settings: {', '.join(other)}" if other else ""


def _item(path: Path, facts: Facts) -> Item:
    return Item(SourceFile(path, path.name, b"", 0), facts.role, facts, path)


def _model(plan: PlanRecord) -> tuple[dict[str, Any], str | None]:
    """The base as `runoff train` records it, as far as it can be found; and its tokenizer's hash."""
    given = plan.settings.get("model")
    if given is None or not given.known or not given.value:
        return {}, None
    name = str(given.value)
    try:
        facts = read_model_facts(get_model(name))
        return model_identity(facts, name), load_tokenizer(facts.folder).sha256
    except RunoffError:
        return {"name": name}, None


def _data(plan: PlanRecord) -> dict[str, Any]:
    """Hashes of the rows in a local data folder, so that a test row that was trained on is found."""
    given = plan.settings.get("data")
    folder = Path(str(given.value)) if given is not None and given.known else None
    data: dict[str, Any] = {}
    for part in ("train", "valid", "test") if folder is not None and folder.is_dir() else ():
        path = Path(str(folder)) / f"{part}.jsonl"
        with contextlib.suppress(RunoffError):
            data[part] = load_rows(path, name=part).identity()
    return data


def plain(value: Any) -> Any:
    """A setting as JSON holds it; sets sorted."""
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(inner) for inner in value]
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)
