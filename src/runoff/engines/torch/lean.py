"""The lean pass: Llama-like decoder blocks, forward and backward, over packed rows.

Owns: the arithmetic of one block and the order of blocks. It replaces the library's code only where a self-test agrees
(recognized.py). What it saves: padding, autograd's bookkeeping and copies, products that read the same input
again, and everything that torch's own CPU attention costs. Must not: know adapters' layout, heads or batches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from runoff.engines.torch.attention import Kept, attend, attend_backward
from runoff.engines.torch.layers import Linears, Norm, Patch, gated, gated_backward

__all__ = ["Block", "Blocks", "HeadsKept", "Look", "PassKept", "Patches", "Rows"]

Patches = Mapping[str, Patch]
"""A block's patches by the part they belong to: inner, out, gate_up, down."""


Look = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Attention of another kind: from the heads of queries and keys and those of values, (tokens, heads, d) each, to
(tokens, heads x d)."""


class Rows(NamedTuple):
    """Where the rows lie in packed states, and how each position rotates a head: (tokens, 1, d) float32 each.

    sin: with its first half negated, for it meets a head whose halves are swapped. shared: how many of the first row's
    positions stand before those of each row, which are its own only from there on; empty where no row shares any.
    """

    spans: tuple[tuple[int, int], ...]
    cos: torch.Tensor
    sin: torch.Tensor
    shared: tuple[int, ...] = ()

    @classmethod
    def of(
        cls,
        lengths: Sequence[int] | npt.NDArray[np.int32],
        cos: torch.Tensor,
        sin: torch.Tensor,
        shared: tuple[int, ...] = (),
    ) -> Rows:
        """Rows with so many positions of their own, end to end. cos, sin: (positions, d) as the model has them."""
        stops = np.cumsum(lengths).tolist()
        spans = tuple(zip([0, *stops[:-1]], stops, strict=True))
        places = [
            slice(at, at + stop - start) for at, (start, stop) in zip(shared or [0] * len(spans), spans, strict=True)
        ]
        cos, sin = (torch.cat([part[place] for place in places]).unsqueeze(1) for part in (cos, sin))
        half = sin.shape[-1] // 2
        return cls(spans, cos, torch.cat([-sin[..., :half], sin[..., half:]], dim=-1), shared)


class HeadsKept(NamedTuple):
    """What the norm of the heads needs: (tokens, heads + kv heads, d) before it, and the inverse of their size."""

    x: torch.Tensor
    inverse: torch.Tensor


class _BlockKept(NamedTuple):
    """What a block's backward pass needs. What one cheap pass gives again (the gated unit) is not among it."""

    x: torch.Tensor
    x_inverse: torch.Tensor
    normed: torch.Tensor
    heads: HeadsKept | None
    attention: list[Kept | None]
    attended: torch.Tensor
    middle: torch.Tensor
    middle_inverse: torch.Tensor
    middle_normed: torch.Tensor
    gate_up: torch.Tensor
    lit: torch.Tensor
    patched: dict[str, tuple[torch.Tensor, ...]]


@dataclass(frozen=True)
class Block:
    """One decoder block: norm, attention, residual; norm, gated unit, residual.

    heads_norm: over the queries' and keys' heads together, weight (heads + kv heads, d), where the model has one.
    turned: whether positions rotate the heads (a few models leave it out in some blocks).
    """

    heads: int
    kv_heads: int
    width: int
    scaling: float
    turned: bool
    before: Norm
    inner: Linears
    heads_norm: Norm | None
    out: Linears
    between: Norm
    gate_up: Linears
    down: Linears

    @property
    def parts(self) -> dict[str, Linears]:
        """The linear layers."""
        return {"inner": self.inner, "out": self.out, "gate_up": self.gate_up, "down": self.down}

    def forward(
        self, x: torch.Tensor, rows: Rows, patches: Patches, *, keep: bool
    ) -> tuple[torch.Tensor, _BlockKept | None]:
        """States (tokens, d) after the block."""
        normed, x_inverse = self.before.forward(x)
        qkv, of_inner = self.inner.forward(normed, patches.get("inner"))
        attended, attention, heads = self._attend(qkv, rows, keep=keep)
        added, of_out = self.out.forward(attended, patches.get("out"))
        middle = added.add_(x)
        middle_normed, middle_inverse = self.between.forward(middle)
        gate_up, of_gate_up = self.gate_up.forward(middle_normed, patches.get("gate_up"))
        unit, lit = gated(gate_up)
        added, of_down = self.down.forward(unit, patches.get("down"))
        y = added.add_(middle)
        if not keep:
            return y, None
        patched = {"inner": of_inner, "out": of_out, "gate_up": of_gate_up, "down": of_down}
        return y, _BlockKept(
            x, x_inverse, normed, heads, attention, attended,
            middle, middle_inverse, middle_normed, gate_up, lit, patched,
        )  # fmt: skip

    def looking(self, x: torch.Tensor, rows: Rows, patches: Patches, look: Look) -> torch.Tensor:
        """`forward` with attention of another kind, and without a way back."""
        normed, _ = self.before.forward(x)
        qkv, _ = self.inner.forward(normed, patches.get("inner"))
        turned, values, _ = self.heads_of(qkv, rows)
        added, _ = self.out.forward(look(turned, values), patches.get("out"))
        middle = added.add_(x)
        normed, _ = self.between.forward(middle)
        gate_up, _ = self.gate_up.forward(normed, patches.get("gate_up"))
        unit, _ = gated(gate_up)
        added, _ = self.down.forward(unit, patches.get("down"))
        return added.add_(middle)

    def backward(
        self, kept: _BlockKept, rows: Rows, patches: Patches, gradient: torch.Tensor, *, onward: bool
    ) -> torch.Tensor:
        """Add up the patches' gradients; the gradient of the states before the block, if `onward`."""

        def through(part: str, x: torch.Tensor, of_y: torch.Tensor, *, onward: bool = True) -> torch.Tensor:
            return self.parts[part].backward(x, patches.get(part), kept.patched[part], of_y, onward=onward)

        of_unit = through("down", kept.lit * kept.gate_up.chunk(2, dim=1)[1], gradient)
        of_gate_up = gated_backward(kept.gate_up, kept.lit, of_unit)
        of_normed = through("gate_up", kept.middle_normed, of_gate_up)
        of_middle = self.between.backward(kept.middle, kept.middle_inverse, of_normed).add_(gradient).to(gradient.dtype)
        of_attended = through("out", kept.attended, of_middle)
        of_qkv = self._attend_backward(kept, rows, of_attended)
        of_normed = through("inner", kept.normed, of_qkv, onward=onward)
        if not onward:
            return of_normed
        return self.before.backward(kept.x, kept.x_inverse, of_normed).add_(of_middle).to(gradient.dtype)

    def _attend(
        self, qkv: torch.Tensor, rows: Rows, *, keep: bool
    ) -> tuple[torch.Tensor, list[Kept | None], HeadsKept | None]:
        turned, values, normed = self.heads_of(qkv, rows)
        attended = torch.empty(len(qkv), self.heads * self.width, dtype=qkv.dtype)
        kept = []
        for (start, stop), before in zip(rows.spans, rows.shared or [0] * len(rows.spans), strict=True):
            q = self.folded(turned[start:stop, : self.heads], self.scaling)
            k, v = (_of_row(states, before, start, stop) for states in (turned[:, self.heads :], values))
            found, of_row = attend(q, k, v, keep=keep, before=before)
            self.unfold(found, attended[start:stop])
            kept.append(of_row)
        return attended, kept, normed

    def heads_of(self, qkv: torch.Tensor, rows: Rows) -> tuple[torch.Tensor, torch.Tensor, HeadsKept | None]:
        """Queries' and keys' heads (tokens, heads + kv heads, d) float32, ready to meet, and the values' heads."""
        split = self.heads + self.kv_heads
        heads = qkv.view(len(qkv), -1, self.width)
        turning, normed = heads[:, :split], None
        if self.heads_norm is not None:
            before = turning
            turning, inverse = self.heads_norm.forward(before)
            normed = HeadsKept(before, inverse)
        return _turned(turning, rows) if self.turned else turning.float(), heads[:, split:], normed

    def _attend_backward(self, kept: _BlockKept, rows: Rows, gradient: torch.Tensor) -> torch.Tensor:
        split = self.heads + self.kv_heads
        found = gradient.new_empty(len(gradient), self.inner.weight.shape[0])
        of_heads = found.view(len(found), -1, self.width)
        wide = torch.empty(len(found), split + self.kv_heads, self.width)
        of_turned = wide[:, :split]
        for (start, stop), of_row in zip(rows.spans, kept.attention, strict=True):
            if of_row is None:  # pragma: no cover - only a pass that keeps nothing leaves these empty
                raise RuntimeError("a pass without gradient has no way back")
            of_q, of_keys_and_values = attend_backward(of_row, self.folded(gradient[start:stop]))
            torch.mul(self._unfolded(of_q), self.scaling, out=self._grouped(of_turned[start:stop, : self.heads]))
            shared, own = of_keys_and_values.transpose(0, 1).tensor_split([of_row.before])
            wide[start:stop, self.heads :] = own
            wide[: of_row.before, self.heads :].add_(shared)
        of_heads[:, split:] = wide[:, split:]
        of_turning = _turned_back(of_turned, rows) if self.turned else of_turned
        if self.heads_norm is not None and kept.heads is not None:
            of_turning = self.heads_norm.backward(*kept.heads, of_turning)
        of_heads[:, :split] = of_turning
        return found

    def _grouped(self, states: torch.Tensor) -> torch.Tensor:
        return states.view(len(states), self.kv_heads, -1, self.width)

    def folded(self, states: torch.Tensor, scaling: float = 1.0) -> torch.Tensor:
        """(tokens, heads, d) or (tokens, heads x d) to (kv heads, tokens x group, d), scaled on the way."""
        grouped = self._grouped(states).transpose(0, 1)
        folded = torch.mul(grouped, scaling, out=states.new_empty(grouped.shape))
        return folded.view(self.kv_heads, -1, self.width)

    def unfold(self, states: torch.Tensor, into: torch.Tensor) -> None:
        """Write what attention gave, (kv heads, tokens x group, d), as (tokens, heads x d)."""
        self._grouped(into).copy_(self._unfolded(states))

    def _unfolded(self, states: torch.Tensor) -> torch.Tensor:
        """The way back, as (tokens, kv heads, group, d)."""
        return states.view(self.kv_heads, -1, self.heads // self.kv_heads, self.width).transpose(0, 1)


def _of_row(states: torch.Tensor, before: int, start: int, stop: int) -> torch.Tensor:
    """Heads (heads, tokens, d) of a row, after those that it shares with the first row."""
    own = states[start:stop]
    return (torch.cat([states[:before], own]) if before else own).transpose(0, 1).contiguous()


def _turned(states: torch.Tensor, rows: Rows) -> torch.Tensor:
    """Heads (tokens, heads, d) in float32, each pair (i, i + d / 2) rotated."""
    states = states.float()
    return (states * rows.cos).addcmul_(_swapped(states), rows.sin)


def _turned_back(gradient: torch.Tensor, rows: Rows) -> torch.Tensor:
    """The gradient before the rotation: the same by the negative angle."""
    return (gradient * rows.cos).addcmul_(_swapped(gradient), rows.sin, value=-1)


def _swapped(states: torch.Tensor) -> torch.Tensor:
    first, second = states.chunk(2, dim=-1)
    return torch.cat([second, first], dim=-1)


class PassKept(NamedTuple):
    """What the way back through several blocks needs: each block's own, or only its input."""

    rows: Rows
    first: int
    blocks: list[_BlockKept | torch.Tensor]


@dataclass(frozen=True)
class Blocks:
    """All blocks of a model. turns: cosines and sines (positions, d) of that many positions, as the model has them."""

    blocks: tuple[Block, ...]
    turns: Callable[[int], tuple[torch.Tensor, torch.Tensor]]

    def rows(self, lengths: Sequence[int] | npt.NDArray[np.int32], shared: Sequence[int] = ()) -> Rows:
        """Rows of so many positions of their own, after so many of the first row's."""
        furthest = max(int(own) + before for own, before in zip(lengths, shared or [0] * len(lengths), strict=True))
        return Rows.of(lengths, *self.turns(furthest), tuple(shared) if any(shared) else ())

    def forward(self, x: torch.Tensor, rows: Rows, span: range, patches: Mapping[int, Patches]) -> torch.Tensor:
        """States (tokens, d) after the blocks of `span`."""
        for index in span:
            x, _ = self.blocks[index].forward(x, rows, patches.get(index, {}), keep=False)
        return x

    def forward_kept(
        self, x: torch.Tensor, rows: Rows, first: int, patches: Mapping[int, Patches], *, recompute: bool
    ) -> tuple[torch.Tensor, PassKept]:
        """The same from block `first` to the last, with what the way back needs; its inputs alone if `recompute`."""
        kept: list[_BlockKept | torch.Tensor] = []
        for index in range(first, len(self.blocks)):
            y, of_block = self.blocks[index].forward(x, rows, patches.get(index, {}), keep=not recompute)
            kept.append(x if of_block is None else of_block)
            x = y
        return x, PassKept(rows, first, kept)

    def backward(self, kept: PassKept, patches: Mapping[int, Patches], gradient: torch.Tensor) -> None:
        """Add up the patches' gradients, from the last block down; what was kept is let go on the way."""
        for index in reversed(range(kept.first, len(self.blocks))):
            block, of_block, mine = self.blocks[index], kept.blocks.pop(), patches.get(index, {})
            if isinstance(of_block, torch.Tensor):
                _, anew = block.forward(of_block, kept.rows, mine, keep=True)
                if anew is None:  # pragma: no cover - it was asked to keep
                    raise RuntimeError("a block kept nothing")
                of_block = anew
            gradient = block.backward(of_block, kept.rows, mine, gradient, onward=index > kept.first)
