"""Everything a run needs to go on to the bit: one safetensors file, whole or absent.

Owns: what is in a checkpoint and in a snapshot. Must not: decide when to save.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from runoff.engines.adapters.tensor_files import write_tensors
from runoff.engines.base import Vector
from runoff.errors import RunError

__all__ = ["Checkpoint", "Progress", "load_checkpoint", "load_snapshot", "save_checkpoint", "save_snapshot"]


@dataclass
class Progress:
    """The loop's counters. Sums since the last report are kept so that a resumed report is the same report.

    pending_*: since the last update. recent_*: of the last good updates. alarms: the codes of those raised.
    best_*: the lowest validation loss. gain_*: the last one that was an improvement in the sense of early stopping.
    """

    iteration: int = 0
    optimizer_updates: int = 0
    target_tokens: int = 0
    seconds: float = 0.0
    pending_target_tokens: int = 0
    pending_batches: int = 0
    pending_nats: float = 0.0
    pending_rows: list[int] = field(default_factory=list)
    window_nats: float = 0.0
    window_target_tokens: int = 0
    window_seconds: float = 0.0
    gradient_norm: float | None = None
    recent_losses: list[float] = field(default_factory=list)
    recent_norms: list[float] = field(default_factory=list)
    updates_left_out: int = 0
    left_out_in_a_row: int = 0
    alarms: list[str] = field(default_factory=list)
    best_loss: float | None = None
    best_iteration: int | None = None
    gain_loss: float | None = None
    gain_iteration: int | None = None
    validations_without_gain: int = 0
    metrics_bytes: int = 0


@dataclass(frozen=True)
class Checkpoint:
    """A resumable state. `gradient` and `best` (the best validated adapter) are empty where there is none."""

    progress: Progress
    parameters: Vector
    optimizer: dict[str, Vector]
    gradient: Vector
    best: Vector
    random_state: bytes


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write the resumable state.

    Raises:
        RunError: the disk is full or the folder is not writable; the previous checkpoint stays good.
    """
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "parameters": checkpoint.parameters,
        "gradient": checkpoint.gradient,
        "best": checkpoint.best,
        "random_state": np.frombuffer(checkpoint.random_state, dtype=np.uint8),
        **{f"optimizer.{name}": value for name, value in checkpoint.optimizer.items()},
    }
    metadata = {"progress": json.dumps(asdict(checkpoint.progress))}
    write_tensors(path, arrays, metadata=metadata)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a resumable state.

    Raises:
        RunError: there is none, or it is not one of ours.
    """
    arrays, metadata = _read(path)
    try:
        known = {each.name for each in fields(Progress)}
        progress = {key: value for key, value in json.loads(metadata["progress"]).items() if key in known}
        return Checkpoint(
            progress=Progress(**progress),
            parameters=arrays["parameters"],
            optimizer={
                name.removeprefix("optimizer."): array
                for name, array in arrays.items()
                if name.startswith("optimizer.")
            },
            gradient=arrays["gradient"],
            best=arrays["best"],
            random_state=arrays["random_state"].tobytes(),
        )
    except (KeyError, ValueError, AttributeError) as error:
        raise RunError(
            f"{path}: is not a checkpoint of this Runoff ({error}). Train from the start with --overwrite."
        ) from None


def save_snapshot(path: Path, parameters: Vector, iteration: int, names: Sequence[str]) -> None:
    """Write an adapter's parameters alone."""
    metadata = {"iteration": str(iteration), "layout": json.dumps(list(names))}
    write_tensors(path, {"parameters": parameters}, metadata=metadata)


def load_snapshot(path: Path) -> Vector:
    """Read an adapter's parameters."""
    arrays, _ = _read(path)
    if "parameters" not in arrays:
        raise RunError(f"{path}: is not a snapshot of Runoff's (it has no parameters). Use another one.")
    parameters: Vector = arrays["parameters"]
    return parameters


def _read(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except FileNotFoundError:
        raise RunError(
            f"{path}: there is no checkpoint to go on from. Train from the start with --overwrite."
        ) from None
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path}: can't be read ({error}). Train from the start with --overwrite.") from None
