"""The parts of a decoder block with their gradients written out: norms, linear layers with adapters, gated units.

Owns: the arithmetic of each part. No graph is recorded: what a backward pass needs is handed back by the forward one.
All states are packed, (tokens, d): the rows of a batch end to end, without padding. Must not: know blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import nn

__all__ = ["Adapted", "Linears", "Norm", "Patch", "gated", "gated_backward"]


class Norm(NamedTuple):
    """Root mean square norm over the last dimension. weight: (..., d), broadcast."""

    weight: torch.Tensor
    epsilon: float

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The normed states, and the inverse of their size in float32, which the backward pass needs."""
        size = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        inverse = size.square_().div_(x.shape[-1]).add_(self.epsilon).rsqrt_()
        return torch.mul(x, inverse).to(x.dtype).mul_(self.weight), inverse

    def backward(self, x: torch.Tensor, inverse: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        """Gradient of x in float32."""
        wide, x = gradient.float() * self.weight, x.float()
        along = torch.linalg.vecdot(wide, x).unsqueeze(-1).mul_(inverse**3).div_(x.shape[-1])
        return wide.mul_(inverse).addcmul_(x, along, value=-1)


def gated(gate_up: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """silu(gate) * up of (tokens, 2 f), and silu(gate), which the backward pass needs."""
    gate, up = gate_up.chunk(2, dim=1)
    lit = nn.functional.silu(gate)
    return lit * up, lit


def gated_backward(gate_up: torch.Tensor, lit: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Gradient of (tokens, 2 f)."""
    gate, up = gate_up.chunk(2, dim=1)
    found = torch.empty_like(gate_up)
    of_gate, of_up = found.chunk(2, dim=1)
    torch.mul(gradient, lit, out=of_up)
    torch.ops.aten.silu_backward.grad_input(gradient * up, gate, grad_input=of_gate)
    return found


class Linears(NamedTuple):
    """Linear layers that read the same input, as one product. weight: (all outs, in), the layers' rows one below the
    other; each layer's own weight is a view of its rows, so that nothing is held twice."""

    names: tuple[str, ...]
    weight: torch.Tensor
    bias: torch.Tensor | None
    outs: tuple[slice, ...]

    @classmethod
    def of(cls, names: Sequence[str], layers: Sequence[nn.Linear]) -> Linears:
        """Stack the layers' weights, and make theirs views of the stack."""
        weight = torch.cat([layer.weight.data for layer in layers])
        biased = [layer.bias is not None for layer in layers]
        bias = None
        if any(biased):
            bias = torch.cat([_bias(layer) for layer in layers])
        outs, start = [], 0
        for layer in layers:
            outs.append(slice(start, start := start + layer.out_features))
            layer.weight.data = weight[outs[-1]]
        return cls(tuple(names), weight, bias, tuple(outs))

    def forward(self, x: torch.Tensor, patch: Patch | None) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """The outputs side by side, and what the patch's gradient needs besides x."""
        y = x @ self.weight.T
        kept: tuple[torch.Tensor, ...] = ()
        if patch is not None:
            y, kept = patch.forward(x, y)
        return (y if self.bias is None else y.add_(self.bias)), kept

    def backward(
        self,
        x: torch.Tensor,
        patch: Patch | None,
        kept: tuple[torch.Tensor, ...],
        gradient: torch.Tensor,
        *,
        onward: bool = True,
    ) -> torch.Tensor:
        """Add up the patch's gradients; the gradient of x, unless nothing below wants it (then it is empty)."""
        through = None
        if patch is not None:
            gradient, through = patch.backward(x, kept, gradient)
        if not onward:
            return x[:0]
        found = gradient @ self.weight
        if patch is not None and through is not None:
            found.addmm_(through, patch.down)
        return found


def _bias(layer: nn.Linear) -> torch.Tensor:
    return layer.weight.new_zeros(layer.out_features) if layer.bias is None else layer.bias.data


@dataclass(frozen=True, slots=True)
class Adapted:
    """One layer's adapter, as the engine holds it in float32. outs: the layer's rows in its `Linears`."""

    outs: slice
    lora_a: nn.Parameter
    lora_b: nn.Parameter
    magnitude: nn.Parameter | None = None


@dataclass(slots=True)
class Patch:
    """The adapters on one `Linears`: A's rows one below the other, so that x is read once, and B block by block.

    down: (ranks, in) and up: (outs, ranks), which holds the scale, in the base's type. factor: (outs,), DoRA's
    magnitude over the norm of base plus adapter, which its backward pass takes as constant (arXiv 2402.09353,
    section 4.3). sums: the gradients of `down` and of the layers' B side by side, in float32; the layers' own are
    views of them, so that a pass adds two products and not two for each layer.
    """

    linears: Linears
    layers: tuple[Adapted, ...]
    scale: float
    down: torch.Tensor = field(init=False)
    up: torch.Tensor = field(init=False)
    factor: torch.Tensor | None = field(init=False, default=None)
    sums: tuple[torch.Tensor, torch.Tensor] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Take the adapters as they are."""
        self.refresh()

    def refresh(self) -> None:
        """The adapters have changed: take their new values."""
        weight = self.linears.weight
        with torch.no_grad():
            self.down = torch.cat([layer.lora_a for layer in self.layers]).to(weight.dtype)
            self.up = weight.new_zeros(weight.shape[0], len(self.down))
            for ranks, layer in self._placed():
                self.up[layer.outs, ranks] = self.scale * layer.lora_b
                if layer.magnitude is not None:
                    self._refresh_factor(layer, layer.magnitude)

    def _refresh_factor(self, layer: Adapted, magnitude: torch.Tensor) -> None:
        weight = self.linears.weight
        norm = torch.linalg.norm(weight[layer.outs] + self.scale * (layer.lora_b @ layer.lora_a), dim=1)
        if self.factor is None:
            self.factor = torch.ones(weight.shape[0])
        self.factor[layer.outs] = magnitude / norm

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """y, the base's products, with the adapters' added (in place)."""
        inner = x @ self.down.T
        y.addmm_(inner, self.up.T)
        return (y, (inner,)) if self.factor is None else ((y * self.factor).to(y.dtype), (inner, y))

    def backward(
        self, x: torch.Tensor, kept: tuple[torch.Tensor, ...], gradient: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add up the adapters' gradients. Returns those of the base's products and of the inner states."""
        if self.factor is not None:
            self._add_magnitudes(kept[1], gradient)
            gradient = (gradient * self.factor).to(gradient.dtype)
        inner = kept[0]
        through = gradient @ self.up
        of_down, of_up = self._summing()
        of_down.add_(through.T @ x)
        of_up.add_(gradient.T @ inner, alpha=self.scale)
        return gradient, through

    def _summing(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The sums that the layers' gradients are views of; new ones where they were taken or put back."""
        first = self.layers[0].lora_a.grad
        if self.sums is None or first is None or first.data_ptr() != self.sums[0].data_ptr():
            self.sums = of_down, of_up = torch.zeros(self.down.shape), torch.zeros(self.up.shape)
            for ranks, layer in self._placed():
                _be_summed(layer.lora_a, of_down[ranks])
                _be_summed(layer.lora_b, of_up[layer.outs, ranks])
        return self.sums

    def _placed(self) -> Iterator[tuple[slice, Adapted]]:
        """Each layer, and its ranks among all."""
        rank = self.layers[0].lora_a.shape[0]
        for index, layer in enumerate(self.layers):
            yield slice(index * rank, (index + 1) * rank), layer

    def _add_magnitudes(self, y: torch.Tensor, gradient: torch.Tensor) -> None:
        sums = torch.mul(gradient.float(), y).sum(0)
        for layer in self.layers:
            if layer.magnitude is not None and self.factor is not None:
                found = sums[layer.outs] * self.factor[layer.outs] / layer.magnitude.data
                layer.magnitude.grad = found if layer.magnitude.grad is None else layer.magnitude.grad.add_(found)


def _be_summed(parameter: nn.Parameter, room: torch.Tensor) -> None:
    """Let the parameter's gradient be what is added up in `room`, and begin there with what it has."""
    if parameter.grad is not None:
        room.copy_(parameter.grad)
    parameter.grad = room
