"""From final hidden states to nats in MLX, without ever holding the logits of a whole batch.

Owns: the chunked cross-entropy, and its gradient made chunk by chunk in the forward pass (the idea of "Cut Your
Losses", arXiv 2411.09009, through whatever head a model has). Must not: know models or batches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlx.core as mx

__all__ = ["Head", "log_chances", "nats_and_gradient", "place_among_all", "token_nats"]

CHUNK_ROWS = 64
"""Rows of logits made at once: 64 x 49,152 float32 is 13 MB. MLX works on about ten chunks at a time."""

Head = Callable[[mx.array], mx.array]


def token_nats(hidden: mx.array, head: Head, targets: mx.array) -> mx.array:
    """Nats of each target. hidden: (n, d), targets: (n,). Returns (n,) float32."""
    if not len(targets):
        return mx.zeros(0)
    (nats,) = _in_turn(lambda rows, wanted: (_nats(rows, head, wanted),), hidden, targets)
    return nats


def log_chances(hidden: mx.array, head: Head) -> mx.array:
    """Log of every token's chance. hidden: (n, d). Returns (n, vocabulary) float32."""
    logits = head(hidden).astype(mx.float32)
    return logits - mx.logsumexp(logits, axis=-1, keepdims=True)


def place_among_all(hidden: mx.array, head: Head, target: mx.array) -> mx.array:
    """A target's place, 1 for the likeliest token or one equal to it. hidden: (1, d), target: (1,). A number."""
    logits = head(hidden)[0]
    return (logits > logits[target]).sum() + 1


def nats_and_gradient(hidden: mx.array, head: Head, targets: mx.array) -> tuple[mx.array, mx.array]:
    """`token_nats`, and the gradient of their sum with respect to `hidden`: (n,) float32 and (n, d).

    Neither is differentiable: the sum of `hidden x gradient` has the same gradient as the loss, and holds no logits.
    """

    def summed(rows: mx.array, wanted: mx.array) -> tuple[mx.array, mx.array]:
        found: Any = _cross_entropy(head(rows).astype(mx.float32), wanted)
        return found[0].sum(), found[0]

    def both(rows: mx.array, wanted: mx.array) -> tuple[mx.array, mx.array]:
        (_, nats), gradient = mx.value_and_grad(summed)(rows, wanted)
        return nats, gradient

    if not len(targets):
        return mx.zeros(0), mx.zeros_like(hidden)
    nats, gradient = _in_turn(both, mx.stop_gradient(hidden), targets)
    return nats, gradient


def _in_turn(
    compute: Callable[[mx.array, mx.array], tuple[mx.array, ...]], hidden: mx.array, targets: mx.array
) -> list[mx.array]:
    """Compute chunk by chunk, each made to wait for the one before: else, lazily, all logits would stand at once."""
    results: list[tuple[mx.array, ...]] = []
    for start in range(0, len(targets), CHUNK_ROWS):
        rows = hidden[start : start + CHUNK_ROWS]
        waiting = mx.depends(rows, list(results[-1])) if results else rows
        results.append(compute(waiting, targets[start : start + CHUNK_ROWS]))
    return [mx.concatenate(list(parts)) for parts in zip(*results, strict=True)]


def _nats(hidden: mx.array, head: Head, targets: mx.array) -> mx.array:
    logits = head(hidden).astype(mx.float32)
    at_target = mx.take_along_axis(logits, targets[:, None], axis=-1).squeeze(-1)
    return mx.logsumexp(logits, axis=-1) - at_target


@mx.custom_function
def _cross_entropy(logits: mx.array, targets: mx.array) -> tuple[mx.array, mx.array, mx.array]:
    """Nats of each target, and the powers of e and their sums, from which the gradient is made: MLX's own way through
    logsumexp takes the powers a second time, a fifth of the head's whole work on a CPU.
    """
    highest = logits.max(axis=-1, keepdims=True)
    powers = mx.exp(logits - highest)
    sums = powers.sum(axis=-1, keepdims=True)
    at_target = mx.take_along_axis(logits, targets[:, None], axis=-1)
    return (mx.log(sums) + highest - at_target).squeeze(-1), powers, sums


@_cross_entropy.vjp
def _slope(
    given: tuple[mx.array, mx.array], wanted: tuple[mx.array, ...], made: tuple[mx.array, mx.array, mx.array]
) -> tuple[mx.array, mx.array]:
    """softmax - one-hot, times what is wanted for each row; the targets have no slope."""
    (_, targets), (_, powers, sums) = given, made
    slope = powers * (wanted[0][:, None] / sums)
    return slope.at[mx.arange(len(targets)), targets].subtract(wanted[0]), mx.zeros_like(targets)
