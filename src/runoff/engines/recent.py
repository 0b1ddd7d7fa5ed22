"""The last few things that were made, by a key. Must not: know what they are."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["Recent"]

Made = TypeVar("Made")


class Recent(Generic[Made]):
    """Remembers so many, and forgets the one that was asked for longest ago."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._made: dict[Hashable, Made] = {}

    def get(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """Remembered, or made now."""
        found = self._made.pop(key) if key in self._made else make()
        self._made[key] = found
        while len(self._made) > self._count:
            del self._made[next(iter(self._made))]
        return found
