"""Version ranges and values that depend on them. Must not: know a tool."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from runoff.errors import ImportFailed
from runoff.importers.facts import Clue

__all__ = ["Range", "parse_tool", "parse_version", "range_of"]

Version = tuple[int, ...]
NEWEST: Version = (9999,)


def parse_version(text: str) -> Version:
    """`0.28.3` -> (0, 28, 3).

    Raises:
        ImportFailed: not of that form.
    """
    if not re.fullmatch(r"\d+(\.\d+){0,3}", text):
        raise ImportFailed(f"{text!r} is not a version; write it as in mlx-lm@0.28.3.")
    version = tuple(int(part) for part in text.split("."))
    return version + (0,) * (3 - len(version))


def parse_tool(text: str) -> tuple[str, str | None]:
    """`mlx-lm@0.28.3` -> (tool, version); `trl` -> (tool, None)."""
    tool, _, version = text.strip().partition("@")
    if version:
        parse_version(version)
    return tool.lower().replace("_", "-"), version or None


@dataclass(frozen=True, slots=True)
class Range:
    """Versions `since` <= v < `before` that the evidence leaves open."""

    since: Version = (0,)
    before: Version = NEWEST

    def __str__(self) -> str:
        """As sentences name it."""
        if self.exact:
            return _text(self.since)
        low = f"{_text(self.since)} or later" if self.since > (0,) else ""
        high = f"before {_text(self.before)}" if self.before < NEWEST else ""
        return ", ".join(part for part in (low, high) if part) or "unknown"

    @property
    def told(self) -> str:
        """As the end of a sentence about the version."""
        return "is unknown" if self == Range() else f"is only known as {self}"

    @property
    def exact(self) -> bool:
        """One version only."""
        return self.before == (*self.since, 0)

    def at_least(self, version: str) -> bool | None:
        """True, False, or None where the range holds both."""
        wanted = parse_version(version)
        return True if self.since >= wanted else False if self.before <= wanted else None

    def values(self, table: Sequence[tuple[str, Any]]) -> list[tuple[str, Any]]:
        """The entries of a table of (from version, value), ascending, that may hold."""
        starts = [parse_version(start) for start, _ in table]
        ends = [*starts[1:], NEWEST]
        spans = zip(starts, ends, table, strict=True)
        return [entry for start, end, entry in spans if start < self.before and self.since < end]


def range_of(clues: Iterable[Clue], version: str | None = None) -> Range:
    """What all clues allow; a given version decides. Clues that contradict each other leave everything open."""
    if version is not None:
        exact = parse_version(version)
        return Range(exact, (*exact, 0))
    since: Version = (0,)
    before = NEWEST
    for clue in clues:
        since = max(since, parse_version(clue.since)) if clue.since else since
        before = min(before, parse_version(clue.before)) if clue.before else before
    return Range(since, before) if since < before else Range()


def _text(version: Version) -> str:
    return ".".join(map(str, version))
