"""Parts of a transformers model by way of its own code: the lower blocks, the upper ones, and those recomputed.

Owns: views that share the model's modules and leave some blocks out. Must not: change what a block computes.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import torch
import torch.utils.checkpoint
from torch import nn

__all__ = ["above", "below", "final_states", "only", "recomputed"]


class _Passthrough(nn.Module):
    """Stands in for a block that is computed elsewhere: passes on what it is given, or the states it was made with."""

    def __init__(self, states: torch.Tensor | None = None) -> None:
        super().__init__()
        self._states = states

    def forward(self, hidden_states: torch.Tensor, *_args: Any, **_options: Any) -> torch.Tensor:
        return hidden_states if self._states is None else self._states


def below(inner: Any, boundary: int) -> Any:
    """A view that ends with the states below block `boundary`."""
    left_out = [_Passthrough()] * (len(inner.layers) - boundary)
    return _view(inner, [*inner.layers[:boundary], *left_out], norm=_Passthrough())


def above(inner: Any, boundary: int, states: torch.Tensor) -> Any:
    """A view that starts block `boundary` from these states, whatever the ids."""
    left_out = [_Passthrough()] * (boundary - 1)
    return _view(inner, [*left_out, _Passthrough(states), *inner.layers[boundary:]])


def only(inner: Any, index: int, block: nn.Module) -> Any:
    """A view with this block in place `index` and all others left out."""
    blocks = [block if at == index else _Passthrough() for at in range(len(inner.layers))]
    return _view(inner, blocks, norm=_Passthrough())


def final_states(inner: Any, ids: torch.Tensor) -> torch.Tensor:
    """States (rows, width, d) that leave a model or a view."""
    states: torch.Tensor = inner(input_ids=ids, use_cache=False).last_hidden_state
    return states


def _view(inner: Any, blocks: list[nn.Module], **others: nn.Module) -> Any:
    view = copy.copy(inner)
    view._modules = {**inner._modules, "layers": nn.ModuleList(blocks), **others}
    return view


@contextlib.contextmanager
def recomputed(blocks: Iterable[Any]) -> Iterator[None]:
    """These blocks are computed anew in the backward pass; the trunk below keeps nothing anyway."""
    blocks = list(blocks)
    for block in blocks:
        block.gradient_checkpointing = True
        block._gradient_checkpointing_func = partial(torch.utils.checkpoint.checkpoint, use_reentrant=False)
        block.training = True  # the flag of the block alone: transformers asks it, dropout inside does not
    try:
        yield
    finally:
        for block in blocks:
            block.gradient_checkpointing = block.training = False
