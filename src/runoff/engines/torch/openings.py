"""Rows that go on from an opening which the blocks have read before: the template's own words and the system prompt.

Owns: what blocks remember of an opening, and a pass over rows behind one. Must not: know which rows have which.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import torch

from runoff.data import Forked
from runoff.engines.torch.attention import attend
from runoff.engines.torch.lean import Block, Blocks, Patches, Rows

__all__ = ["Opening", "after", "read", "rows_behind"]


class _Heads(NamedTuple):
    """A block's keys and values: (kv heads, positions, d)."""

    keys: torch.Tensor
    values: torch.Tensor


class Opening(NamedTuple):
    """states: (positions, d) after the blocks that read it. heads: of each of those, by its number."""

    states: torch.Tensor
    heads: Mapping[int, _Heads]


def rows_behind(lean: Blocks, forked: Forked, opening: int) -> Rows:
    """A row and its forks behind it, from the end of the opening on."""
    forks = [fork for fork in forked.forks if len(fork.ids)]
    lengths = [len(forked.row.ids) - opening, *(len(fork.ids) for fork in forks)]
    shared = [0, *(fork.at - opening for fork in forks)]
    rows = lean.rows(lengths, [opening + before for before in shared])
    return rows._replace(shared=tuple(shared))


def read(lean: Blocks, states: torch.Tensor, span: range, patches: Mapping[int, Patches]) -> Opening:
    """An opening by itself through the blocks of `span`. states: (positions, d) before them, or none at all."""
    if not len(states):
        return Opening(states, {})
    rows, heads = lean.rows([len(states)]), {}
    for index in span:
        states, kept = lean.blocks[index].forward(states, rows, patches.get(index, {}), keep=True)
        (of_row,) = kept.attention if kept else (None,)
        assert of_row is not None
        heads[index] = _Heads(of_row.k, of_row.v)
    return Opening(states, heads)


def after(
    lean: Blocks, states: torch.Tensor, rows: Rows, span: range, patches: Mapping[int, Patches], opening: Opening
) -> torch.Tensor:
    """States (tokens, d) of rows behind the opening, after the blocks of `span`."""
    if not opening.heads:
        return lean.forward(states, rows, span, patches)
    for index in span:
        block = lean.blocks[index]
        look = partial(_attend, block, rows, opening.heads[index])
        states = block.looking(states, rows, patches.get(index, {}), look)
    return states


def _attend(block: Block, rows: Rows, opening: _Heads, turned: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Each row looks at the opening, at what it shares with the first row behind it, and at itself."""
    heads = _Heads(turned[:, block.heads :].transpose(0, 1), values.transpose(0, 1))
    attended = values.new_empty(len(turned), block.heads * block.width)
    for (start, stop), shared in zip(rows.spans, rows.shared or [0] * len(rows.spans), strict=True):
        q = block.folded(turned[start:stop, : block.heads], block.scaling)
        k, v = (
            torch.cat([older, own[:, :shared], own[:, start:stop]], dim=1)
            for older, own in zip(opening, heads, strict=True)
        )
        found, _ = attend(q, k, v, keep=False, before=k.shape[1] - (stop - start))
        block.unfold(found, attended[start:stop])
    return attended
