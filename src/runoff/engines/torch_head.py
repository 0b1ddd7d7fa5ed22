"""From final hidden states to nats, without ever holding the logits of a whole batch.

Owns: the chunked cross-entropy whose gradient is made in the forward pass (the idea of "Cut Your Losses",
arXiv 2411.09009, in plain matrix products). Must not: know models or batches.
"""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["summed_nats", "token_nats"]

CHUNK_ROWS = 256
"""Rows of logits in memory at once: 256 x 49,152 float32 is 50 MB."""


def token_nats(hidden: torch.Tensor, head: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Nats of each target. hidden: (n, d), head: (vocabulary, d), targets: (n,). Returns (n,) float32."""
    parts = []
    for start in range(0, len(targets), CHUNK_ROWS):
        rows = slice(start, start + CHUNK_ROWS)
        logits = (hidden[rows] @ head.T).float()
        parts.append(torch.nn.functional.cross_entropy(logits, targets[rows], reduction="none"))
    return torch.cat(parts) if parts else hidden.new_zeros(0, dtype=torch.float32)


def summed_nats(hidden: torch.Tensor, head: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Sum of `token_nats`, differentiable in `hidden` (the head is frozen)."""
    total: torch.Tensor = _SummedNats.apply(hidden, head, targets)
    return total


class _SummedNats(torch.autograd.Function):
    """d(nats)/d(logits) = softmax - one-hot, so the gradient is ready before the logits are dropped."""

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, head: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        gradient = torch.empty_like(hidden)
        total = torch.zeros((), dtype=torch.float64)
        for start in range(0, len(targets), CHUNK_ROWS):
            rows = slice(start, start + CHUNK_ROWS)
            wanted = targets[rows]
            logits = (hidden[rows] @ head.T).float()
            at_target = logits.gather(1, wanted[:, None]).squeeze(1)
            # exp and its sum in place: the vocabulary's passes over memory are what costs here.
            highest = logits.amax(1, keepdim=True)
            weights = logits.sub_(highest).exp_()
            sums = weights.sum(1, keepdim=True)
            total += (sums.log() + highest).squeeze(1).sub(at_target).sum(dtype=torch.float64).cpu()
            # softmax @ head - head[target]; dividing after the product spares a pass over the vocabulary.
            gradient[rows] = ((weights.to(head.dtype) @ head) / sums - head[wanted]).to(hidden.dtype)
        ctx.save_for_backward(gradient)
        return total.to(torch.float32)

    @staticmethod
    def backward(ctx: Any, *outputs: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * outputs[0].to(gradient.dtype), None, None
