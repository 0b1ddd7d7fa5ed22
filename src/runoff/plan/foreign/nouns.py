"""The nouns of another tool's doings. Owns: them. Must not: know a tool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runoff.config import Given

__all__ = ["Around", "Ignored", "Stop", "ToolReport", "ToolValue", "Version", "as_text", "nested", "version_text"]

Version = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Around:
    """What the rules need besides the file; None where it is not known."""

    train_rows: int | None = None
    valid_rows: int | None = None
    blocks: int | None = None


@dataclass(frozen=True, slots=True)
class ToolValue:
    """A setting or a count as the tool has it, and where it comes from."""

    key: str
    value: Any
    why: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """A key that the tool does not read at this place, and what holds instead.

    same: the tool does what the key asks for anyway. fix: what to write so that the tool does it, where it can.
    """

    key: str
    value: Any
    place: str
    instead: str
    same: bool = False
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Stop:
    """Something at which the tool ends with an error."""

    place: str
    text: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class ToolReport:
    """What one version of one tool does with one file. `notes` are sentences about that version's ways."""

    tool: str
    settings: tuple[ToolValue, ...]
    counts: tuple[ToolValue, ...]
    ignored: tuple[Ignored, ...]
    stops: tuple[Stop, ...]
    notes: tuple[ToolValue, ...] = ()

    def setting(self, key: str) -> Any:
        """The value that holds; None where the tool has no such setting."""
        return next((row.value for row in self.settings if row.key == key), None)


def version_text(version: Version) -> str:
    """As people write it."""
    return ".".join(map(str, version))


def as_text(value: Any) -> str:
    """A value as it is written in YAML."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {as_text(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(as_text, value)) + "]"
    return f"{value!r}" if isinstance(value, float) else str(value)


def nested(given: Sequence[Given]) -> dict[str, Any]:
    """The file's tree again, from dotted keys."""
    tree: dict[str, Any] = {}
    for leaf in given:
        *heads, last = leaf.key.split(".")
        inside = tree
        for head in heads:
            deeper = inside.get(head)
            inside[head] = inside = deeper if isinstance(deeper, dict) else {}
        inside[last] = leaf.value
    return tree
