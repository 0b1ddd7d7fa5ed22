"""The trunk cache: hidden states below the lowest adapted block, computed once for each row.

Owns: keeping them, in memory or in a file that runs and evaluations share, within a budget. A state is a function of
the base, the boundary and the row's ids alone (engines compute each row's by itself), so a kept one is as good as a
fresh one, to the bit. Must not: import a tensor library, or know what a state means.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from runoff.data import Forked

__all__ = ["OPENINGS", "Boundary", "DiskStates", "MemoryStates", "State", "TrunkStates", "open_states", "states_key"]

State = npt.NDArray[Any]

OPENINGS = 2
"""Openings that are remembered at once: rows that alternate between two system prompts read each of them once."""


def states_key(row: Forked, opening: int) -> str:
    """Identity of a row's states. An opening that is computed by itself may give other last bits."""
    return f"{row.key}-{opening}" if opening else row.key


class TrunkStates(Protocol):
    """Somewhere to keep states; what does not fit is computed anew each time."""

    def get(self, key: str) -> State | None:
        """(tokens, d) of a row, if it is kept."""

    def put(self, key: str, state: State) -> None:
        """Keep a state if there is room."""

    def holds(self, keys: list[str]) -> int:
        """How many of these rows are kept."""


class Boundary:
    """Where a model's trunk ends, and the states that are kept there; at block 0 there is none."""

    def __init__(self, blocks: int) -> None:
        self.block = 0
        self.kept: TrunkStates | None = None
        self._blocks = blocks

    def move(self, lowest_block: int, splits: Callable[[int], bool], *, budget_bytes: int, folder: Path | None) -> str:
        """End below this block from now on, if the model splits there: what `Base.share_trunk` does and says."""
        if lowest_block <= 0:
            return "Trunk cache off: the first block is adapted, so nothing below it stays the same."
        if self.kept is None or lowest_block != self.block:
            if not splits(lowest_block):
                return "Trunk cache off: this architecture's upper blocks take more than the states below (self-test)."
            self.block, self.kept = lowest_block, open_states(budget_bytes, folder)
        return f"Trunk cache on: the {lowest_block} lowest of {self._blocks} blocks are computed once for each row."

    def serving(self, lowest_block: int) -> int:
        """From which block an adapter that begins at this one can start; 0 if the trunk does not serve it."""
        return self.block if self.block <= lowest_block else 0


def open_states(budget_bytes: int, folder: Path | None) -> TrunkStates:
    """In memory, or in a folder's files if one is given."""
    return MemoryStates(budget_bytes) if folder is None else DiskStates(folder, budget_bytes)


class MemoryStates:
    """States of this process."""

    def __init__(self, budget_bytes: int) -> None:
        self._states: dict[str, State] = {}
        self._left_bytes = budget_bytes

    def get(self, key: str) -> State | None:
        """The state itself; nobody writes into it."""
        return self._states.get(key)

    def put(self, key: str, state: State) -> None:
        """Keep a copy, so that no larger array is held by a view of it."""
        if key not in self._states and state.nbytes <= self._left_bytes:
            self._states[key] = state.copy()
            self._left_bytes -= state.nbytes

    def holds(self, keys: list[str]) -> int:
        """How many of these rows are kept."""
        return sum(key in self._states for key in keys)


class DiskStates:
    """`states.bin`, appended to under a lock, and `index.jsonl`, a line for each state that was written whole.

    Several processes may share a folder. A write that was cut off leaves bytes that no line points to, or a line that
    can't be read: neither is a state. A full disk only ends the keeping.
    """

    def __init__(self, folder: Path, budget_bytes: int) -> None:
        self._folder = folder
        self._budget_bytes = budget_bytes
        self._index: dict[str, tuple[int, tuple[int, ...], str]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self._read_index()

    def get(self, key: str) -> State | None:
        """Read from the file; the operating system keeps what is used often."""
        if key not in self._index:
            return None
        start, shape, dtype = self._index[key]
        kind = np.dtype(dtype)
        size = int(np.prod(shape)) * kind.itemsize
        with (self._folder / "states.bin").open("rb") as file:
            raw = os.pread(file.fileno(), size, start)
        return np.frombuffer(raw, dtype=kind).reshape(shape) if len(raw) == size else None

    def put(self, key: str, state: State) -> None:
        """Append under the lock; the line in the index comes last."""
        if key in self._index:
            return
        try:
            with (self._folder / "states.bin").open("ab") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                start = file.seek(0, os.SEEK_END)
                if start + state.nbytes > self._budget_bytes:
                    return
                file.write(np.ascontiguousarray(state).tobytes())
                file.flush()
                line = {"key": key, "start": start, "shape": list(state.shape), "dtype": state.dtype.str}
                with (self._folder / "index.jsonl").open("a", encoding="utf-8") as index:
                    index.write(json.dumps(line) + "\n")
        except OSError:  # a cache that can't be written is a cache that is not there
            return
        self._index[key] = (start, state.shape, state.dtype.str)

    def holds(self, keys: list[str]) -> int:
        """How many of these rows are kept."""
        return sum(key in self._index for key in keys)

    def _read_index(self) -> None:
        path, states = self._folder / "index.jsonl", self._folder / "states.bin"
        if not path.exists() or not states.exists():
            return
        size = states.stat().st_size
        for line in path.read_text("utf-8", errors="replace").splitlines():
            try:
                row = json.loads(line)
                start, shape, dtype = int(row["start"]), tuple(int(n) for n in row["shape"]), str(row["dtype"])
                end = start + int(np.prod(shape)) * np.dtype(dtype).itemsize
            except (ValueError, KeyError, TypeError):
                continue
            if end <= size:
                self._index[str(row["key"])] = (start, shape, dtype)
