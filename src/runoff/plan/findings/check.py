"""A check and what it finds. Owns: the nouns and how a function becomes a check. Must not: hold a check."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from runoff.plan.draft import Draft

__all__ = ["Check", "Finding", "Level", "Seen", "check", "listed"]

Level = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One observation: what and where, why it matters, and a fix that can be pasted (empty where there is none)."""

    code: str
    level: Level
    place: str
    what: str
    why: str
    fix: str = ""

    def __str__(self) -> str:
        """One paragraph."""
        fix = f" Fix: {self.fix}" if self.fix else ""
        return f"{self.code} {self.level}: {self.place}: {self.what} {self.why}{fix}"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a check function yields: a finding without the check's own code and level."""

    place: str
    what: str
    why: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """A rule: its code, level, title, documentation, and the function that looks."""

    code: str
    level: Level
    title: str
    text: str
    look: Callable[[Draft], Iterator[Seen]]

    def __call__(self, draft: Draft) -> Iterator[Finding]:
        """The findings of this check.

        Raises:
            NotKnown: a fact that it needs can't be had.
        """
        for seen in self.look(draft):
            yield Finding(self.code, self.level, seen.place, seen.what, seen.why, seen.fix)


def check(code: str, level: Level) -> Callable[[Callable[[Draft], Iterator[Seen]]], Check]:
    """Make a function a check; its name is the title and its docstring the entry in docs/findings.md."""

    def make(look: Callable[[Draft], Iterator[Seen]]) -> Check:
        return Check(code, level, look.__name__.replace("_", " "), inspect.getdoc(look) or "", look)

    return make


def listed(items: Sequence[object], most: int = 5) -> str:
    """The first few of many."""
    return ", ".join(map(str, items[:most])) + (f" and {len(items) - most:,} more" if len(items) > most else "")
