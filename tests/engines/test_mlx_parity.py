"""The same numbers from MLX as from torch, and from Runoff's MLX engine as from mlx-lm itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runoff.data import Batch
from runoff.engines import Engine, Vector
from runoff.plan import AdapterSpec, layout
from runoff.training import train
from runoff.training.loop import initial_parameters
from runoff.training.optimizers import Adam
from tests.engines.support import batch_of, gradient_of, open_any, spec_for, trained
from tests.support.runs import make_config, make_data

pytest.importorskip("torch")
mlx_lm = pytest.importorskip("mlx_lm")

RATE, UPDATES, ACCUMULATION = 3e-3, 10, 2


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_gradients_of_both_engines_are_equal(tiny: Path, kind: str) -> None:
    """Float32, other orders of summing: 1e-5 of the largest."""
    results = []
    for name in ("torch", "mlx"):
        engine = open_any(name, tiny).attach(spec_for(tiny, kind=kind))
        trained(engine)
        results.append(gradient_of(engine, batch_of(17, 23)))
    (nats, gradient), (others, other_gradient) = results
    assert others == pytest.approx(nats, rel=1e-6)
    np.testing.assert_allclose(other_gradient, gradient, rtol=0, atol=1e-5 * np.abs(gradient).max())


def test_both_engines_train_the_same_run(tiny: Path, tmp_path: Path) -> None:
    data = make_data(tmp_path / "data", train=24, valid=6)
    losses: dict[str, list[tuple[str, int | None, float]]] = {}
    for name in ("torch", "mlx"):
        config = make_config(
            tiny,
            data,
            engine=name,
            dtype="float32",
            iters=50,
            grad_accumulation_steps=1,
            learning_rate=3e-3,
            steps_per_report=1,
            steps_per_eval=10,
            lora_parameters={"rank": 2, "scale": 2.0, "dropout": 0.0},
        )
        run = train(config, name, root=tmp_path / "runs")
        rows = [row for row in run.metrics if row.nats_per_target_token is not None]
        losses[name] = [(row.kind, row.iteration, row.nats_per_target_token or 0.0) for row in rows]
    first, second = losses["torch"], losses["mlx"]
    assert [row[:2] for row in first] == [row[:2] for row in second]
    trained_losses = [loss for kind, _, loss in first if kind == "train"]
    assert len(trained_losses) == 50
    assert trained_losses[-1] < trained_losses[0] - 0.5
    np.testing.assert_allclose([row[2] for row in second], [row[2] for row in first], rtol=0, atol=1e-3)


class Losses:
    """A training callback of mlx-lm's that keeps what is reported."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_loss_report(self, info: dict[str, Any]) -> None:
        self.losses.append(info["train_loss"])

    def on_val_loss_report(self, info: dict[str, Any]) -> None:
        raise AssertionError("there is no validation set")


def rows_of_ids() -> list[tuple[list[int], int]]:
    """(ids, length of the prompt) as mlx-lm's datasets give them."""
    random = np.random.default_rng(0)
    lengths = random.integers(8, 60, 24).tolist()
    return [(random.integers(1, 250, length).tolist(), length // 3) for length in lengths]


def test_first_losses_equal_mlx_lms_own(tiny: Path, tmp_path: Path) -> None:
    """Design section 6, each departure switched back: pad target, mean of micro-batch means, order, batches.

    Over 20 micro-batches (10 updates of 2) and with AdamW's steps of about the learning rate whatever the gradient.
    """
    spec = spec_for(tiny, rank=4)
    start = initial_parameters(layout(spec), np.zeros(spec.trainable_parameters, np.float32), 0)
    theirs = train_with_mlx_lm(tiny, tmp_path, spec, start)
    ours = train_with_our_engine(open_any("mlx", tiny).attach(spec), start)
    assert len(theirs) == 20
    assert np.ptp(theirs) > 0.1
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)


def train_with_mlx_lm(folder: Path, tmp_path: Path, spec: AdapterSpec, start: Vector) -> list[float]:
    import mlx.core as mx
    import mlx.optimizers as optim
    from mlx_lm.tuner.trainer import TrainingArgs
    from mlx_lm.tuner.trainer import train as train_theirs
    from mlx_lm.tuner.utils import linear_to_lora_layers
    from mlx_lm.utils import load_model

    model, _ = load_model(folder)
    model.freeze()
    shape = {"rank": spec.rank, "scale": spec.scale, "dropout": spec.dropout, "keys": set(spec.keys)}
    linear_to_lora_layers(model, len(spec.blocks), shape)
    model.load_weights(list(mlx_weights(spec, start)), strict=False)
    callback = Losses()
    arguments = TrainingArgs(
        batch_size=2,
        iters=UPDATES * ACCUMULATION,
        steps_per_report=1,
        grad_accumulation_steps=ACCUMULATION,
        adapter_file=tmp_path / "adapters.safetensors",
    )
    np.random.seed(7)  # the generator that mlx-lm shuffles with
    mx.disable_compile()  # on a CPU it calls a C++ compiler for each shape; the losses are the same to 1e-5 with it
    try:
        optimizer = optim.AdamW(learning_rate=RATE)
        train_theirs(model, optimizer, rows_of_ids(), None, args=arguments, training_callback=callback)
    finally:
        mx.enable_compile()
    return callback.losses


def mlx_weights(spec: AdapterSpec, flat: Vector) -> Iterator[tuple[str, Any]]:
    import mlx.core as mx

    for slot in layout(spec):
        array = flat[slot.start : slot.stop].reshape(slot.shape)
        yield f"model.layers.{slot.layer.block}.{slot.layer.name}.{slot.part}", mx.array(array.T)


def train_with_our_engine(engine: Engine, start: Vector) -> list[float]:
    """Our engine and optimizer under mlx-lm's rules: its batches, its targets, its averages."""
    parameters, optimizer = start.copy(), Adam(weight_decay=0.01)
    engine.set_parameters(parameters)
    losses = []
    for iteration, batch in enumerate(mlx_lm_batches(UPDATES * ACCUMULATION), start=1):
        nats = engine.accumulate(batch, 1 / batch.target_tokens / ACCUMULATION)
        losses.append(nats / batch.target_tokens)
        if iteration % ACCUMULATION == 0:
            optimizer.update(parameters, engine.take_gradient(), RATE, iteration // ACCUMULATION)
            engine.set_parameters(parameters)
    return losses


def mlx_lm_batches(count: int) -> Iterator[Batch]:
    """Its own batches; a target is every id from the prompt's end to one past the row's, the pad that it counts too."""
    from mlx_lm.tuner.trainer import iterate_batches

    np.random.seed(7)
    batches = iterate_batches(rows_of_ids(), batch_size=2, max_seq_length=2048, loop=True)
    for _, (padded, spans) in zip(range(count), batches, strict=False):
        ids, span = np.array(padded), np.array(spans)
        columns = np.arange(ids.shape[1])
        targets = (columns >= np.maximum(span[:, :1], 1)) & (columns <= span[:, 1:])
        yield Batch((), ids, span[:, 1], targets)
