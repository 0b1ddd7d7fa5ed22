"""An index of run folders, so that thousands list and filter at once. Delete it at any time: the folders are the truth.

Owns: the SQLite file `.index.sqlite` beside the runs, what is in it, and when a folder has to be read again. It is
never migrated: a file of another shape is dropped and made anew. Must not: be the only place where anything is kept.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from runoff.errors import RunError
from runoff.runs.folder import RunFolder, no_folder
from runoff.runs.query import parse_where, unknown_key
from runoff.runs.record import MetricRow
from runoff.runs.store import Run, load_run

__all__ = ["COLUMNS", "RunIndex", "list_runs", "open_index", "summary"]

COLUMNS = ("status", "created", "iterations", "optimizer_updates", "epochs", "best_val_loss")

SHAPE = 1
Scalar = str | float | int | bool | None


@dataclass(frozen=True)
class RunIndex:
    """An index that is up to date with its folder."""

    root: Path
    path: Path
    elsewhere: tempfile.TemporaryDirectory[str] | None = None

    def keys(self) -> list[str]:
        """Everything that can be asked of a run."""
        with _connect(self.path) as connection:
            return [key for (key,) in connection.execute("select distinct key from facts order by key")]

    def rows(self, keys: Sequence[str]) -> list[dict[str, Scalar]]:
        """One dictionary a run, in order of name, with those of the keys that are known; `run` is always there.

        Whether a run was killed is not in its files, so that is judged at every call.
        """
        with _connect(self.path) as connection:
            found: dict[str, dict[str, Scalar]] = {
                name: {"run": name} for (name,) in connection.execute("select name from runs order by name")
            }
            marks = ",".join("?" * len(keys))
            facts = connection.execute(f"select run, key, value from facts where key in ({marks})", keys).fetchall()
        # All values read as one list: four times as fast as one by one.
        values = json.loads(f"[{','.join(value for *_, value in facts)}]")
        for (name, key, _), value in zip(facts, values, strict=True):
            found[name][key] = RunFolder(self.root / name).status_now(value) if key == "status" else value
        return list(found.values())


def open_index(root: Path) -> RunIndex:
    """Bring the index up to date: new and changed folders are read, vanished ones forgotten.

    Where the folder is read-only or its disk full, the index is made elsewhere and lasts as long as it is held.

    Raises:
        RunError: the root is a file, or the index can't be written there either.
    """
    path = root / ".index.sqlite"
    if root.exists() and not root.is_dir():
        raise no_folder(root)
    if not root.is_dir():
        return RunIndex(root, path)
    if os.access(root, os.W_OK):
        with contextlib.suppress(sqlite3.DatabaseError):
            return _filled(root, path)
        with contextlib.suppress(sqlite3.DatabaseError, OSError):
            path.unlink(missing_ok=True)
            return _filled(root, path)
    try:
        elsewhere = tempfile.TemporaryDirectory(prefix="runoff-")
        return replace(_filled(root, Path(elsewhere.name) / path.name), elsewhere=elsewhere)
    except (OSError, sqlite3.DatabaseError) as error:
        raise RunError(f"{path}: the index of runs could not be written ({error}).") from None


def _filled(root: Path, path: Path) -> RunIndex:
    with _connect(path) as connection:
        _refresh(connection, root)
    return RunIndex(root, path)


def list_runs(
    root: Path, *, where: str | None = None, sort: str | None = None, columns: Sequence[str] = ()
) -> list[dict[str, Scalar]]:
    """Runs that fit, sorted, with the usual columns and those asked for; unknown values are None.

    Raises:
        RunError: `where` can't be read, or it or `sort` or a column names something that no run has.
    """
    index = open_index(root)
    known = index.keys()
    fits = parse_where(where, known) if where else None
    for option, name in (*(("--columns", column) for column in columns), *([("--sort", sort)] if sort else [])):
        if name not in (*known, *COLUMNS, "run"):
            raise unknown_key(option, name, known)
    shown = tuple(dict.fromkeys((*COLUMNS, *columns, *([sort] if sort else []))))
    asked = tuple(dict.fromkeys((*shown, *(fits.keys if fits else ()))))
    rows = [row for row in index.rows(asked) if fits is None or fits(row)]
    if sort:
        rows.sort(key=lambda row: (row.get(sort) is None, isinstance(row.get(sort), str), row.get(sort) or 0))
    return [{"run": row["run"], **{key: row.get(key) for key in shown}} for row in rows]


def summary(run: Run) -> dict[str, Scalar]:
    """Everything scalar that is known of a run: settings, counts, result, and the ends of its curves."""
    facts: dict[str, Scalar] = {"status": run.identity.status, "created": run.identity.created}
    facts["model"] = run.identity.model.get("name")
    for values in (run.plan.settings, run.plan.counts):
        facts |= {key: value.value for key, value in values.items() if value.known}
    facts |= run.identity.result
    facts |= _curve_ends(run.metrics)
    return {key: value for key, value in facts.items() if isinstance(value, str | int | float) and _finite(value)}


def _curve_ends(rows: Iterable[MetricRow]) -> dict[str, Scalar]:
    losses: dict[str, list[float]] = {"train": [], "validation": []}
    for row in rows:
        if row.kind in losses and row.nats_per_target_token is not None and math.isfinite(row.nats_per_target_token):
            losses[row.kind].append(row.nats_per_target_token)
    ends: dict[str, Scalar] = {}
    if losses["validation"]:
        ends |= {"best_val_loss": min(losses["validation"]), "last_val_loss": losses["validation"][-1]}
    if losses["train"]:
        ends["last_train_loss"] = losses["train"][-1]
    return ends


def _finite(value: str | float) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


@contextlib.contextmanager
def _connect(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path if path.parent.is_dir() else ":memory:", timeout=30)
    try:
        (shape,) = connection.execute("pragma user_version").fetchone()
        if shape != SHAPE:
            connection.executescript("drop table if exists runs; drop table if exists facts;")
        connection.executescript(
            "create table if not exists runs (name text primary key, signature text not null);"
            "create table if not exists facts (run text, key text, value text, primary key (key, run)) without rowid;"
            f"pragma user_version = {SHAPE};"
        )
        yield connection
        connection.commit()
    finally:
        connection.close()


def _refresh(connection: sqlite3.Connection, root: Path) -> None:
    known = dict(connection.execute("select name, signature from runs").fetchall())
    present = dict(_signatures(root))
    stale = [(name,) for name, signature in known.items() if present.get(name) != signature]
    if stale:
        connection.execute("create temp table stale (name text primary key)")
        connection.executemany("insert into stale values (?)", stale)
        # One pass for all of them: what is looked up by key has no way to find the facts of one run.
        connection.execute("delete from facts where run in (select name from stale)")
        connection.execute("delete from runs where name in (select name from stale)")
        connection.execute("drop table stale")
    for name, signature in present.items():
        if known.get(name) != signature:
            connection.execute("insert into runs values (?, ?)", (name, signature))
            rows = [(name, key, json.dumps(value)) for key, value in _facts(root / name).items()]
            connection.executemany("insert into facts values (?, ?, ?)", rows)


def _facts(folder: Path) -> dict[str, Scalar]:
    """A folder that can't be read is listed as such, with the reason."""
    try:
        return summary(load_run(folder))
    except RunError as error:
        return {"status": "unreadable", "reason": str(error)}


def _signatures(root: Path) -> Iterator[tuple[str, str]]:
    """Size and time of the files that a summary is made from."""
    inside = RunFolder(root)
    names = [os.path.relpath(path, root) for path in (inside.identity, inside.plan, inside.metrics)]
    with os.scandir(root) as entries:
        for entry in entries:
            parts = []
            for name in names:
                try:
                    found = os.stat(os.path.join(entry.path, name))
                except OSError:
                    parts.append("-")
                else:
                    parts.append(f"{found.st_size}:{found.st_mtime_ns}")
            if parts[0] != "-":
                yield entry.name, " ".join(parts)
