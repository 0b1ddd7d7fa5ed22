"""From final hidden states to nats, without ever holding the logits of a whole batch.

Owns: the chunked cross-entropy whose gradient is made in the forward pass (the idea of "Cut Your Losses",
arXiv 2411.09009, in plain matrix products), and which kind of head a model has. Must not: know batches.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch
from torch import nn
from transformers.modeling_outputs import MoeModelOutputWithPast

from runoff.errors import ModelError

__all__ = ["Head", "head_of", "log_chances", "ranked_nats", "summed_nats", "token_nats"]

BLOCK = 1024
"""Entries of the vocabulary at once on a CPU: `rows` x 1,024 numbers stay in a core's cache through all passes."""

DEVICE_BLOCK = 32 * BLOCK
"""The same on other devices, where each pass costs a launch."""


class Head(Protocol):
    """The way from hidden states (n, d) to nats. rows: how many states at once bound the memory."""

    rows: int

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """(n, vocabulary) float32, all at once: for a row at a time."""

    def each(self, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Nats of each target, (n,) float32."""

    def ranked(self, hidden: torch.Tensor, targets: torch.Tensor, place: int) -> tuple[torch.Tensor, int]:
        """The same, and the rank of the target at `place` among all tokens, 1 for the likeliest or one equal to it."""

    def summed(self, hidden: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Summed nats, and their gradient with respect to `hidden`. May not be differentiated."""


class PlainHead:
    """One matrix product, which is what most models have."""

    rows = 512

    def __init__(self, weight: torch.Tensor) -> None:
        self.weight = weight
        self._block = BLOCK if weight.device.type == "cpu" else DEVICE_BLOCK

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """(n, vocabulary) float32: hidden states times the matrix."""
        return (hidden @ self.weight.T).float()

    def each(self, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Log of the sum of exponentials, less the target's logit."""
        return self._scan(hidden, targets)

    def ranked(self, hidden: torch.Tensor, targets: torch.Tensor, place: int) -> tuple[torch.Tensor, int]:
        """The logits of one row are kept on the way: no product is made for the rank."""
        logits: list[torch.Tensor] = []
        nats = self._scan(hidden, targets, lambda block: logits.append(block[place].clone()))
        return nats, _rank(torch.cat(logits), int(targets[place]))

    def summed(self, hidden: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """d(nats)/d(logits) = softmax - one-hot, so the gradient is ready before the logits are dropped."""
        nats, sums, pulled = self._sweep(hidden, targets)
        # softmax @ head - head[target]; dividing after the product spares a pass over the vocabulary.
        return nats.sum(dtype=torch.float64), (pulled / sums - self.weight[targets]).to(hidden.dtype)

    def _blocks(self) -> Iterator[tuple[int, torch.Tensor]]:
        """The vocabulary block by block: where each begins, and its part of the matrix."""
        return zip(range(0, len(self.weight), self._block), self.weight.split(self._block), strict=True)

    def _scan(
        self, hidden: torch.Tensor, targets: torch.Tensor, watch: Callable[[torch.Tensor], None] | None = None
    ) -> torch.Tensor:
        """Nats (n,). watch: is shown the logits of each block.

        A logit less its own log-softmax is the log of the sum: torch's kernel makes that in half the time of the passes
        (highest, difference, exponential, sum) that it takes otherwise.
        """
        sums, at_target = [], torch.zeros(len(hidden), 1, device=hidden.device)
        for start, weight in self._blocks():
            logits = (hidden @ weight.T).float()
            if watch is not None:
                watch(logits)
            at_target = _at(targets, start, logits, at_target)
            sums.append(logits[:, :1] - logits.log_softmax(1)[:, :1])
        return (torch.cat(sums, 1).logsumexp(1, keepdim=True) - at_target).squeeze(1)

    def _sweep(self, hidden: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Nats (n,), sums of exponentials (n, 1), and the same exponentials times the matrix (n, d).

        Whenever a higher logit is met, what was summed so far shrinks to match.
        """
        highest = hidden.new_full((len(hidden), 1), float("-inf"), dtype=torch.float32)
        sums, at_target = torch.zeros_like(highest), torch.zeros_like(highest)
        pulled = torch.zeros_like(hidden, dtype=torch.float32)
        for start, weight in self._blocks():
            logits = hidden @ weight.T
            at_target = _at(targets, start, logits, at_target)
            higher = torch.maximum(highest, logits.amax(1, keepdim=True).float())
            shrunk, highest = (highest - higher).exp_(), higher
            parts = torch.sub(logits, higher).exp_()
            sums.mul_(shrunk).add_(parts.sum(1, keepdim=True))
            pulled.mul_(shrunk).add_(parts.to(weight.dtype) @ weight)
        return (sums.log() + highest - at_target).squeeze(1), sums, pulled


def _at(targets: torch.Tensor, start: int, logits: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """The targets' logits (n, 1) float32 where they are in the block that begins at `start`, and `before` elsewhere."""
    here = (targets - start)[:, None]
    found = logits.gather(1, here.clamp(0, logits.shape[1] - 1)).float()
    return torch.where((here >= 0) & (here < logits.shape[1]), found, before)


class OwnHead:
    """Whatever a model does after its blocks (soft caps, scales, biases): its own code, differentiated by torch."""

    rows = 256

    def __init__(self, model: Any) -> None:
        self._view = copy.copy(model)
        self._view._modules = {**model._modules, "model": _Given()}

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """The model's logits."""
        logits: torch.Tensor = self._view(inputs_embeds=hidden[None], use_cache=False).logits[0]
        return logits.float()

    def each(self, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """From the model's logits."""
        return nn.functional.cross_entropy(self.logits(hidden), targets, reduction="none")

    def ranked(self, hidden: torch.Tensor, targets: torch.Tensor, place: int) -> tuple[torch.Tensor, int]:
        """From the same logits."""
        logits = self.logits(hidden)
        return nn.functional.cross_entropy(logits, targets, reduction="none"), _rank(logits[place], int(targets[place]))

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
    parts = [head.each(hidden[rows], targets[rows]) for rows in _chunks(head, targets)]
    return torch.cat(parts) if parts else hidden.new_zeros(0, dtype=torch.float32)


def ranked_nats(hidden: torch.Tensor, head: Head, targets: torch.Tensor, place: int) -> tuple[torch.Tensor, int | None]:
    """`token_nats`, and the rank of the target at `place`, if there is one, among all tokens."""
    if not 0 <= place < len(targets):
        return token_nats(hidden, head, targets), None
    parts, rank = [], None
    for rows in _chunks(head, targets):
        if rows.start <= place < rows.stop:
            nats, rank = head.ranked(hidden[rows], targets[rows], place - rows.start)
            parts.append(nats)
        else:
            parts.append(head.each(hidden[rows], targets[rows]))
    return torch.cat(parts), rank


def _rank(logits: torch.Tensor, target: int) -> int:
    return int((logits > logits[target]).sum()) + 1


def log_chances(hidden: torch.Tensor, head: Head) -> torch.Tensor:
    """Log of every token's chance. hidden: (n, d). Returns (n, vocabulary) float32."""
    return head.logits(hidden).log_softmax(-1)


def summed_nats(hidden: torch.Tensor, head: Head, targets: torch.Tensor) -> torch.Tensor:
    """Sum of `token_nats`, differentiable in `hidden` (the head is frozen)."""
    total: torch.Tensor = _SummedNats.apply(hidden, head, targets)
    return total


def _chunks(head: Head, targets: torch.Tensor) -> list[slice]:
    return [slice(start, start + head.rows) for start in range(0, len(targets), head.rows)]


class _SummedNats(torch.autograd.Function):
    """Makes the gradient in the forward pass, a chunk at a time."""

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, head: Head, targets: torch.Tensor) -> torch.Tensor:
        gradient = torch.empty_like(hidden)
        total = 0.0
        for rows in _chunks(head, targets):
            nats, gradient[rows] = head.summed(hidden[rows], targets[rows])
            total += float(nats)
        ctx.save_for_backward(gradient)
        return torch.tensor(total, dtype=torch.float32)

    @staticmethod
    def backward(ctx: Any, *outputs: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * outputs[0].to(gradient.device, gradient.dtype), None, None
