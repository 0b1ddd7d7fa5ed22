"""What the judge has said already, in SQLite: a crash loses nothing, and no call is paid for twice.

Owns: the key of a call. Must not: call.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runoff.errors import RunError
from runoff.evaluation.judge.server import Messages

__all__ = ["Call", "JudgeCache"]

# A crash of this program loses nothing; one of the machine perhaps the last replies, which are asked for again.
_TABLES = """
pragma journal_mode = wal;
pragma synchronous = normal;
create table if not exists replies (key text primary key, model text, text text, seconds real);
create table if not exists servers (address text, model text, fingerprint text, primary key (address, model));
"""


@dataclass(frozen=True)
class Call:
    """One call in full. order: 0 as given, 1 with the two answers swapped. repeat: counts equal calls."""

    model: str
    fingerprint: str
    template: str
    messages: Messages
    sampling: Mapping[str, Any]
    order: int
    repeat: int = 0

    @property
    def key(self) -> str:
        """Identity: everything that the reply depends on."""
        body = [self.model, self.fingerprint, self.template, list(self.messages), dict(self.sampling)]
        return hashlib.sha256(json.dumps([*body, self.order, self.repeat], sort_keys=True).encode()).hexdigest()


class JudgeCache:
    """Replies by call. Used from one thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=30)
            self._database.executescript(_TABLES)
        except (OSError, sqlite3.Error) as error:
            raise self._broken(error) from None

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def reply(self, call: Call) -> str | None:
        """The text that the judge gave to this call."""
        rows = self._run("select text from replies where key = ?", (call.key,))
        return str(rows[0][0]) if rows else None

    def keep(self, call: Call, text: str, seconds: float) -> None:
        """Remember a reply."""
        self._run("insert or replace into replies values (?, ?, ?, ?)", (call.key, call.model, text, seconds))

    def fingerprint(self, address: str, model: str) -> str | None:
        """What answered there last time."""
        rows = self._run("select fingerprint from servers where address = ? and model = ?", (address, model))
        return str(rows[0][0]) if rows else None

    def keep_fingerprint(self, address: str, model: str, fingerprint: str) -> None:
        """Remember what answers there, for when it can't be asked."""
        self._run("insert or replace into servers values (?, ?, ?)", (address, model, fingerprint))

    def _run(self, statement: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        try:
            with self._database:
                return self._database.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._broken(error) from None

    def _broken(self, error: Exception) -> RunError:
        return RunError(f"{self.path}: can't be used to keep what the judge said ({error}). Delete it, or make room.")
