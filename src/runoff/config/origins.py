"""Where a value came from. Owns: `Origin`, and whose origin a dotted key has. Must not: know any particular setting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["DEFAULT", "Origin", "origin_of", "place_of"]

Kind = Literal["default", "file", "option", "translated", "derived", "imported", "unknown"]


@dataclass(frozen=True, slots=True)
class Origin:
    """The source of one value: its kind, the place (`run.yaml:12`, `--set`), and why it is what it is."""

    kind: Kind
    place: str | None = None
    why: str | None = None

    def __str__(self) -> str:
        """As tables print it."""
        if self.kind == "translated":
            return f"{self.place}, {self.why}"
        if self.kind in ("derived", "unknown"):
            return f"{self.kind}: {self.why}" if self.why else self.kind
        if self.kind == "imported" and self.place and self.why:
            return f"{self.place} ({self.why})"
        return self.place or self.kind


DEFAULT = Origin("default")


def origin_of(origins: Mapping[str, Origin], key: str) -> Origin | None:
    """Of the key itself, else of what holds it, else of the first of its parts."""
    parts = key.split(".")
    above = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    found = next((origins[name] for name in above if name in origins), None)
    return found or next((origin for name, origin in origins.items() if name.startswith(f"{key}.")), None)


def place_of(origins: Mapping[str, Origin], key: str) -> str:
    """Where a sentence about a key points to; empty for a default."""
    return (origin_of(origins, key) or DEFAULT).place or ""
