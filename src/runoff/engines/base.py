"""What the training loop and the evaluation ask of a tensor library.

Owns: the Protocols. An engine does forward and backward passes and nothing else: order, padding, targets, averaging,
learning rates, optimizers, checkpoints and files exist once, above, in plain Python and numpy. Adapter parameters cross
the border as one flat float32 vector (`runoff.plan.layout`): a few megabytes, so that the optimizer, the resumable
state and the initial adapter are the same to the bit whatever computes the gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from runoff.data import Batch, Forked
from runoff.engines.forked import RowScore
from runoff.engines.generation import Decoder
from runoff.plan import AdapterSpec, Slot

__all__ = ["Base", "Engine", "EngineFacts", "Vector"]

Vector = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What computes: for the record, and to tell why two runs may differ.

    code: whose code computes the blocks, where there is a choice: empty for the library's, `lean` for Runoff's own.
    """

    name: str
    device: str
    dtype: str
    versions: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    code: str = ""

    @property
    def trunk_name(self) -> str:
        """For kept states, which another code would give other last bits."""
        return f"{self.name}-{self.code}" if self.code else self.name


class Engine(Protocol):
    """A base model with one adapter (or none: the bare base, which only scores)."""

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The adapter's tensors in the flat vector's order; empty for the bare base."""

    def parameters(self) -> Vector:
        """The adapter as a flat vector (a copy)."""

    def set_parameters(self, parameters: Vector) -> None:
        """Load the adapter from the flat vector."""

    def accumulate(self, batch: Batch, weight: float = 1.0) -> float:
        """Forward and backward with dropout; adds `weight` x the gradient of the summed nats. Returns the nats."""

    def take_gradient(self) -> Vector:
        """The gradient accumulated since the last call, as a flat vector; starts again at 0."""

    def add_gradient(self, gradient: Vector) -> None:
        """Put back a gradient that was taken (a checkpoint between two updates)."""

    def score(self, batch: Batch) -> list[npt.NDArray[np.float64]]:
        """Without dropout or gradient: for each row the nats of its target tokens, in order."""

    def score_alone(self, forked: Forked) -> RowScore:
        """The same of one row and its forks, in a pass with nothing else: what is shared is computed once if it can."""

    def log_chances(self, batch: Batch) -> list[npt.NDArray[np.float32]]:
        """Without dropout or gradient: for each row the log of every token's chance at its targets, (targets, all)."""

    def decoder(self, prompts: Sequence[npt.NDArray[np.int32]]) -> Decoder:
        """Start to continue these prompts, without dropout."""

    def random_state(self) -> bytes:
        """The dropout's random state."""

    def set_random_state(self, state: bytes) -> None:
        """Go on from a random state."""


class Base(Protocol):
    """A base model in memory; any number of adapters can sit on it."""

    @property
    def facts(self) -> EngineFacts:
        """What computes."""

    def attach(self, spec: AdapterSpec | None, *, seed: int = 0, checkpointing: bool = False) -> Engine:
        """An engine on this base with an adapter of this shape (all zero until set), or the bare base."""

    def share_trunk(self, lowest_block: int, *, budget_bytes: int, folder: Path | None = None) -> str:
        """Split below a block from now on: each row's states there are computed by themselves, and kept up to a budget.

        Kept in memory, or in a folder's files. With a budget of 0 nothing is kept, and nothing else changes, to the
        bit. Returns a sentence: kept, or why the model is not split.
        """

    def peak_memory_bytes(self) -> int | None:
        """The most memory in use at once so far, where it can be known."""


class OpenBase(Protocol):
    """Loads a model folder."""

    def __call__(self, folder: Path, *, dtype: str) -> Base:
        """dtype: auto, float32 or bfloat16."""
