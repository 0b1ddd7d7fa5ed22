"""Where a value came from. Owns: `Origin`. Must not: know any particular setting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["DEFAULT", "Origin"]

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
