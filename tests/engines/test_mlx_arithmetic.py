"""Our numpy optimizers and schedules against mlx.optimizers, which they are written after."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from runoff.config import LrSchedule, Settings
from runoff.engines import Vector
from runoff.plan import BlockTensor, FullSpec, LinearLayer, LoraSpec, layout, learning_rate
from runoff.training.optimizers import clip_norm, make_optimizer

pytest.importorskip("mlx_lm")

RATE = 3e-2


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("adam", {}),
        ("adam", {"bias_correction": True, "betas": [0.8, 0.95], "eps": 1e-6}),
        ("adamw", {}),
        ("adamw", {"weight_decay": 0.1, "bias_correction": True}),
        ("sgd", {}),
        ("sgd", {"momentum": 0.9, "weight_decay": 0.05}),
        ("sgd", {"momentum": 0.9, "nesterov": True}),
        ("sgd", {"momentum": 0.9, "dampening": 0.3}),
    ],
)
def test_optimizer_is_mlxs(name: str, options: dict[str, Any]) -> None:
    """Float32 over 50 updates: each rounds once or twice, by 6e-8 of the weight or of its change.

    MLX corrects bias in float32 as well: 1 - 0.999**t is off by up to 6e-8 / (0.001 t), half of which is the update's
    share, 3e-5 x RATE / t; that adds up to 4e-6 where ours, in float64, adds nothing.
    """
    import mlx.core as mx
    import mlx.optimizers as optim

    random = np.random.default_rng(0)
    ours = random.standard_normal(1000).astype(np.float32)
    theirs = {"w": mx.array(ours)}
    optimizer = make_optimizer(Settings(optimizer=name, optimizer_config={name: options}), ())
    reference = {"adam": optim.Adam, "adamw": optim.AdamW, "sgd": optim.SGD}[name](RATE, **options)
    for update in range(1, 51):
        gradient = (random.standard_normal(1000) * 10 ** random.uniform(-3, 1, 1000)).astype(np.float32)
        optimizer.update(ours, gradient.copy(), RATE, update)
        theirs = reference.apply_gradients({"w": mx.array(gradient)}, theirs)
        mx.eval(theirs)
    bound = 6e-6 if options.get("bias_correction") else 2e-6
    np.testing.assert_allclose(ours, np.array(theirs["w"]), rtol=bound, atol=bound)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("adafactor", {}),
        ("adafactor", {"warmup_init": True, "scale_parameter": False, "weight_decay": 0.1}),
        ("adafactor", {"relative_step": False, "beta_1": 0.9, "clip_threshold": 0.3}),
        ("adafactor", {"relative_step": False, "eps": [1e-8, 1e-2], "decay_rate": -0.5}),
        ("muon", {}),
        ("muon", {"momentum": 0.8, "weight_decay": 0.0, "nesterov": False, "ns_steps": 3}),
    ],
)
@pytest.mark.parametrize("kind", ["dora", "full"])
def test_optimizer_that_looks_at_whole_tensors_is_mlxs(name: str, options: dict[str, Any], kind: str) -> None:
    """On wide, narrow and square layers, 20 updates: adapters with DoRA's vectors, and whole weights with a norm's.

    Newton-Schulz enlarges rounding errors.
    """
    import mlx.core as mx
    import mlx.optimizers as optim

    shapes = [(0, 12, 40), (0, 40, 12), (1, 24, 24)]
    layers = tuple(LinearLayer(block, f"mlp.{into}_{out}", into, out) for block, into, out in shapes)
    whole = [
        BlockTensor(layer.block, f"{layer.name}.weight", (layer.out_features, layer.in_features)) for layer in layers
    ]
    slots = layout(
        LoraSpec("dora", 4, 1.0, 0.0, layers)
        if kind == "dora"
        else FullSpec((*whole, BlockTensor(1, "norm.weight", (24,))))
    )
    settings = Settings(optimizer=name, optimizer_config={name: options}, learning_rate=RATE)
    optimizer = make_optimizer(settings, slots)
    reference = {"adafactor": optim.Adafactor, "muon": optim.Muon}[name](RATE, **options)
    random = np.random.default_rng(0)
    ours = random.standard_normal(slots[-1].stop).astype(np.float32)
    start = ours.copy()

    def turned(array: Vector) -> Vector:
        return array.T if kind == "dora" else array

    def as_mlx(flat: Vector) -> dict[str, Any]:
        return {slot.name: mx.array(turned(flat[slot.start : slot.stop].reshape(slot.shape))) for slot in slots}

    theirs = as_mlx(ours)
    for update in range(1, 21):
        gradient = (random.standard_normal(len(ours)) * 10 ** random.uniform(-3, 1, len(ours))).astype(np.float32)
        optimizer.update(ours, gradient, learning_rate(settings, update - 1), update)
        theirs = reference.apply_gradients(as_mlx(gradient), theirs)
        mx.eval(theirs)
    flat = np.concatenate([turned(np.array(theirs[slot.name])).ravel() for slot in slots])
    assert np.abs(flat - start).max() > 1e-4
    np.testing.assert_allclose(ours, flat, rtol=1e-5, atol=1e-4 * np.abs(flat - start).max())


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("cosine_decay", [1e-3, 30]),
        ("cosine_decay", [1e-3, 30, 1e-5]),
        ("linear_schedule", [1e-3, 1e-5, 40]),
        ("exponential_decay", [1e-3, 0.9]),
        ("step_decay", [1e-3, 0.5, 7]),
    ],
)
@pytest.mark.parametrize("warmup", [0, 10])
def test_schedule_is_mlxs(name: Any, arguments: list[float], warmup: int) -> None:
    """MLX computes the rate in float32, we in float64."""
    import mlx.core as mx
    from mlx_lm.tuner.utils import build_schedule

    given = {"name": name, "arguments": arguments, "warmup": warmup, "warmup_init": 1e-7}
    settings = Settings(lr_schedule=LrSchedule(name=name, arguments=tuple(arguments), warmup=warmup, warmup_init=1e-7))
    theirs = build_schedule(given)
    for done in range(60):
        expected = float(theirs(mx.array(done)))
        assert learning_rate(settings, done) == pytest.approx(expected, rel=1e-5, abs=1e-10)


@pytest.mark.parametrize("limit", [0.5, 1000.0])
def test_clipping_is_mlxs(limit: float) -> None:
    """MLX adds 1e-6 to the norm that it divides by."""
    import mlx.core as mx
    import mlx.optimizers as optim

    gradient = np.random.default_rng(0).standard_normal(500).astype(np.float32)
    theirs, norm = optim.clip_grad_norm({"w": mx.array(gradient)}, limit)
    assert clip_norm(gradient, limit) == pytest.approx(float(norm), rel=1e-6)
    np.testing.assert_allclose(gradient, np.array(theirs["w"]), rtol=1e-6)
