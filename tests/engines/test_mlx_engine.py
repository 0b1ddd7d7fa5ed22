"""What only the MLX engine does: quantized bases, rotary settings, its notes, memory."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from runoff.engines import choose_engine, open_base
from runoff.engines.scoring import mean_loss
from runoff.errors import EngineError, ModelError
from runoff.evaluation import evaluate
from runoff.plan import LinearLayer, LoraSpec
from runoff.training import train
from tests.engines.support import batch_of, gradient_of, nats_of, slope, spec_for, trained
from tests.support.runs import make_config, make_data

pytest.importorskip("mlx_lm")


@pytest.fixture(params=[4, 8])
def quantized(request: pytest.FixtureRequest, tiny: Path, tmp_path: Path) -> Path:
    """The tiny model as mlx_lm.convert -q leaves it, embeddings included."""
    from mlx_lm import convert

    convert(str(tiny), str(tmp_path / "quantized"), quantize=True, q_group_size=32, q_bits=request.param)
    return tmp_path / "quantized"


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_quantized_base(quantized: Path, kind: str) -> None:
    base, batch = open_base(quantized, engine="mlx", dtype="float32"), batch_of(17, 23)
    bare = nats_of(base.attach(None), batch)
    engine = base.attach(spec_for(quantized, kind=kind))
    assert nats_of(engine, batch) == pytest.approx(bare, rel=1e-6)
    parameters = trained(engine)
    nats, gradient = gradient_of(engine, batch)
    assert nats == pytest.approx(nats_of(engine, batch), rel=1e-6)
    exact = np.zeros_like(gradient)
    for slot in engine.slots:
        exact[slot.start : slot.stop] = kind == "lora" or slot.part == "magnitude"
    within = gradient * exact
    norm = np.linalg.norm(within)
    assert slope(engine, batch, parameters, within / norm, 1e-2) == pytest.approx(norm, rel=2e-3)
    assert base.share_trunk(2, budget_bytes=10**8).startswith("Trunk cache on")
    again, same_gradient = gradient_of(engine, batch)
    assert again == nats
    assert np.array_equal(same_gradient, gradient)


def test_run_on_a_quantized_base(quantized: Path, tmp_path: Path) -> None:
    """Planned, trained, saved and evaluated like any other."""
    data = make_data(tmp_path / "data", train=12, valid=6)
    config = make_config(quantized, data, engine="mlx", dtype="float32", iters=24, grad_accumulation_steps=1)
    run = train(config, "short", root=tmp_path / "runs")
    losses = [row.nats_per_target_token or 9.0 for row in run.metrics if row.kind == "validation"]
    assert losses[-1] < losses[0] - 0.3
    (evaluation,) = evaluate([run], data / "valid.jsonl")
    assert mean_loss(evaluation.rows) == pytest.approx(min(losses[1:]), abs=2e-2)
    assert mean_loss(evaluation.base_rows) == pytest.approx(losses[0], abs=2e-2)


def test_quantized_base_on_torch_is_refused(quantized: Path) -> None:
    bits = json.loads((quantized / "config.json").read_text())["quantization"]["bits"]
    assert choose_engine("auto", quantized) == "mlx"
    with pytest.raises(EngineError, match=rf"MLX's own format \({bits} bits\).* Set engine: mlx, or name the model"):
        open_base(quantized, engine="torch", dtype="float32")


@pytest.mark.parametrize(
    ("engine", "says"), [("torch", "needs CUDA, and this machine has none"), ("mlx", "MLX can't read")]
)
def test_bitsandbytes_without_cuda_is_refused(
    engine: str, says: str, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    config = json.loads((tiny / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(EngineError, match=f"quantized by bitsandbytes, which {says}"):
        open_base(tmp_path, engine=engine, dtype="float32")


def test_rotary_base_is_read_where_transformers_5_writes_it(tiny: Path, tmp_path: Path) -> None:
    """mlx_lm 0.32 reads `rope_theta` alone, and would run another model without a word."""
    shutil.copytree(tiny, tmp_path / "old")
    config = json.loads((tiny / "config.json").read_text())
    config["rope_theta"] = 500.0
    (tmp_path / "old/config.json").write_text(json.dumps(config))
    shutil.copytree(tmp_path / "old", tmp_path / "new")
    config["rope_parameters"] = {"rope_theta": config.pop("rope_theta"), "rope_type": "default"}
    (tmp_path / "new/config.json").write_text(json.dumps(config))
    batch = batch_of(17, 23)
    old, new, other = (
        nats_of(open_base(folder, engine="mlx", dtype="float32").attach(None), batch)
        for folder in (tmp_path / "old", tmp_path / "new", tiny)
    )
    assert new == old
    assert new != other


def test_slow_blas_is_said_once_and_only_where_it_is(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Linux")

    class Process:
        """What the whole process sees, as ctypes.CDLL(None) shows it."""

    monkeypatch.setattr("ctypes.CDLL", lambda _name: Process())
    facts = open_base(tiny, engine="mlx", dtype="float32").facts
    if facts.device == "cpu":
        assert [note for note in facts.notes if "LD_PRELOAD" in note] == list(facts.notes) != []
    monkeypatch.setattr(Process, "cblas_sgemm", None, raising=False)
    assert open_base(tiny, engine="mlx", dtype="float32").facts.notes == ()


def test_openblas_in_its_place_is_seen(tiny: Path) -> None:
    library = next((name for name in ("libopenblas.so.0", "libopenblas.so") if loads(name)), None)
    if platform.system() != "Linux" or library is None:
        pytest.skip("no OpenBLAS on this machine")
    code = (
        "import pathlib, sys; from runoff.engines import choose_engine, open_base\n"
        "print(open_base(pathlib.Path(sys.argv[1]), engine='mlx').facts.notes)"
    )
    environment = os.environ | {"LD_PRELOAD": library, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tiny)],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    assert done.stdout.strip() == "()"


def loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def test_logits_never_stand_in_memory_whole() -> None:
    """4,096 rows of a vocabulary of 8,192 would be 134 MB, and as much again for their gradient."""
    import mlx.core as mx

    from runoff.engines.mlx.head import nats_and_gradient

    hidden, weight = mx.random.normal((4096, 16)), mx.random.normal((8192, 16))
    targets = mx.random.randint(0, 8192, (4096,))
    mx.eval(hidden, weight, targets)
    before = mx.get_active_memory()
    mx.reset_peak_memory()
    mx.eval(nats_and_gradient(hidden, lambda rows: rows @ weight.T, targets))
    assert mx.get_peak_memory() - before < 40e6


def test_model_that_mlx_lm_does_not_know(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path / "model")
    config = json.loads((tiny / "config.json").read_text()) | {"model_type": "abacus"}
    (tmp_path / "model/config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"mlx_lm can't load this model \(Model type abacus not supported\.\)"):
        open_base(tmp_path / "model", engine="mlx", dtype="float32")


def test_layer_that_mlx_lm_has_not(tiny: Path) -> None:
    layer = LinearLayer(2, "mlp.experts.0.up_proj", 32, 64)
    base = open_base(tiny, engine="mlx", dtype="float32")
    with pytest.raises(EngineError, match=r"no plain linear layer mlp\.experts\.0\.up_proj in block 2"):
        base.attach(LoraSpec("lora", 2, 1.0, 0.0, (layer,)))


def test_slow_blas_does_not_send_a_quantized_base_to_torch(
    quantized: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Bare:
        """A process in which no BLAS can be seen."""

    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: Bare())
    plain, rounded = (" ".join(open_base(folder, engine="mlx").facts.notes) for folder in (tiny, quantized))
    if plain:  # on a processor
        assert "Set engine: torch, or put OpenBLAS" in plain
        assert "engine: torch" not in rounded
        assert "Put OpenBLAS (apt install" in rounded
