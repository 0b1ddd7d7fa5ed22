"""The same numbers from MLX as from torch, and from Runoff's MLX engine as from mlx-lm itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runoff.config import Settings, load_config
from runoff.data import Batch, Encoded, make_batch
from runoff.engines import Engine, Vector
from runoff.engines.adapters.folders import write_mlx
from runoff.plan import learning_rate
from runoff.training import prepare, train
from runoff.training.loop import initial_parameters
from runoff.training.optimizers import make_optimizer
from tests.engines.support import batch_of, gradient_of, open_any, spec_for, trained
from tests.support.runs import make_config, make_data

pytest.importorskip("torch")
pytest.importorskip("mlx_lm")

SHAPE = {"rank": 4, "scale": 2.0, "dropout": 0.0}


@pytest.mark.parametrize("kind", ["lora", "dora", "full"])
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


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_both_engines_train_the_same_run(tiny: Path, tmp_path: Path, kind: str) -> None:
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
            fine_tune_type=kind,
            learning_rate=3e-3 if kind == "lora" else 3e-4,
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


REPORTS = 20
FILES: dict[str, dict[str, Any]] = {
    "as it comes": {"iters": 20, "steps_per_report": 1, "learning_rate": 3e-3, "lora_parameters": SHAPE},
    "accumulation, schedule and warm-up": {
        "iters": 40,
        "steps_per_report": 2,
        "grad_accumulation_steps": 2,
        "mask_prompt": True,
        "optimizer": "adamw",
        "optimizer_config": {"adamw": {"weight_decay": 0.1, "bias_correction": True}},
        "lr_schedule": {"name": "cosine_decay", "warmup": 4, "warmup_init": 1e-5, "arguments": [5e-3, 20, 1e-4]},
        "lora_parameters": SHAPE | {"keys": ["self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj"]},
    },
    "dora and momentum": {
        "iters": 60,
        "steps_per_report": 3,
        "grad_accumulation_steps": 3,
        "mask_prompt": True,
        "fine_tune_type": "dora",
        "optimizer": "sgd",
        "optimizer_config": {"sgd": {"momentum": 0.9, "nesterov": True}},
        "lr_schedule": {"name": "linear_schedule", "arguments": [0.1, 0.01, 15]},
        "lora_parameters": SHAPE,
    },
    "full": {"iters": 20, "steps_per_report": 1, "fine_tune_type": "full", "learning_rate": 1e-3},
    "full with accumulation and weight decay": {
        "iters": 40,
        "steps_per_report": 2,
        "grad_accumulation_steps": 2,
        "mask_prompt": True,
        "fine_tune_type": "full",
        "num_layers": -1,
        "optimizer": "adamw",
        "optimizer_config": {"adamw": {"weight_decay": 0.1}},
        "learning_rate": 5e-4,
    },
}


@pytest.mark.parametrize("name", FILES)
def test_first_losses_equal_mlx_lms_own(name: str, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One file, `mlx_lm.lora` and ours with each departure of docs/training.md switched back: 20 reported losses."""
    data = make_data(tmp_path / "data", train=12, valid=0)
    given = {"model": str(tiny), "data": str(data), "train": True, "batch_size": 2, "num_layers": 3, "seed": 7}
    given |= FILES[name] | {"val_batches": 0}
    path = tmp_path / "run.yaml"
    path.write_text(json.dumps(given))
    config = load_config(path)
    ready = prepare(config)
    engine = open_any("mlx", tiny).attach(ready.plan.adapter)
    start = initial_parameters(engine.slots, engine.parameters(), 0)
    write_mlx(tmp_path / "start", ready.plan.adapter, start, str(tiny), ready.plan.model.blocks)
    path.write_text(json.dumps(given | {"resume_adapter_file": str(tmp_path / "start/adapters.safetensors")}))

    theirs = train_with_mlx_lm(path, tmp_path / "adapters", monkeypatch)
    ours = train_with_our_engine(engine, start, config.settings, ready.data.train)
    assert len(theirs) == REPORTS
    assert max(theirs) - min(theirs) > 0.2
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)


def train_with_mlx_lm(path: Path, adapters: Path, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """`mlx_lm.lora -c path`, in this process, with a callback where it makes its own."""
    import mlx.core as mx
    from mlx_lm import lora

    callback = Losses()
    monkeypatch.setattr(lora, "get_reporting_callbacks", lambda *_arguments, **_options: callback)
    monkeypatch.setattr("sys.argv", ["mlx_lm.lora", "-c", str(path), "--adapter-path", str(adapters)])
    mx.disable_compile()  # on a CPU it calls a C++ compiler for each shape; the losses are the same to 1e-5 with it
    try:
        lora.main()
    finally:
        mx.enable_compile()
    return callback.losses


def train_with_our_engine(engine: Engine, start: Vector, settings: Settings, rows: Sequence[Encoded]) -> list[float]:
    """Our engine, rows, schedule and optimizer under mlx-lm's rules: its order, its targets, its averages."""
    parameters, optimizer = start.copy(), make_optimizer(settings, engine.slots)
    engine.set_parameters(parameters)
    losses: list[float] = []
    accumulation = settings.grad_accumulation_steps
    for iteration, batch in enumerate(mlx_lm_batches(rows, settings), start=1):
        nats = engine.accumulate(batch, 1 / batch.target_tokens / accumulation)
        losses.append(nats / batch.target_tokens)
        update, rest = divmod(iteration, accumulation)
        if rest == 0:
            optimizer.update(parameters, engine.take_gradient(), learning_rate(settings, update - 1), update)
            engine.set_parameters(parameters)
    return [float(window.mean()) for window in np.array(losses).reshape(-1, settings.steps_per_report)]


def mlx_lm_batches(rows: Sequence[Encoded], settings: Settings) -> Iterator[Batch]:
    """Chunks of the file's order, the same in every epoch; a target more, the pad behind each row."""
    random = np.random.RandomState(settings.seed)
    chunks = [rows[at : at + settings.batch_size] for at in range(0, len(rows), settings.batch_size)]
    order = [int(index) for _ in range(settings.iters) for index in random.permutation(len(chunks))]
    for index in order[: settings.iters]:
        padded = [
            replace(row, ids=np.append(row.ids, np.int32(0)), target_end=row.target_end + 1) for row in chunks[index]
        ]
        yield make_batch(padded)
