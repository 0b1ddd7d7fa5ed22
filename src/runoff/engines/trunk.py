"""The trunk cache: hidden states below the lowest adapted block, computed once for each example.

Owns: what is kept, by which key, within which budget. The states are the engine's own arrays; this module never looks
inside. Must not: import a tensor library.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["TrunkCache"]

State = TypeVar("State")


class TrunkCache(Generic[State]):
    """Keeps states until the budget is used up; what does not fit is computed anew each time."""

    def __init__(self, budget_bytes: int, bytes_of: Callable[[State], int]) -> None:
        self._states: dict[str, State] = {}
        self._budget_bytes = budget_bytes
        self._bytes_of = bytes_of
        self.used_bytes = 0
        self.hits = 0
        self.misses = 0

    def get(self, key: str) -> State | None:
        """The state of an example, if it is kept."""
        found = self._states.get(key)
        if found is None:
            self.misses += 1
        else:
            self.hits += 1
        return found

    def put(self, key: str, state: State) -> None:
        """Keep a state if there is room."""
        size = self._bytes_of(state)
        if key not in self._states and self.used_bytes + size <= self._budget_bytes:
            self._states[key] = state
            self.used_bytes += size
