"""The seeds of an engine's dropout: drawn by plain numpy, so that they mean the same on every device and library.

Owns: one generator for each engine, whose state is what a resumed run goes on from. A tensor library's own generators
are global and differ by device; here each pass seeds them anew, and engines on one base do not disturb each other.
"""

from __future__ import annotations

import json

import numpy as np

__all__ = ["Seeds"]


class Seeds:
    """A stream of seeds."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.Generator(np.random.PCG64([seed, 0xD0]))

    def draw(self) -> int:
        """The next seed, below 2**63."""
        return int(self._random.integers(2**63))

    def state(self) -> bytes:
        """Where the stream is."""
        return json.dumps(self._random.bit_generator.state).encode()

    def restore(self, state: bytes) -> None:
        """Go on from there."""
        self._random.bit_generator.state = json.loads(state)
