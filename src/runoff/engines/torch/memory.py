"""Keys and values of prompts and answers, block by block: the memory of the lean decoder.

Owns: how they lie, how they grow, which rows go on, and the attention of one new token a row. Must not: know weights,
adapters or prompts.
"""

from __future__ import annotations

import torch

from runoff.engines.torch.attention import by_onednn

__all__ = ["Memory"]

GROWTH = 64
"""Columns by which it grows. Each token reads all that is there: larger steps read more, smaller ones copy more."""


class Memory:
    """One block's keys and values: (rows, kv heads, columns, d) each, in the working type.

    They lie end to end, since batched products copy whatever does not. A prompt fills a row's first columns; answers
    begin for all rows in the same column, so that a token is written in one piece. A column that a row has not filled
    is finite and never attended to.
    """

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        self.keys, self.values = keys, values

    @classmethod
    def empty(cls, rows: int, kv_heads: int, columns: int, width: int, dtype: torch.dtype) -> Memory:
        """Room for so many columns, or a few more."""
        shape = (rows, kv_heads, -(-columns // GROWTH) * GROWTH, width)
        return cls(torch.zeros(shape, dtype=dtype), torch.zeros(shape, dtype=dtype))

    @property
    def columns(self) -> int:
        """How many there is room for."""
        columns: int = self.keys.shape[2]
        return columns

    def copy(self) -> Memory:
        """For another answer to the same prompts."""
        return Memory(self.keys.clone(), self.values.clone())

    def grow(self, columns: int) -> None:
        """Make room for so many, if there is none yet."""
        if columns > self.columns:
            rows, kv_heads, before, width = self.keys.shape
            larger = Memory.empty(rows, kv_heads, columns, width, self.values.dtype)
            larger.keys[:, :, :before], larger.values[:, :, :before] = self.keys, self.values
            self.keys, self.values = larger.keys, larger.values

    def keep(self, rows: torch.Tensor) -> None:
        """Only these rows go on."""
        self.keys, self.values = self.keys[rows], self.values[rows]

    def put(self, rows: int | slice, start: int, k: torch.Tensor, v: torch.Tensor) -> None:
        """What a row, or each of some, has from column `start` on: (kv heads, tokens, d)."""
        self.keys[rows, :, start : start + k.shape[1]] = k
        self.values[rows, :, start : start + k.shape[1]] = v

    def attend(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, column: int, mask: torch.Tensor
    ) -> torch.Tensor:
        """Put one new token of each row into a column and let it attend. Returns (rows, heads x d).

        q: (rows, heads, d) float32, scaled; the heads of a group lie side by side. k, v: (rows, kv heads, d).
        mask: (rows, 1, columns), minus infinity where a row must not look, 0 elsewhere.
        """
        rows, kv_heads, columns, width = self.keys.shape
        self.keys[:, :, column], self.values[:, :, column] = k, v
        keys = self.keys.flatten(0, 1).float()  # scores are float32, see attention.py
        with by_onednn(v.dtype):
            scores = torch.bmm(q.view(rows * kv_heads, -1, width), keys.mT)
        scores.view(rows, -1, columns).add_(mask)
        chances = torch.softmax(scores, dim=-1).to(v.dtype)
        return torch.bmm(chances, self.values.flatten(0, 1)).view(rows, -1)
