"""DoRA with dropout: each engine trains what its own library does, and the two libraries do two things."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.engines.support import open_any, spec_for, trained

DROPOUT, SCALE, PLACE = 0.4, 2.0, "self_attn.q_proj"
X = np.random.default_rng(3).standard_normal((7, 32)).astype(np.float32)


def layers(name: str, tiny: Path) -> tuple[Any, dict[str, np.ndarray[Any, Any]]]:
    """A layer in training as the engine put it in, and its tensors."""
    base = open_any(name, tiny)
    engine = base.attach(spec_for(tiny, kind="dora", dropout=DROPOUT))
    parameters = trained(engine)
    base.activate(engine)  # type: ignore[attr-defined]
    layer = dict(base.inner.named_modules())[f"layers.3.{PLACE}"]  # type: ignore[attr-defined]
    assert type(layer).__module__.split(".")[0] == {"torch": "peft", "mlx": "mlx_lm"}[name]
    layer.train()
    slots = [slot for slot in engine.slots if (slot.block, slot.module) == (3, PLACE)]
    return layer, {slot.part: parameters[slot.start : slot.stop].reshape(slot.shape) for slot in slots}


def factor_of(weight: np.ndarray[Any, Any], parts: dict[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """The magnitude over the norm; not 1, else the two formulas would be one."""
    norm = np.linalg.norm(weight + SCALE * parts["lora_b"] @ parts["lora_a"], axis=1)
    factor: np.ndarray[Any, Any] = parts["magnitude"] / norm
    assert np.abs(factor - 1).max() > 0.01
    return factor


def test_torch_trains_as_peft_does(tiny: Path) -> None:
    """W x + (f - 1) W d(x) + f s B A d(x)."""
    layer, parts = layers("torch", tiny)
    import torch

    torch.manual_seed(5)
    with torch.no_grad():
        found = layer(torch.from_numpy(X)).numpy()
        torch.manual_seed(5)
        dropped = torch.nn.functional.dropout(torch.from_numpy(X), DROPOUT).numpy()
    weight = layer.base_layer.weight.numpy()
    factor = factor_of(weight, parts)
    adapted = SCALE * dropped @ parts["lora_a"].T @ parts["lora_b"].T
    expected = X @ weight.T + (factor - 1) * (dropped @ weight.T) + factor * adapted
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_mlx_trains_as_mlx_lm_does(tiny: Path) -> None:
    """f (W x + s B A d(x))."""
    layer, parts = layers("mlx", tiny)
    import mlx.core as mx
    from mlx import nn

    mx.random.seed(5)
    found = np.array(layer(mx.array(X)))
    mx.random.seed(5)
    dropped = np.array(nn.Dropout(DROPOUT)(mx.array(X)))
    weight = np.array(layer.linear.weight)
    factor = factor_of(weight, parts)
    expected = factor * (X @ weight.T + SCALE * dropped @ parts["lora_a"].T @ parts["lora_b"].T)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
