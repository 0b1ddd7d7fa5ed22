"""Causal attention of one row by plain batched products, forward and backward.

Owns: the products of queries, keys and values. torch's own CPU attention is slower at the lengths of answers; here the
query heads that share a key head are folded into rows, a block of queries meets only the keys up to its end, and the
scores and their softmax are float32, as they are in the library's (bfloat16 ones move the loss). Must not: know
weights, rotations or batches.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import torch

__all__ = ["Kept", "attend", "attend_backward", "by_onednn"]

QUERIES = 128
"""Positions in a block of queries: a row of 256 needs 3/4 of the square, one of 1,024 needs 9/16."""


class Kept(NamedTuple):
    """What the backward pass needs. q, k, v: as given, in the working type. chances: of each block of queries."""

    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    chances: list[torch.Tensor]


def attend(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *, keep: bool, before: int = 0
) -> tuple[torch.Tensor, Kept | None]:
    """Softmax of the causal scores times the values.

    q: (kv heads, tokens x group, d) float32, already scaled; the heads of a group lie side by side at each position.
    k: (kv heads, before + tokens, d) float32: those of `before` earlier positions first, which ask nothing and have no
    way back. v: the same shape in the working type, which is that of the result (kv heads, tokens x group, d).
    """
    tokens = k.shape[1] - before
    group = q.shape[1] // tokens
    out = torch.empty(q.shape, dtype=v.dtype)
    chances = []
    for start in range(0, tokens, QUERIES):
        stop = min(start + QUERIES, tokens)
        rows = slice(start * group, stop * group)
        with by_onednn(v.dtype):
            scores = torch.bmm(q[:, rows], k[:, : before + stop].mT)
        scores[:, :, before + start :] += _later(stop - start, group)
        part = torch.softmax(scores, dim=-1).to(v.dtype)
        out[:, rows] = torch.bmm(part, v[:, : before + stop])
        if keep:
            chances.append(part)
    return out, Kept(q.to(v.dtype), k.to(v.dtype), v, chances) if keep else None


def attend_backward(kept: Kept, out_gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gradients of q, k and v: the first in the working type, the others summed over the blocks in float32."""
    q, k, v, chances = kept
    tokens = k.shape[1]
    group = q.shape[1] // tokens
    q_gradient = torch.empty_like(q)
    k_gradient, v_gradient = torch.zeros(k.shape), torch.zeros(v.shape)
    for start, part in zip(range(0, tokens, QUERIES), chances, strict=True):
        stop = min(start + QUERIES, tokens)
        rows = slice(start * group, stop * group)
        of_out = out_gradient[:, rows]
        of_chances = torch.bmm(of_out, v[:, :stop].mT)
        of_scores = torch._softmax_backward_data(of_chances, part, -1, part.dtype)
        q_gradient[:, rows] = torch.bmm(of_scores, k[:, :stop])
        k_gradient[:, :stop] += torch.bmm(of_scores.mT, q[:, rows])
        v_gradient[:, :stop] += torch.bmm(part.mT, of_out)
    return q_gradient, k_gradient, v_gradient


@contextlib.contextmanager
def by_onednn(dtype: torch.dtype) -> Iterator[None]:
    """Beside bfloat16 states, float32 products may round what goes in to bfloat16 (not their sums, nor the result).

    What this buys on a CPU is oneDNN instead of MKL, which is twice as fast here even where it rounds nothing.
    """
    settings = torch.backends.mkldnn.matmul
    before = settings.fp32_precision
    if dtype == torch.bfloat16:
        settings.fp32_precision = "bf16"
    try:
        yield
    finally:
        settings.fp32_precision = before


@lru_cache(maxsize=2 * QUERIES)
def _later(positions: int, group: int) -> torch.Tensor:
    """(positions x group, positions): minus infinity where a key is later than the query."""
    square = torch.full((positions, positions), float("-inf")).triu(1)
    return square.repeat_interleave(group, dim=0)
