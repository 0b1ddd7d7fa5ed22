"""A merged run as an ordinary run folder, the original files beside it.

Owns: the import's digest, copies with their hashes, what goes into run.json. Must not: decide anything about values.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import operator
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runoff.errors import ImportFailed, disk_error
from runoff.files import write_json
from runoff.importers.facts import SourceFile, Tally
from runoff.importers.merge import Merged
from runoff.runs import Identity, MetricRow, RunFolder, create_run, find_runs
from runoff.version import __version__

__all__ = ["Original", "digest", "known_imports", "safe_name", "write_run"]

_ADAPTER_FILES = ("adapter_config.json", "adapters.safetensors", "adapter_model.safetensors")
_NUMBERS = tuple(
    field.name
    for field in dataclasses.fields(MetricRow)
    if field.name not in ("kind", "iteration", "text", "place", "segment", "rounding", "others")
)
_numbers = operator.attrgetter(*_NUMBERS)
_encode = json.JSONEncoder(ensure_ascii=False).encode
_DIGEST = re.compile(r'"digest": "([0-9a-f]{64})"')


@dataclass(frozen=True)
class Original:
    """One source file of a run, with its hash and what was made of it."""

    source: SourceFile
    kind: str
    sha256: str
    tally: Tally


def digest(originals: Sequence[Original], given: Sequence[str]) -> str:
    """Identity of an import: the files' bytes and what was given by hand."""
    parts = sorted({original.sha256 for original in originals}) + sorted(given)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def known_imports(root: Path | None) -> dict[str, Path]:
    """Digest of each import that was made before -> its run folder."""
    known = {}
    for folder in find_runs(root):
        try:
            found = _DIGEST.search(RunFolder(folder).identity.read_text("utf-8"))
        except (OSError, UnicodeDecodeError):
            continue
        if found:
            known[found[1]] = folder
    return known


def safe_name(name: str) -> str:
    """A label as a folder's name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:100] or "imported"


def write_run(
    merged: Merged, originals: Sequence[Original], wanted: str, root: Path | None, *, exact_name: bool
) -> RunFolder:
    """Write the run; run.json last and flushed, so that half an import is not a run and is made anew.

    Raises:
        ImportFailed: a run of the wanted name exists.
        RunError: the disk is full or not writable.
    """
    folder = _new_folder(safe_name(merged.name), root, exact_name=exact_name)
    try:
        copies = list(_copy(originals, folder))
        _adapter(originals, folder)
        _write_rows(folder.metrics, merged.rows)
    except OSError as error:
        raise disk_error(error, folder.path, "the import") from None
    write_json(folder.plan, merged.plan.to_json())
    identity = _identity(merged, copies, wanted, folder.path.name).model_copy(update={"files": folder.hashes()})
    write_json(folder.identity, identity.model_dump(mode="json", exclude_none=True))
    return folder


def _new_folder(name: str, root: Path | None, *, exact_name: bool) -> RunFolder:
    from runoff.runs import runs_root

    base, number = root or runs_root(), 1
    while (base / (name if number == 1 else f"{name}-{number}")).exists():
        path = base / (name if number == 1 else f"{name}-{number}")
        if not RunFolder(path).identity.exists() and RunFolder(path).source.exists():
            shutil.rmtree(path)
            break
        if exact_name:
            raise ImportFailed(
                f"{path}: a run of this name exists and was made from other files. Choose another --name."
            )
        number += 1
    return create_run(name if number == 1 else f"{name}-{number}", root)


def _copy(originals: Sequence[Original], folder: RunFolder) -> Iterator[dict[str, Any]]:
    taken: set[Path] = set()
    for original in originals:
        target = folder.source / os.fsdecode(original.source.name.encode())
        while target in taken:
            target = target.with_name(f"{original.sha256[:8]}-{target.name}")
        taken.add(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(original.source.path, target)
        tally = original.tally
        yield {
            "path": os.fsencode(target.relative_to(folder.source)).decode("utf-8", "replace"),
            "kind": original.kind,
            "sha256": original.sha256,
            "bytes": original.source.size,
            "lines_read": tally.read,
            "lines_skipped": tally.skipped,
            "lines_not_understood": tally.not_understood,
        }


def _adapter(originals: Sequence[Original], folder: RunFolder) -> None:
    """The adapter itself, where mlx_lm and PEFT (and `runoff evaluate`) look for it."""
    for original in originals:
        source = original.source
        if source.path.name in _ADAPTER_FILES and not re.match(r"checkpoint-\d+$", source.folder):
            folder.adapter.mkdir(exist_ok=True)
            shutil.copyfile(source.path, folder.adapter / source.path.name)


def _identity(merged: Merged, copies: list[dict[str, Any]], wanted: str, name: str) -> Identity:
    counts, settings = merged.plan.counts, merged.plan.settings
    rows = {part: counts[f"{part}_rows"].value for part in ("train", "valid") if counts[f"{part}_rows"].known}
    model = settings.get("model")
    return Identity(
        name=name,
        status="imported",
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        runoff_version=__version__,
        model={"name": model.value} if model is not None and model.known else {},
        data={part: {"rows": count} for part, count in rows.items()}
        | {part: some.identity() | {"given": "by hand"} for part, some in merged.data.items()},
        result={"loss_definition": merged.loss_definition} if merged.loss_definition else {},
        imported={
            "tool": merged.tool,
            "version": merged.version,
            "version_evidence": list(merged.evidence),
            "digest": wanted,
            "files": copies,
        },
    )


def _write_rows(path: Path, rows: Iterable[MetricRow]) -> None:
    """Rows as JSON lines; encoded here, since a large log's rows are many and the general way takes 5 times as long."""
    roundings: dict[int, str] = {}
    with path.open("w", encoding="utf-8", errors="replace") as file:
        file.writelines(_row_line(row, roundings) for row in rows)


def _row_line(row: MetricRow, roundings: dict[int, str]) -> str:
    parts = [f'{{"kind": "{row.kind}", "iteration": {"null" if row.iteration is None else row.iteration}']
    for name, value in zip(_NUMBERS, _numbers(row), strict=True):
        if value is not None:
            finite = value - value == 0
            parts.append(f'"{name}": {value!r}' if finite else f'"{name}": "{value}"')
    for name in ("text", "place"):
        text = getattr(row, name)
        if text is not None:
            parts.append(f'"{name}": {_encode(text)}')
    if row.segment:
        parts.append(f'"segment": {row.segment}')
    if row.rounding:
        shared = roundings.get(id(row.rounding))
        if shared is None:
            shared = roundings[id(row.rounding)] = f'"rounding": {_encode(dict(row.rounding))}'
        parts.append(shared)
    if row.others:
        parts.append(f'"others": {_encode(dict(row.others))}')
    return ", ".join(parts) + "}\n"
