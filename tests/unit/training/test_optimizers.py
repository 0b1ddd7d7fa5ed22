"""The optimizers are MLX's own, to float32."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from runoff.config import Settings, parse_config
from runoff.training.optimizers import Adam, Sgd, clip_norm, make_optimizer

Array = np.ndarray[Any, np.dtype[np.float32]]


def run_both(name: str, arguments: dict[str, Any], rates: list[float]) -> tuple[Array, Array]:
    """20 updates of ours and of mlx.optimizers from the same start on the same gradients."""
    mx = pytest.importorskip("mlx.core")
    optimizers = pytest.importorskip("mlx.optimizers")
    random = np.random.Generator(np.random.PCG64(3))
    ours = random.standard_normal(50).astype(np.float32)
    gradients = [random.standard_normal(50).astype(np.float32) * 10.0 ** random.integers(-6, 2) for _ in rates]
    theirs = {"w": mx.array(ours)}
    kind = {"adam": optimizers.Adam, "adamw": optimizers.AdamW, "sgd": optimizers.SGD}[name]
    reference = kind(learning_rate=lambda step: mx.array(rates)[step], **arguments)
    config = parse_config(json.dumps({"optimizer": name, "optimizer_config": {name: arguments}}))
    optimizer = make_optimizer(config.settings, ())
    for update, (rate, gradient) in enumerate(zip(rates, gradients, strict=True), start=1):
        optimizer.update(ours, gradient.astype(np.float32), rate, update)
        theirs = reference.apply_gradients({"w": mx.array(gradient.astype(np.float32))}, theirs)
    return ours, np.array(theirs["w"])


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("adam", {}),
        ("adam", {"betas": [0.8, 0.95], "eps": 1e-3}),
        ("adam", {"bias_correction": True}),
        ("adamw", {}),
        ("adamw", {"weight_decay": 0.3, "bias_correction": True}),
        ("adamw", {"weight_decay": 0.0}),
        ("sgd", {}),
        ("sgd", {"weight_decay": 0.1}),
        ("sgd", {"momentum": 0.9}),
        ("sgd", {"momentum": 0.9, "dampening": 0.5, "weight_decay": 0.01}),
        ("sgd", {"momentum": 0.9, "nesterov": True}),
    ],
)
def test_twenty_updates_equal_mlx_own(name: str, arguments: dict[str, Any]) -> None:
    rates = [0.01 * (1 + update % 5) for update in range(20)]
    ours, theirs = run_both(name, arguments, rates)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)


def test_the_defaults_are_mlx_own() -> None:
    assert make_optimizer(Settings(), ()) == Adam(0.9, 0.999, 1e-8, 0.0, False)
    assert make_optimizer(Settings(optimizer="adamw"), ()) == Adam(0.9, 0.999, 1e-8, 0.01, False)
    assert make_optimizer(Settings(optimizer="sgd"), ()) == Sgd(0.0, 0.0, 0.0, False)


def test_the_gradient_that_comes_in_is_left_as_it_was() -> None:
    for optimizer in (Adam(weight_decay=0.1), Sgd(momentum=0.5, weight_decay=0.1)):
        parameters, gradient = np.ones(3, np.float32), np.ones(3, np.float32)
        optimizer.update(parameters, gradient, 0.1, 1)
        assert gradient.tolist() == [1, 1, 1]
        assert parameters.tolist() != [1, 1, 1]


def test_a_long_gradient_is_cut_to_the_limit_and_a_short_one_is_not() -> None:
    gradient = np.array([3.0, 4.0], np.float32)
    assert clip_norm(gradient, 10.0) == 5.0
    assert gradient.tolist() == [3.0, 4.0]
    assert clip_norm(gradient, None) == 5.0
    assert clip_norm(gradient, 1.0) == 5.0
    np.testing.assert_allclose(gradient, [0.6, 0.8], rtol=1e-6)


def test_the_norm_of_large_numbers_does_not_overflow() -> None:
    assert clip_norm(np.full(4, 1e30, np.float32), None) == pytest.approx(2e30)
