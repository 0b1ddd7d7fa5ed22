"""The optimizers, once for all engines: MLX's arithmetic in numpy on the flat vector of adapter parameters.

Owns: Adam, AdamW and SGD as mlx/optimizers/optimizers.py computes them (no bias correction unless asked for; decoupled
weight decay; 0.01 by default in AdamW), the choice of an optimizer, and gradient clipping. Tests hold them equal to
MLX's own. Must not: know schedules (the rate comes in) or engines. Adafactor and Muon: training/matrix_optimizers.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from runoff.config import Settings
from runoff.engines.base import Vector
from runoff.plan import Slot
from runoff.training.matrix_optimizers import Adafactor, Muon

__all__ = ["Adam", "Optimizer", "Sgd", "clip_norm", "make_optimizer"]

PART_NUMBERS = 1 << 20


@dataclass
class Adam:
    """Adam and, with weight decay, AdamW (Kingma and Ba 2015; Loshchilov and Hutter 2019)."""

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    bias_correction: bool = False
    state: dict[str, Vector] = field(default_factory=dict)

    def update(self, parameters: Vector, gradient: Vector, rate: float, update: int) -> None:
        """Change the parameters in place. `update` counts from 1."""
        if not self.state:
            self.state |= {"m": np.zeros_like(parameters), "v": np.zeros_like(parameters)}
        for part in _parts(parameters):
            self._update_part(part, parameters[part], gradient[part], rate, update)

    def _update_part(self, part: slice, parameters: Vector, gradient: Vector, rate: float, update: int) -> None:
        m, v = self.state["m"][part], self.state["v"][part]
        m *= self.beta1
        m += (1 - self.beta1) * gradient
        v *= self.beta2
        v += (1 - self.beta2) * np.square(gradient)
        parameters *= 1 - rate * self.weight_decay
        if self.bias_correction:
            c1 = rate / (1 - self.beta1**update)
            c2 = 1 / np.sqrt(1 - self.beta2**update)
            parameters -= c1 * m / (np.sqrt(v) * np.float32(c2) + self.eps)
        else:
            parameters -= rate * m / (np.sqrt(v) + self.eps)


@dataclass
class Sgd:
    """Stochastic gradient descent with momentum."""

    momentum: float = 0.0
    weight_decay: float = 0.0
    dampening: float = 0.0
    nesterov: bool = False
    state: dict[str, Vector] = field(default_factory=dict)

    def update(self, parameters: Vector, gradient: Vector, rate: float, update: int) -> None:
        """Change the parameters in place."""
        if self.weight_decay:
            gradient = gradient + self.weight_decay * parameters
        if self.momentum <= 0:
            parameters -= rate * gradient
            return
        if not self.state:
            self.state["v"] = np.zeros_like(parameters)
        v = self.state["v"]
        v *= self.momentum
        v += (1 - self.dampening) * gradient
        parameters -= rate * (gradient + self.momentum * v if self.nesterov else v)


Optimizer = Adam | Sgd | Adafactor | Muon


def make_optimizer(settings: Settings, slots: tuple[Slot, ...]) -> Optimizer:
    """The optimizer that the settings name, with MLX's defaults, for parameters laid out like this."""
    given: Mapping[str, Any] = settings.optimizer_config.get(settings.optimizer) or {}
    options = dict(given)
    if settings.optimizer == "sgd":
        return Sgd(**options)
    if settings.optimizer == "muon":
        return Muon(slots, **options)
    if settings.optimizer == "adafactor":
        of_the_rate = ("relative_step", "warmup_init")  # plan/schedule.py
        return Adafactor(slots, **{key: value for key, value in options.items() if key not in of_the_rate})
    beta1, beta2 = options.pop("betas", (0.9, 0.999))
    default_decay = 0.01 if settings.optimizer == "adamw" else 0.0
    return Adam(beta1, beta2, **{"weight_decay": default_decay, **options})


def _parts(vector: Vector) -> Iterator[slice]:
    """Pieces that whole blocks' weights are worked on in, so that what is in between takes no memory of their size."""
    return (slice(start, start + PART_NUMBERS) for start in range(0, len(vector), PART_NUMBERS))


def clip_norm(gradient: Vector, limit: float | None) -> float:
    """Scale the gradient in place to a norm of at most `limit`; returns its norm before."""
    squares = (np.square(gradient[part], dtype=np.float64).sum() for part in _parts(gradient))
    norm = float(np.sqrt(sum(squares, np.float64(0))))
    if limit is not None and norm > limit:
        gradient *= limit / norm
    return norm
