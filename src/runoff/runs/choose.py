"""Runs by name, path, pattern or `--where`. Owns: what `long*` means. Must not: read a run."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from glob import glob
from pathlib import Path

from runoff.errors import RunError
from runoff.runs.folder import RunFolder, find_runs, runs_root
from runoff.runs.index import list_runs

__all__ = ["choose_runs"]

_PATTERN = frozenset("*?[")


def choose_runs(names: Sequence[str], *, where: str | None = None, root: Path | None = None) -> list[str]:
    """Names and paths that `load_run` takes, each once, in the order asked for; with `where` those that fit.

    names: of runs in the root, paths, or patterns of either (`seed-*`); none of them means all runs of the root.

    Raises:
        RunError: a pattern or `where` fits no run, or `where` can't be read.
    """
    base = root or runs_root()
    found = [run for name in names for run in _expanded(name, base)] if names or where is None else _all(base)
    if where is not None:
        fitting = {str(row["run"]) for row in list_runs(base, where=where)}
        found = [run for run in found if run in fitting]
        if not found:
            raise RunError(f"--where {where!r}: fits no run. `runoff runs --runs {base}` lists them with their values.")
    return list(dict.fromkeys(found))


def _expanded(name: str, root: Path) -> list[str]:
    if not _PATTERN & set(name) or RunFolder(root / name).identity.is_file():
        return [name]
    found = [run for run in _all(root) if fnmatchcase(run, name)]
    found = found or sorted(path for path in glob(name) if RunFolder(Path(path)).identity.is_file())
    if not found:
        raise RunError(f"{name}: fits no run. `runoff runs --runs {root}` lists them.")
    return found


def _all(root: Path) -> list[str]:
    return [path.name for path in find_runs(root)]
