"""Token by token on torch: left-padded prompts, transformers' own key-value cache. Must not: pick tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

__all__ = ["TorchDecoder"]


class TorchDecoder:
    """Implements `runoff.engines.generation.Decoder`; rows are padded on the left, and pads are never attended to."""

    def __init__(self, model: Any, prompts: Sequence[npt.NDArray[np.int32]], device: torch.device) -> None:
        width = max(len(prompt) for prompt in prompts)
        ids = np.zeros((len(prompts), width), dtype=np.int64)
        mask = np.zeros((len(prompts), width), dtype=np.int64)
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt) :] = prompt
            mask[row, width - len(prompt) :] = 1
        self._model = model
        self._device = device
        self._mask = torch.from_numpy(mask).to(device)
        self._positions = (self._mask.cumsum(1) - 1).clamp(min=0)
        self._cache: Any = None
        self._logits = self._forward(torch.from_numpy(ids).to(device))

    def logits(self) -> npt.NDArray[np.float32]:
        """(rows, vocabulary) of the next token."""
        found: npt.NDArray[np.float32] = self._logits.float().cpu().numpy()
        return found

    def push(self, ids: npt.NDArray[np.int32]) -> None:
        """Append one token to each row."""
        self._mask = torch.cat([self._mask, self._mask.new_ones((len(ids), 1))], dim=1)
        self._positions = self._positions[:, -1:] + 1
        self._logits = self._forward(torch.from_numpy(ids.astype(np.int64)).to(self._device)[:, None])

    def keep(self, rows: Sequence[int]) -> None:
        """Only these rows go on."""
        kept = torch.tensor(rows, device=self._device)
        self._mask, self._positions, self._logits = self._mask[kept], self._positions[kept], self._logits[kept]
        self._cache.batch_select_indices(kept)

    def _forward(self, ids: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            out = self._model(
                input_ids=ids,
                attention_mask=self._mask,
                position_ids=self._positions,
                past_key_values=self._cache,
                use_cache=True,
                logits_to_keep=1,
            )
        self._cache = out.past_key_values
        last: torch.Tensor = out.logits[:, -1]
        return last
