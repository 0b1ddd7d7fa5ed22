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
    """What the backward pass needs. q, k, v: as given, in the working type. chances: of each block of queries.

    before: how many of the keys are of earlier positions.
    """

    before: int
    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    chances: list[torch.Tensor]


def attend(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *, keep: bool, before: int = 0
) -> tuple[torch.Tensor, Kept | None]:
    """Softmax of the causal scores times the values.

    q: (kv heads, tokens x group, d) float32, already scaled; the heads of a group lie side by side at each position.
    k: (kv heads, before + tokens, d) float32: those of `before` earlier positions first, which ask nothing. v: the same
    shape in the working type, which is that of the result (kv heads, tokens x group, d).
    """
    tokens = k.shape[1] - before
    group = q.shape[1] // tokens
    out = torch.empty(q.shape, dtype=v.dtype)
    chances = []
    for start, stop in _blocks(tokens):
        rows = slice(start * group, stop * group)
        with by_onednn(v.dtype):
            scores = torch.bmm(q[:, rows], k[:, : before + stop].mT)
        scores[:, :, before + start :].add_(_later(stop - start, group))
        part = torch.softmax(scores, dim=-1).to(v.dtype)
        out[:, rows] = torch.bmm(part, v[:, : before + stop])
        if keep:
            chances.append(part)
    return out, Kept(before, q.to(v.dtype), k.to(v.dtype), v, chances) if keep else None


def attend_backward(kept: Kept, out_gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients of q in the working type, and of k and then v, (2 x kv heads, before + tokens, d) float32."""
    before, q, k, v, chances = kept
    tokens = k.shape[1] - before
    group = q.shape[1] // tokens
    q_gradient = torch.empty_like(q)
    gradients = torch.zeros(2 * len(k), *k.shape[1:])
    k_gradient, v_gradient = gradients.chunk(2)
    for (start, stop), part in zip(_blocks(tokens), chances, strict=True):
        rows, seen = slice(start * group, stop * group), slice(before + stop)
        of_out = out_gradient[:, rows]
        of_chances = torch.bmm(of_out, v[:, seen].mT)
        of_scores = torch._softmax_backward_data(of_chances, part, -1, part.dtype)
        q_gradient[:, rows] = torch.bmm(of_scores, k[:, seen])
        k_gradient[:, seen].add_(torch.bmm(of_scores.mT, q[:, rows]))
        v_gradient[:, seen].add_(torch.bmm(part.mT, of_out))
    return q_gradient, gradients


def _blocks(tokens: int) -> list[tuple[int, int]]:
    """From where to where each block of queries goes. Up to half a block at the end goes with the one before: calls on
    few positions cost nearly as much as on many."""
    starts = range(0, max(tokens - QUERIES // 2, 1), QUERIES)
    return list(zip(starts, [*starts[1:], tokens], strict=True))


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
