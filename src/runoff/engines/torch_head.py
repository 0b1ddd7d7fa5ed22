"""From final hidden states to nats, without ever holding the logits of a whole batch.

Owns: the chunked cross-entropy whose gradient is made in the forward pass (the idea of "Cut Your Losses",
arXiv 2411.09009, in plain matrix products), and which kind of head a model has. Must not: know batches.
"""

from __future__ import annotations

import copy
from typing import Any, Protocol

import torch
from torch import nn
from transformers.modeling_outputs import MoeModelOutputWithPast

from runoff.errors import ModelError

__all__ = ["Head", "head_of", "summed_nats", "token_nats"]

CHUNK_ROWS = 256
"""Rows of logits in memory at once: 256 x 49,152 float32 is 50 MB."""


class Head(Protocol):
    """The way from hidden states (n, d) to logits (n, vocabulary)."""

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """(n, vocabulary) float32."""

    def summed(self, hidden: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Summed nats, and their gradient with respect to `hidden`. May not be differentiated."""


class PlainHead:
    """One matrix product, which is what most models have."""

    def __init__(self, weight: torch.Tensor) -> None:
        self.weight = weight

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Hidden states times the matrix."""
        return (hidden @ self.weight.T).float()

    def summed(self, hidden: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """d(nats)/d(logits) = softmax - one-hot, so the gradient is ready before the logits are dropped."""
        logits = self.logits(hidden)
        at_target = logits.gather(1, targets[:, None]).squeeze(1)
        # exp and its sum in place: the vocabulary's passes over memory are what costs here.
        highest = logits.amax(1, keepdim=True)
        weights = logits.sub_(highest).exp_()
        sums = weights.sum(1, keepdim=True)
        nats = (sums.log() + highest).squeeze(1).sub(at_target).sum(dtype=torch.float64)
        # softmax @ head - head[target]; dividing after the product spares a pass over the vocabulary.
        gradient = (weights.to(self.weight.dtype) @ self.weight) / sums - self.weight[targets]
        return nats, gradient.to(hidden.dtype)


class OwnHead:
    """Whatever a model does after its blocks (soft caps, scales, biases): its own code, differentiated by torch."""

    def __init__(self, model: Any) -> None:
        self._view = copy.copy(model)
        self._view._modules = {**model._modules, "model": _Given()}

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """The model's logits."""
        logits: torch.Tensor = self._view(inputs_embeds=hidden[None], use_cache=False).logits[0]
        return logits.float()

    def summed(self, hidden: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """By autograd, a chunk at a time."""
        with torch.enable_grad():
            leaf = hidden.detach().requires_grad_()
            nats = nn.functional.cross_entropy(self.logits(leaf), targets, reduction="sum")
            (gradient,) = torch.autograd.grad(nats, leaf)
        return nats.detach().double(), gradient


class _Given(nn.Module):
    """In place of the blocks: what goes in are the final hidden states."""

    def forward(self, inputs_embeds: torch.Tensor, **_options: Any) -> MoeModelOutputWithPast:
        return MoeModelOutputWithPast(last_hidden_state=inputs_embeds)


def head_of(model: Any) -> Head:
    """A plain head if the model's own logits are that product, zero for zero states and large for large ones.

    Raises:
        ModelError: the model's head can't be run without its blocks.
    """
    own, plain = OwnHead(model), PlainHead(model.lm_head.weight)
    large = 100 * torch.randn(plain.weight.shape[1], generator=torch.Generator().manual_seed(0))
    probe = torch.stack([torch.zeros_like(large), large]).to(plain.weight.device, plain.weight.dtype)
    try:
        with torch.no_grad():
            theirs, ours = own.logits(probe), plain.logits(probe)
    except Exception as error:  # whatever a foreign architecture trips over without its blocks
        raise ModelError(f"the torch engine can't train {model.config.model_type} models yet ({error}).") from error
    close = torch.linalg.vector_norm(theirs[1] - ours[1]) <= 1e-2 * torch.linalg.vector_norm(ours[1])
    return plain if close and not theirs[0].any() else own


def token_nats(hidden: torch.Tensor, head: Head, targets: torch.Tensor) -> torch.Tensor:
    """Nats of each target. hidden: (n, d), targets: (n,). Returns (n,) float32."""
    parts = []
    for rows in _chunks(targets):
        parts.append(nn.functional.cross_entropy(head.logits(hidden[rows]), targets[rows], reduction="none"))
    return torch.cat(parts) if parts else hidden.new_zeros(0, dtype=torch.float32)


def summed_nats(hidden: torch.Tensor, head: Head, targets: torch.Tensor) -> torch.Tensor:
    """Sum of `token_nats`, differentiable in `hidden` (the head is frozen)."""
    total: torch.Tensor = _SummedNats.apply(hidden, head, targets)
    return total


def _chunks(targets: torch.Tensor) -> list[slice]:
    return [slice(start, start + CHUNK_ROWS) for start in range(0, len(targets), CHUNK_ROWS)]


class _SummedNats(torch.autograd.Function):
    """Makes the gradient in the forward pass, a chunk at a time."""

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, head: Head, targets: torch.Tensor) -> torch.Tensor:
        gradient = torch.empty_like(hidden)
        total = 0.0
        for rows in _chunks(targets):
            nats, gradient[rows] = head.summed(hidden[rows], targets[rows])
            total += float(nats)
        ctx.save_for_backward(gradient)
        return torch.tensor(total, dtype=torch.float32)

    @staticmethod
    def backward(ctx: Any, *outputs: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * outputs[0].to(gradient.device, gradient.dtype), None, None
