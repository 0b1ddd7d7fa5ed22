"""An adapter folder that Runoff writes works as it is in PEFT and in mlx-lm, and computes the same everywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from runoff.data import Batch
from runoff.engines import Vector
from runoff.engines.adapters.folders import read_lora, write_mlx, write_peft
from runoff.plan import LoraSpec, layout, read_model_facts
from tests.engines.support import at_targets, batch_of, lora_spec_for, open_any, peft_nats, trained

pytest.importorskip("torch")
pytest.importorskip("mlx_lm")

Floats = npt.NDArray[np.float64]


@pytest.fixture(params=["lora", "dora"])
def spec(request: pytest.FixtureRequest, tiny: Path) -> LoraSpec:
    return lora_spec_for(tiny, kind=request.param)


@pytest.fixture
def parameters(spec: LoraSpec, tiny: Path) -> Vector:
    return trained(open_any("mlx", tiny).attach(spec))


@pytest.fixture
def expected(spec: LoraSpec, parameters: Vector, tiny: Path) -> Floats:
    """Nats by our torch engine, after a look at how far the adapter is from doing nothing."""
    engine = open_any("torch", tiny).attach(spec)
    bare = np.concatenate(engine.score(batch_of(17, 23)))
    engine.set_parameters(parameters)
    nats = np.concatenate(engine.score(batch_of(17, 23)))
    assert np.abs(nats - bare).max() > 0.05
    return nats


def mlx_nats(folder: Path, adapter: Path, batch: Batch) -> Floats:
    import mlx.core as mx
    from mlx_lm.tuner.utils import load_adapters
    from mlx_lm.utils import load_model

    model = load_adapters(load_model(folder)[0], str(adapter)).eval()
    logits = model(mx.array(batch.ids))
    return at_targets(np.array(logits - mx.logsumexp(logits, axis=-1, keepdims=True)), batch)


def test_peft_loads_it(tiny: Path, tmp_path: Path, spec: LoraSpec, parameters: Vector, expected: Floats) -> None:
    write_peft(tmp_path, spec, parameters, str(tiny))
    np.testing.assert_allclose(peft_nats(tiny, tmp_path, batch_of(17, 23)), expected, rtol=0, atol=1e-5)


def test_mlx_lm_loads_it(tiny: Path, tmp_path: Path, spec: LoraSpec, parameters: Vector, expected: Floats) -> None:
    write_mlx(tmp_path, spec, parameters, str(tiny), read_model_facts(tiny).blocks)
    np.testing.assert_allclose(mlx_nats(tiny, tmp_path, batch_of(17, 23)), expected, rtol=0, atol=1e-5)


def test_conversion_both_ways(tiny: Path, tmp_path: Path, spec: LoraSpec, parameters: Vector) -> None:
    """MLX to PEFT to MLX: to the bit, since only transposes are in between."""
    facts = read_model_facts(tiny)
    write_mlx(tmp_path / "mlx", spec, parameters, str(tiny), facts.blocks)
    first_spec, first = read_lora(tmp_path / "mlx", facts)
    write_peft(tmp_path / "peft", first_spec, first, str(tiny))
    second_spec, second = read_lora(tmp_path / "peft", facts)
    assert layout(second_spec) == layout(first_spec) == layout(spec)
    assert (second_spec.kind, second_spec.scale) == (spec.kind, spec.scale)
    assert np.array_equal(second, parameters)


def test_adapter_on_some_layers_only(tiny: Path, tmp_path: Path) -> None:
    """Formats that name keys and blocks apart also make the layers in between; those stay at zero."""
    whole = lora_spec_for(tiny, lowest=1)
    chosen = {(1, "self_attn.q_proj"), (3, "mlp.down_proj")}
    layers = tuple(layer for layer in whole.layers if (layer.block, layer.name) in chosen)
    spec = LoraSpec("lora", 3, 2.0, 0.0, layers)
    engine = open_any("torch", tiny).attach(spec)
    parameters = trained(engine)
    expected = np.concatenate(engine.score(batch_of(17, 23)))
    write_peft(tmp_path / "peft", spec, parameters, str(tiny))
    write_mlx(tmp_path / "mlx", spec, parameters, str(tiny), read_model_facts(tiny).blocks)
    np.testing.assert_allclose(peft_nats(tiny, tmp_path / "peft", batch_of(17, 23)), expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(mlx_nats(tiny, tmp_path / "mlx", batch_of(17, 23)), expected, rtol=0, atol=1e-5)
