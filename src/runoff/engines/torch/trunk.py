"""The blocks below the lowest adapted one on torch: their states for a row are computed once, and kept.

Owns: where the trunk ends, each row's states there, and whether an architecture's own code can be split. Must not: know
adapters, which all lie above.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from runoff.data import Forked
from runoff.engines.recent import Recent
from runoff.engines.torch.arrays import from_array, to_array
from runoff.engines.torch.lean import Blocks
from runoff.engines.torch.openings import Opening, after, read, rows_behind
from runoff.engines.torch.views import above, below, final_states
from runoff.engines.trunk import OPENINGS, Boundary, states_key

__all__ = ["Trunk"]


class Trunk:
    """The lower part of a model, which never changes and gets no gradient; all of it may be above."""

    def __init__(self, inner: Any, vocabulary: int, device: torch.device, lean: Blocks | None) -> None:
        self._end = Boundary(len(inner.layers))
        self._inner, self._vocabulary, self._device, self._lean = inner, vocabulary, device, lean
        self._openings: Recent[Opening] = Recent(OPENINGS)

    @property
    def boundary(self) -> int:
        """The first block that is not the trunk's."""
        return self._end.block

    def share(self, lowest_block: int, *, budget_bytes: int, folder: Path | None) -> str:
        """End below this block from now on, if the split gives what the whole gives."""
        return self._end.move(lowest_block, self._splits_at, budget_bytes=budget_bytes, folder=folder)

    def serving(self, lowest_block: int) -> int:
        """From which block an adapter that begins at this one can start; 0 if the trunk does not serve it."""
        return self._end.serving(lowest_block)

    def states(self, forked: Forked) -> torch.Tensor:
        """(ids, d) of a row and its forks behind it, by itself: kept ones are as fresh ones to the bit."""
        opening = forked.opening if self._lean else 0
        key = states_key(forked, opening)
        kept = self._end.kept.get(key) if self._end.kept else None
        if kept is not None:
            return from_array(kept).to(self._device)
        with torch.no_grad():
            states = self._fresh(forked, opening)
        if self._end.kept is not None:
            self._end.kept.put(key, to_array(states))
        return states

    def embedded(self, ids: npt.NDArray[np.int32]) -> torch.Tensor:
        """(tokens, d): what the first block is given."""
        return self._below(0, ids)

    def _fresh(self, forked: Forked, opening: int) -> torch.Tensor:
        lean, span = self._lean, range(self.boundary)
        if lean is None:
            return self._below(self.boundary, forked.ids)
        begin, own = self.embedded(forked.ids).tensor_split([opening])
        before = self._openings.get(
            (self.boundary, forked.ids[:opening].tobytes()), lambda: read(lean, begin, span, {})
        )
        states = after(lean, own, rows_behind(lean, forked, opening), span, {}, before)
        return torch.cat([before.states, states])

    def _below(self, boundary: int, ids: npt.NDArray[np.int32]) -> torch.Tensor:
        with torch.no_grad():
            given = torch.from_numpy(ids).to(self._device, torch.long)[None]
            return final_states(below(self._inner, boundary), given)[0]

    def _splits_at(self, boundary: int) -> bool:
        if self._lean is not None:  # our own code, which goes block by block
            return True
        ids = torch.arange(16, device=self._device)[None] % self._vocabulary
        with torch.no_grad():
            whole = final_states(self._inner, ids)
            try:
                parts = final_states(above(self._inner, boundary, final_states(below(self._inner, boundary), ids)), ids)
            except Exception:  # whatever a foreign architecture trips over when its lower blocks stand still
                return False
        return bool(torch.equal(whole, parts))
