"""What the engine tests share: bases of all engines, adapters, batches, and two ways to differentiate."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from runoff.data import Batch, Encoded, Fork, Forked, Row, make_batch
from runoff.engines import Base, Engine, Vector, open_base
from runoff.plan import AdapterSpec, FullSpec, LoraSpec, read_model_facts
from runoff.training.loop import initial_parameters
from tests.support.fake_engine import FakeBase

LIBRARIES = {"fake": (), "torch": ("torch", "transformers", "peft"), "mlx": ("mlx", "mlx_lm")}
ENGINES = tuple(LIBRARIES)
Floats = npt.NDArray[np.float64]


def open_any(engine: str, folder: Path, dtype: str = "float32") -> Base:
    """A base; the test is skipped if its library is not installed."""
    for library in LIBRARIES[engine]:
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed")
    return FakeBase() if engine == "fake" else open_base(folder, engine=engine, dtype=dtype)


def spec_for(folder: Path, *, lowest: int = 2, kind: str = "lora", dropout: float = 0.0, rank: int = 3) -> AdapterSpec:
    """An adapter on all linear layers from block `lowest` on, or these blocks whole."""
    if kind == "full":
        return FullSpec(tuple(tensor for tensor in read_model_facts(folder).block_tensors if tensor.block >= lowest))
    return lora_spec_for(folder, lowest=lowest, kind=kind, dropout=dropout, rank=rank)


def lora_spec_for(
    folder: Path, *, lowest: int = 2, kind: str = "lora", dropout: float = 0.0, rank: int = 3
) -> LoraSpec:
    """An adapter on all linear layers from block `lowest` on."""
    layers = tuple(layer for layer in read_model_facts(folder).linear_layers if layer.block >= lowest)
    return LoraSpec("dora" if kind == "dora" else "lora", rank, 2.0, dropout, layers)


def example(length: int, start: int, seed: int) -> Encoded:
    """Random ids, of which those from `start` on are targets."""
    ids = np.random.default_rng(seed).integers(1, 250, length).astype(np.int32)
    row = Row(seed, "text", (), f"row {seed}", None, None, f"{seed:064x}")
    return Encoded(row, ids, start, length, 0, prompt_is_prefix=True)


def batch_of(*lengths: int, seed: int = 0) -> Batch:
    """A batch of random rows whose last halves are targets."""
    return make_batch([example(length, length // 2, seed + index) for index, length in enumerate(lengths)])


def starting_alike(common: int, *lengths: int, first_target: int) -> Batch:
    """Random rows that begin with the same ids, and whose targets begin at `first_target`."""
    head = example(common, 0, 99).ids
    rows = [example(length, first_target, seed) for seed, length in enumerate(lengths)]
    return make_batch([replace(row, ids=np.concatenate([head, row.ids[common:]])) for row in rows])


def forked(length: int, seed: int, *forks: tuple[int, int, int]) -> Forked:
    """A row whose last half are targets, and forks: how many ids they share, where their targets start, own ids."""
    row, random = example(length, length // 2, seed), np.random.default_rng(seed + 1000)
    ids = [random.integers(1, 250, own).astype(np.int32) for _, _, own in forks]
    return Forked(row, tuple(Fork(at, tail, start) for (at, start, _), tail in zip(forks, ids, strict=True)))


def trained(engine: Engine, seed: int = 0) -> Vector:
    """Set and return parameters such as training leaves: no matrix zero, DoRA's magnitudes near the base's."""
    parameters = initial_parameters(engine.slots, engine.parameters(), seed)
    parameters += 0.03 * np.random.default_rng(seed).standard_normal(len(parameters)).astype(np.float32)
    engine.set_parameters(parameters)
    return parameters


def nats_of(engine: Engine, batch: Batch) -> float:
    """Summed nats of a batch, without dropout."""
    return math.fsum(np.concatenate(engine.score(batch)))


def gradient_of(engine: Engine, batch: Batch) -> tuple[float, Vector]:
    """Nats and gradient of one pass."""
    nats = engine.accumulate(batch)
    return nats, engine.take_gradient()


def slope(engine: Engine, batch: Batch, parameters: Vector, direction: Vector, size: float) -> float:
    """Central difference of the summed nats along a direction."""
    ends = []
    for sign in (1, -1):
        engine.set_parameters((parameters + sign * size * direction).astype(np.float32))
        ends.append(nats_of(engine, batch))
    engine.set_parameters(parameters)
    return (ends[0] - ends[1]) / (2 * size)


def peft_nats(folder: Path, adapter: Path, batch: Batch) -> Floats:
    """Nats of the targets under an adapter folder, by PEFT."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), adapter).eval()
    with torch.no_grad():
        logits = model(input_ids=torch.from_numpy(batch.ids).long()).logits
    return at_targets(logits.double().log_softmax(-1).numpy(), batch)


def at_targets(log_chances: npt.NDArray[np.generic], batch: Batch) -> Floats:
    """Nats of the targets from (rows, width, vocabulary) log probabilities."""
    rows, columns = np.nonzero(batch.targets)
    return -log_chances[rows, columns - 1, batch.ids[rows, columns]].astype(np.float64)
