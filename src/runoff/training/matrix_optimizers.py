"""The optimizers that look at a tensor as a whole: Adafactor and Muon, MLX's arithmetic in numpy.

Owns: what mlx/optimizers/optimizers.py does for each tensor, on views of the flat vector in mlx-lm's shapes (of an
adapter (in, rank) and (rank, out)): Muon's rate depends on which side is longer. Tests hold them equal to MLX's own.
Must not: know schedules (the rate comes in, Adafactor's relative one too) or engines.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from runoff.engines.base import Vector
from runoff.plan import Slot

__all__ = ["Adafactor", "Muon"]

Array = np.ndarray[Any, np.dtype[np.float32]]


@dataclass
class Adafactor:
    """Second moments as the product of a row and a column (Shazeer and Stern 2018)."""

    slots: tuple[Slot, ...]
    eps: tuple[float, float] = (1e-30, 1e-3)
    clip_threshold: float = 1.0
    decay_rate: float = -0.8
    beta_1: float | None = None
    weight_decay: float = 0.0
    scale_parameter: bool = True
    state: dict[str, Vector] = field(default_factory=dict)

    def update(self, parameters: Vector, gradient: Vector, rate: float, update: int) -> None:
        """Change the parameters in place. `update` counts from 1."""
        if not self.state:
            self._start(parameters)
        beta2 = 1 - update**self.decay_rate
        for slot, (rows, columns) in zip(self.slots, self._moments(), strict=True):
            parameter, slope = _as_mlx(parameters, slot), _as_mlx(gradient, slot)
            own = rate * max(self.eps[1], _rms(parameter)) if self.scale_parameter else rate
            change = slope / _root(np.square(slope) + np.float32(self.eps[0]), rows, columns, beta2)
            change *= own / max(1.0, _rms(change) / self.clip_threshold)
            if self.beta_1 is not None:
                moment = _as_mlx(self.state["m"], slot)
                moment *= self.beta_1
                moment += (1 - self.beta_1) * change
                change = moment
            parameter *= 1 - self.weight_decay * own
            parameter -= change

    def _start(self, parameters: Vector) -> None:
        shapes = [_mlx_shape(slot) for slot in self.slots]
        self.state["rows"] = np.zeros(sum(shape[0] for shape in shapes), np.float32)
        self.state["columns"] = np.zeros(sum(shape[1] for shape in shapes if len(shape) == 2), np.float32)
        if self.beta_1 is not None:
            self.state["m"] = np.zeros_like(parameters)

    def _moments(self) -> Iterator[tuple[Vector, Vector]]:
        """Each slot's part of the state; a vector has no columns."""
        row = column = 0
        for slot in self.slots:
            height, width = (*_mlx_shape(slot), 0)[:2]
            yield self.state["rows"][row : row + height], self.state["columns"][column : column + width]
            row, column = row + height, column + width


def _root(squares: Array, rows: Vector, columns: Vector, beta2: float) -> Array:
    """Move the moments on; the root of what they say of each weight."""
    rows *= beta2
    if squares.ndim == 1:
        rows += (1 - beta2) * squares
        return np.sqrt(rows)
    rows += (1 - beta2) * squares.mean(axis=1)
    columns *= beta2
    columns += (1 - beta2) * squares.mean(axis=0)
    root: Array = np.sqrt(rows / rows.mean())[:, None] * np.sqrt(columns)
    return root


@dataclass
class Muon:
    """Momentum made orthogonal by Newton-Schulz iterations (Jordan 2024); plain momentum for vectors."""

    slots: tuple[Slot, ...]
    momentum: float = 0.95
    weight_decay: float = 0.01
    nesterov: bool = True
    ns_steps: int = 5
    state: dict[str, Vector] = field(default_factory=dict)

    def update(self, parameters: Vector, gradient: Vector, rate: float, update: int) -> None:
        """Change the parameters in place."""
        if not self.state:
            self.state["v"] = np.zeros_like(parameters)
        gradient = gradient + self.weight_decay * parameters
        v = self.state["v"]
        v *= self.momentum
        v += (1 - self.momentum) * gradient
        moved = gradient * (1 - self.momentum) + v * self.momentum if self.nesterov else v
        for slot in self.slots:
            change, own = _as_mlx(moved, slot), rate
            if change.ndim == 2:
                own *= math.sqrt(max(1.0, change.shape[0] / change.shape[1]))
                change = _orthogonal(change, self.ns_steps)
            parameter = _as_mlx(parameters, slot)
            parameter -= own * change


def _orthogonal(matrix: Array, iterations: int) -> Array:
    """Singular values pulled towards 1, by the quintic of the paper's author."""
    a, b, c = np.float32(3.4445), np.float32(-4.7750), np.float32(2.0315)
    tall = matrix.shape[0] > matrix.shape[1]
    size = np.float32(np.linalg.norm(matrix) + 1e-7)
    x = (matrix.T if tall else matrix) / size
    for _ in range(iterations):
        square: Array = x @ x.T
        mixed: Array = b * square + c * (square @ square)
        x = a * x + mixed @ x
    return x.T if tall else x


def _as_mlx(flat: Vector, slot: Slot) -> Array:
    """A view of one tensor, in mlx-lm's shape."""
    view = flat[slot.start : slot.stop].reshape(slot.shape)
    return view.T if slot.transposed else view


def _mlx_shape(slot: Slot) -> tuple[int, ...]:
    return slot.shape[::-1] if slot.transposed else slot.shape


def _rms(array: Array) -> float:
    return float(np.sqrt(np.square(array).mean()))
