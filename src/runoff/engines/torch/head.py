"""From final hidden states to nats, without ever holding the logits of a whole batch.

Owns: the chunked cross-entropy whose gradient is made in the forward pass (the idea of "Cut Your Losses",
arXiv 2411.09009, in plain matrix products), and which kind of head a model has. Must not: know batches.
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple, Protocol

import torch
from torch import nn
from transformers.modeling_outputs import MoeModelOutputWithPast

from runoff.errors import ModelError

__all__ = ["Head", "head_of", "log_chances", "ranked_nats", "summed_nats", "token_nats"]

BLOCK = 1024
"""Entries of the vocabulary at once on a CPU: `rows` x 1,024 numbers stay in a core's cache through all passes."""

DEVICE_BLOCK = 32 * BLOCK
"""The same on other devices, where each pass costs a launch."""

EVEN = 16
"""States are padded to a multiple of this: oneDNN spends 0.5 ms and half a megabyte on a product of each new size."""

LARGE = 1e30
"""A sum of exponentials up to here, and all that is in it, can be added up and multiplied in float32 and bfloat16."""


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


class _Swept(NamedTuple):
    """nats: (n,). sums: (n, 1) of exponentials. pulled: (n, d), the same exponentials times the matrix, or empty.

    seen: (vocabulary,), the logits of the one state that was asked for, or empty.
    """

    nats: torch.Tensor
    sums: torch.Tensor
    pulled: torch.Tensor
    seen: torch.Tensor


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
        return self._swept(hidden, targets).nats[: len(targets)]

    def ranked(self, hidden: torch.Tensor, targets: torch.Tensor, place: int) -> tuple[torch.Tensor, int]:
        """The logits of one state are kept on the way: a product for the rank alone would read the whole matrix."""
        found = self._swept(hidden, targets, place=place)
        return found.nats[: len(targets)], _rank(found.seen, int(targets[place]))

    def summed(self, hidden: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """d(nats)/d(logits) = softmax - one-hot, so the gradient is ready before the logits are dropped."""
        nats, sums, pulled, _ = self._swept(hidden, targets, pull=True)
        # softmax @ head - head[target]; dividing after the product spares a pass over the vocabulary.
        gradient = pulled.div_(sums)[: len(targets)].sub_(self.weight[targets]).to(hidden.dtype)
        return nats[: len(targets)].sum(dtype=torch.float64), gradient

    def _swept(
        self, hidden: torch.Tensor, targets: torch.Tensor, *, pull: bool = False, place: int | None = None
    ) -> _Swept:
        """`_sweep` with the targets' logits taken off; with the highest ones where a sum grows too large for that.

        What is found has more rows than were given: see EVEN.
        """
        more = -len(hidden) % EVEN
        hidden, targets = nn.functional.pad(hidden, (0, 0, 0, more)), nn.functional.pad(targets, (0, more))
        shift = torch.linalg.vecdot(hidden.float(), self.weight[targets].float())
        found = self._sweep(hidden, targets, shift[:, None], pull=pull, place=place)
        if bool((found.sums < LARGE).all()):
            return found
        return self._sweep(hidden, targets, self._highest(hidden), pull=pull, place=place)

    def _sweep(
        self, hidden: torch.Tensor, targets: torch.Tensor, shift: torch.Tensor, *, pull: bool, place: int | None
    ) -> _Swept:
        """Block by block of the vocabulary, each in the same memory: fresh pages cost as much as the exponentials.

        shift: (n, 1), taken off the logits before their exponential. place: of the state whose logits are kept.
        """
        rooms = [hidden.new_empty(len(hidden), self._block, dtype=dtype) for dtype in (hidden.dtype, torch.float32)]
        at_target, sums, seen = torch.empty_like(shift), torch.zeros_like(shift), [shift.new_empty(0)]
        pulled = hidden.new_zeros(hidden.shape if pull else 0, dtype=torch.float32)
        order, start = targets.argsort(), 0
        counts = torch.bincount(targets // self._block, minlength=-(-len(self.weight) // self._block)).tolist()
        for weight, here in zip(self.weight.split(self._block), order.split(counts), strict=True):
            if len(weight) < self._block:  # the last one
                rooms = [room.view(-1)[: len(hidden) * len(weight)].view(-1, len(weight)) for room in rooms]
            logits, powers = rooms
            torch.mm(hidden, weight.T, out=logits)
            if place is not None:
                seen.append(logits[place].to(torch.float32, copy=True))
            if len(here):
                at_target[here, 0] = logits[here, targets[here] - start].float()
            torch.sub(logits, shift, out=powers).exp_()
            sums += powers.sum(1, keepdim=True)
            if pull:
                pulled += logits.copy_(powers) @ weight
            start += len(weight)
        return _Swept((sums.log() + shift - at_target).squeeze(1), sums, pulled, torch.cat(seen))

    def _highest(self, hidden: torch.Tensor) -> torch.Tensor:
        """Each state's highest logit, (n, 1)."""
        blocks = [(hidden @ weight.T).amax(1, keepdim=True) for weight in self.weight.split(self._block)]
        return torch.cat(blocks, dim=1).amax(1, keepdim=True).float()


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
