"""Runs trained elsewhere become ordinary run folders.

Owns: the order of the work: find, recognise, read, group, merge, write; the report of it. Must not: know a format or a
tool.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from runoff.errors import ImportFailed
from runoff.files import file_sha256
from runoff.importers.by_hand import counted, read_assignments, rows_by_hand
from runoff.importers.columns import check_columns
from runoff.importers.facts import Importer, Reading, SourceFile, Tally
from runoff.importers.group import Group, Item, group
from runoff.importers.merge import TOOLS, Hand, Merged, merge
from runoff.importers.registry import IMPORTERS
from runoff.importers.sources import find_files
from runoff.importers.versions import parse_tool
from runoff.importers.write import Original, digest, known_imports, safe_name, write_run
from runoff.runs import Run, load_run
from runoff.words import count_of

__all__ = ["FileReport", "ImportReport", "ImportedRun", "import_runs"]


@dataclass(frozen=True)
class FileReport:
    """What became of one file. `why_not`: the sentence for one that gave nothing."""

    name: str
    kind: str | None
    tally: Tally
    why_not: str = ""


@dataclass(frozen=True)
class ImportedRun:
    """One run of the report. `run` is None in a dry run; `new` is False where the same import had been made before."""

    merged: Merged
    files: tuple[str, ...]
    run: Run | None
    new: bool


@dataclass(frozen=True)
class ImportReport:
    """What an import did, or would do."""

    imported: tuple[ImportedRun, ...]
    files: tuple[FileReport, ...]

    @property
    def runs(self) -> tuple[Run, ...]:
        """The run folders; empty in a dry run."""
        return tuple(each.run for each in self.imported if each.run is not None)


@dataclass(frozen=True)
class _Read:
    original: Original
    reading: Reading
    given: Path


def import_runs(
    paths: Sequence[Path],
    *,
    name: str | None = None,
    root: Path | None = None,
    tool: str | None = None,
    assignments: Sequence[str] = (),
    columns: Mapping[str, str] | None = None,
    dry_run: bool = False,
) -> ImportReport:
    """Import logs, adapter folders, output folders and metrics files, in any mixture, for one run or many.

    name: says that all files are one run's. tool: `mlx-lm@0.28.3` decides over what the files suggest. assignments:
    `key=value` that a person remembers. columns: our field -> column of a CSV or JSONL.

    Raises:
        ImportFailed: nothing to import, or options that don't fit.
        RunError: the run folder can't be written.
    """
    with _rare_collections():
        return _import_runs(paths, name, root, tool, assignments, columns or {}, dry_run=dry_run)


@contextlib.contextmanager
def _rare_collections() -> Iterator[None]:
    """A large log makes a million rows and no cycles: looking for those all the time would cost a tenth."""
    before = gc.get_threshold()
    gc.set_threshold(200_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _import_runs(
    paths: Sequence[Path],
    name: str | None,
    root: Path | None,
    tool: str | None,
    assignments: Sequence[str],
    columns: Mapping[str, str],
    *,
    dry_run: bool,
) -> ImportReport:
    check_columns(columns)
    if name is not None and safe_name(name) != name:
        raise ImportFailed(f"--name {name}: can't be a run name. Write e.g. {safe_name(name)}.")
    hand_tool, version = parse_tool(tool) if tool else (None, None)
    if hand_tool and (
        close := [one for one in get_close_matches(hand_tool, TOOLS, n=1, cutoff=0.75) if one != hand_tool]
    ):
        raise ImportFailed(f"--tool {tool}: did you mean {close[0]}?")
    settings, counts, rows = read_assignments(assignments)
    data = rows_by_hand(settings)
    hand = Hand(settings, counted(data, counts), rows, hand_tool, version, data)
    reports: list[FileReport] = []
    groups = group([item for read in _read_all(paths, columns, reports) for item in _items(read)], name)
    _refuse(groups, reports, name, assignments)
    given = sorted([*assignments, *(f"column {ours}={theirs}" for ours, theirs in columns.items()), f"tool {tool}"])
    given += [f"{split} {some.sha256}" for split, some in data.items()]
    known = known_imports(root)
    made = [_import(each, hand, given, root, known, exact_name=name is not None, dry_run=dry_run) for each in groups]
    return ImportReport(tuple(made), tuple(reports))


@dataclass(frozen=True)
class _Item(Item):
    original: Original


def _items(read: _Read) -> Iterator[_Item]:
    for facts in read.reading.facts:
        yield _Item(read.original.source, read.original.kind, facts, read.given, read.original)


def _read_all(paths: Sequence[Path], columns: Mapping[str, str], reports: list[FileReport]) -> Iterator[_Read]:
    known: dict[str, str] = {}
    for found in find_files(paths, columns):
        source, importer = found.source, None
        if source is None:
            reports.append(FileReport(found.name, None, Tally(), found.why_not))
            continue
        try:
            importer, reading = read_file(source)
            sha256 = file_sha256(source.path)
        except ImportFailed as error:
            if source.is_prose and importer is None:
                continue
            reports.append(FileReport(source.name, importer.kind if importer else None, Tally(), str(error)))
            continue
        except OSError as error:
            reports.append(FileReport(source.name, None, Tally(), f"can't be read ({error.strerror})"))
            continue
        if sha256 in known and importer.kind == "log":
            reports.append(
                FileReport(source.name, importer.kind, reading.tally, f"is the same file as {known[sha256]}")
            )
            continue
        known.setdefault(sha256, source.name)
        reports.append(FileReport(source.name, importer.kind, reading.tally, _why_nothing(reading)))
        yield _Read(Original(source, importer.kind, sha256, reading.tally), reading, found.given)


def _why_nothing(reading: Reading) -> str:
    if reading.facts:
        return ""
    puzzles = reading.tally.not_understood
    if not puzzles:
        return "holds no metrics or settings"
    lines = count_of(puzzles, "line")
    return f"holds no metrics in a form that is known, though {lines} may be some, as {reading.tally.samples[0]!r}"


def read_file(source: SourceFile) -> tuple[Importer, Reading]:
    """The first importer that recognises the file and finds something in it.

    Raises:
        ImportFailed: none does; the sentence of the first that tried.
    """
    failure: ImportFailed | None = None
    nothing: tuple[Importer, Reading] | None = None
    readers = [importer for importer in IMPORTERS if importer.reads_prose or not source.is_prose]
    for importer in (importer for importer in readers if importer.accepts(source)):
        try:
            reading = importer.read(source)
        except ImportFailed as error:
            failure = failure or error
            continue
        if reading.facts:
            return importer, reading
        nothing = nothing or (importer, reading)
    if nothing is None or failure is not None:
        raise failure or ImportFailed(f"{source.name}: is of no kind that can be read here.")
    return nothing


def _reason(report: FileReport) -> str:
    why = report.why_not.rstrip(".") or "is empty"
    return why if why.startswith(report.name) else f"{report.name} {why}"


def _refuse(
    groups: Sequence[Group], reports: Sequence[FileReport], name: str | None, assignments: Sequence[str]
) -> None:
    if not groups:
        reasons = "; ".join(dict.fromkeys(map(_reason, reports)))
        raise ImportFailed(f"nothing to import: {reasons[:2000].rstrip('.') or 'no files'}.")
    if len(groups) > 1 and assignments:
        names = ", ".join(each.name for each in groups)
        raise ImportFailed(
            f"--set is for one run, but the files hold {len(groups)} ({names}). Import them one at a time."
        )
    if name is not None:
        _refuse_one_name(groups, name)


def _refuse_one_name(groups: Sequence[Group], name: str) -> None:
    """Files that hold several runs can't be one run's."""
    several = {importer.kind for importer in IMPORTERS if importer.a_run_each}
    runs: dict[str, dict[str, None]] = {}
    for item in (item for each in groups for item in each.items if item.kind in several):
        runs.setdefault(item.source.name, {}).update(dict.fromkeys(item.facts.labels))
    for file, held in runs.items():
        if len(held) > 1:
            raise ImportFailed(
                f"--name {name} says one run, but {file} holds {len(held)} ({', '.join(held)[:500]}). Leave out --name."
            )
    homes = {
        item.source.path.resolve().parent
        for each in groups
        for item in each.items
        if item.kind.startswith("mlx-lm adapter")
    }
    if len(homes) > 1:
        shown = ", ".join(sorted(home.name for home in homes))
        raise ImportFailed(
            f"--name {name} says one run, but there are {len(homes)} adapter folders ({shown}). Leave out --name."
        )


def _import(
    each: Group,
    hand: Hand,
    given: Sequence[str],
    root: Path | None,
    known: dict[str, Path],
    *,
    exact_name: bool,
    dry_run: bool,
) -> ImportedRun:
    merged = merge(each, hand)
    originals = list({item.source.name: item.original for item in each.items if isinstance(item, _Item)}.values())
    names = tuple(original.source.name for original in originals)
    wanted = digest(originals, [*given, f"run {each.name}"])
    before = known.get(wanted)
    if dry_run:
        return ImportedRun(merged, names, None, new=before is None)
    if before is not None:
        return ImportedRun(merged, names, load_run(before, root), new=False)
    folder = write_run(merged, originals, wanted, root, exact_name=exact_name)
    known[wanted] = folder.path
    return ImportedRun(merged, names, load_run(folder.path, root), new=True)
