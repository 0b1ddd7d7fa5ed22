"""Views of an mlx_lm model: the same modules, run in part.

Owns: how a model's blocks are skipped, resumed from kept states, seeded and recomputed, and how its head is run on
rows of our choosing. A view is a shallow copy whose list of blocks holds stand-ins, so whatever an architecture does
before, between and after its blocks (embedding scales, masks, soft caps) stays its own code. Must not: know adapters or
batches.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import mlx.core as mx
from mlx import nn

from runoff.engines.mlx.memory import Memory

__all__ = ["Blocks", "own_head", "resumed", "run_blocks", "seeded", "states_below"]

Blocks = list[Any]


class _StandIn:
    """Takes a module's place for a call; its attributes (`use_sliding` and the like) are still the module's."""

    def __init__(self, module: Any, call: Callable[..., Any]) -> None:
        self._module = module
        self._call = call

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._call(*arguments, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def _unchanged(x: mx.array, *_arguments: Any, **_options: Any) -> mx.array:
    return x


def run_blocks(inner: Any, blocks: Blocks, ids: mx.array, memories: Sequence[Memory] | None = None) -> mx.array:
    """Final hidden states (rows, width, d) with these blocks in place of the model's own.

    memories: one for each block, where the ids go on from earlier ones or others will go on from them.
    """
    view = copy.copy(inner)
    view.layers = blocks
    states: mx.array = view(ids) if memories is None else view(ids, cache=list(memories))
    return states


def states_below(inner: Any, boundary: int, ids: mx.array, memories: Sequence[Memory] | None = None) -> mx.array:
    """What block `boundary` is given, (rows, width, d). Nothing above is computed: mlx is lazy."""
    given: list[mx.array] = []

    def keep(x: mx.array, *_arguments: Any, **_options: Any) -> mx.array:
        given.append(x)
        return x

    blocks = list(inner.layers)
    above = [_StandIn(block, _unchanged) for block in blocks[boundary + 1 :]]
    run_blocks(inner, [*blocks[:boundary], _StandIn(blocks[boundary], keep), *above], ids, memories)
    return given[0]


def resumed(blocks: Sequence[Any], boundary: int, states: mx.array) -> Blocks:
    """The blocks from `boundary` on, started from kept states; those below pass on what they are given."""
    below: Blocks = [_StandIn(block, _unchanged) for block in blocks[: boundary - 1]]
    last = _StandIn(blocks[boundary - 1], lambda *_arguments, **_options: states)
    return [*below, last, *blocks[boundary:]]


def seeded(block: Any, seed: int, *, recompute: bool) -> Any:
    """A block whose dropout starts from `seed`, and with `recompute` keeps nothing for the backward pass.

    Without a seed of its own, a recomputed block draws another dropout than the forward pass did
    (mlx_lm.tuner.trainer.grad_checkpoint does), and its gradient is that of another loss.
    """

    def call(*arguments: Any, **options: Any) -> Any:
        mx.random.seed(seed)
        return block(*arguments, **options)

    return _StandIn(block, nn.utils.checkpoint(block, call) if recompute else call)


def own_head(model: Any) -> Callable[[mx.array], mx.array]:
    """The model's own way from final hidden states (rows, d) to logits (rows, vocabulary).

    Tied or quantized embeddings, scales and soft caps are whatever the model does after its blocks.
    """
    view = copy.copy(model)
    view.model = _StandIn(model.model, _unchanged)

    def head(hidden: mx.array) -> mx.array:
        logits: mx.array = view(hidden[None])[0]
        return logits

    return head
