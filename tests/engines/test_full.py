"""Full fine-tuning, from YAML to evaluation: trained, resumed, kept, loaded by the libraries, imported, compared."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runoff.engines.adapters.conversion import convert_adapter
from runoff.engines.adapters.folders import read_adapter, read_lora, write_mlx
from runoff.errors import ConfigError, ModelError
from runoff.evaluation import evaluate
from runoff.importers import import_runs
from runoff.plan import FullSpec, read_header, read_model_facts
from runoff.runs import Run, load_run
from runoff.training import train
from tests.engines.support import batch_of, gradient_of, nats_of, open_any, spec_for, trained
from tests.support.runs import Killed, assert_same, killer, make_config, make_data, write_rows

pytest.importorskip("torch")
pytest.importorskip("mlx_lm")

QUESTION, ANSWER = "How long does it rest?", "an hour in the tin"


def full_config(tiny: Path, data: Path, **settings: Any) -> Any:
    return make_config(
        tiny, data, **{"fine_tune_type": "full", "lora_parameters": None, "learning_rate": 3e-4, **settings}
    )


@pytest.mark.parametrize("engine", ["torch", "mlx"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_killed_and_resumed_is_the_run_that_was_never_killed(
    engine: str, dtype: str, tiny: Path, tmp_path: Path
) -> None:
    """In bfloat16 the weights that are updated are still float32 ones."""
    data = make_data(tmp_path / "data")
    config = full_config(tiny, data, engine=engine, dtype=dtype, early_stopping={"patience": 9})
    whole = train(config, "whole", root=tmp_path / "runs")
    for event in (7, 14) if dtype == "float32" else (11,):
        name = f"killed-{event}"
        with pytest.raises(Killed):
            train(config, name, root=tmp_path / "runs", listen=killer(event))
        assert_same(train(config, name, root=tmp_path / "runs", resume=True), whole)
    stored = {info.dtype for info in read_header(whole.folder.adapter / "adapters.safetensors").values()}
    assert stored == {"F32" if dtype == "float32" else "BF16"}
    _, kept = read_adapter(whole.folder.adapter, read_model_facts(tiny))
    again = open_any(engine, tiny, dtype).attach(spec_for(tiny, kind="full"))
    again.set_parameters(kept)
    assert np.array_equal(again.parameters(), kept), "what was validated is not what was written"


def test_gradients_of_several_batches_add_up_in_float32_on_a_bfloat16_base(tiny: Path) -> None:
    """In bfloat16 every sum would lose what is 256 times smaller than it."""
    for name in ("torch", "mlx"):
        engine = open_any(name, tiny, "bfloat16").attach(spec_for(tiny, kind="full"))
        trained(engine)
        batch = batch_of(17, 23)
        engine.accumulate(batch)
        _, once = gradient_of(engine, batch)
        engine.accumulate(batch, 2.0**-10)
        engine.accumulate(batch)
        small = engine.take_gradient() - once / 2
        np.testing.assert_allclose(small, once / 2 * 2.0**-10, rtol=1e-3, atol=1e-6 * np.abs(once).max())


@pytest.mark.parametrize("name", ["torch", "mlx"])
def test_adapters_that_come_after_a_full_run_sit_on_the_base(name: str, tiny: Path) -> None:
    """Put on while the full run's blocks stand in the model, and a second full run copied then."""
    batch = batch_of(17, 23)
    expected = []
    for kind in ("lora", "full"):
        alone = open_any(name, tiny).attach(spec_for(tiny, kind=kind, lowest=1))
        trained(alone, seed=2)
        expected.append(gradient_of(alone, batch))
    base = open_any(name, tiny)
    bare = nats_of(base.attach(None), batch)
    first = base.attach(spec_for(tiny, kind="full"))
    trained(first)
    full = gradient_of(first, batch)
    for kind, (nats, gradient) in zip(("lora", "full"), expected, strict=True):
        gradient_of(first, batch)
        later = base.attach(spec_for(tiny, kind=kind, lowest=1))
        trained(later, seed=2)
        again, same_gradient = gradient_of(later, batch)
        assert again == nats
        assert np.array_equal(same_gradient, gradient)
    assert nats_of(base.attach(None), batch) == bare
    assert gradient_of(first, batch)[0] == full[0]


@pytest.fixture(scope="module")
def memorized(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Trained by torch until the model knows one answer by heart."""
    place = tmp_path_factory.mktemp("memorized")
    row = {"messages": [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": ANSWER}]}
    write_rows(place / "data/train.jsonl", [row] * 4)
    settings = {"engine": "torch", "dtype": "float32", "iters": 60, "grad_accumulation_steps": 1, "num_layers": 3}
    return train(
        full_config(tiny, place / "data", **settings, learning_rate=1e-3, steps_per_eval=60, save_every=60),
        "memory",
        root=place / "runs",
    )


def mlx_lm(monkeypatch: pytest.MonkeyPatch, command: str, *arguments: object) -> None:
    """One of mlx_lm's commands, in this process."""
    import importlib

    import mlx.core as mx

    monkeypatch.setattr("sys.argv", [f"mlx_lm.{command}", *map(str, arguments)])
    mx.disable_compile()  # on a CPU it calls a C++ compiler for each shape
    try:
        importlib.import_module(f"mlx_lm.{command}").main()
    finally:
        mx.enable_compile()


def test_mlx_lm_generates_and_fuses_what_torch_trained(
    tiny: Path, tmp_path: Path, memorized: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    adapter = memorized.folder.adapter
    options = ("--prompt", QUESTION, "--max-tokens", 40, "--temp", 0, "--verbose", "False")
    mlx_lm(monkeypatch, "generate", "--model", tiny, *options, "--adapter-path", adapter)
    assert capsys.readouterr().out.strip() == ANSWER
    mlx_lm(monkeypatch, "fuse", "--model", tiny, "--adapter-path", adapter, "--save-path", tmp_path / "fused")
    spec, parameters = read_adapter(adapter, read_model_facts(tiny))
    batch, base = batch_of(17, 23), open_any("torch", tiny)
    engine = base.attach(spec)
    engine.set_parameters(parameters)
    fused = open_any("mlx", tmp_path / "fused").attach(None)
    assert nats_of(fused, batch) == pytest.approx(nats_of(engine, batch), rel=1e-5)
    assert abs(nats_of(engine, batch) - nats_of(base.attach(None), batch)) > 1.0


def test_a_run_of_mlx_lm_is_imported_and_measured_beside_others(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, root = make_data(tmp_path / "data", train=12, valid=6), tmp_path / "runs"
    given = {"model": str(tiny), "data": str(data), "train": True, "fine_tune_type": "full", "num_layers": 2}
    given |= {"iters": 30, "batch_size": 2, "learning_rate": 3e-4, "mask_prompt": True, "save_every": 15}
    (tmp_path / "their.yaml").write_text(json.dumps(given))
    mlx_lm(monkeypatch, "lora", "-c", tmp_path / "their.yaml", "--adapter-path", tmp_path / "their")
    import_runs([tmp_path / "their"], name="their", root=root)
    run = load_run("their", root)
    settings, counts = run.plan.settings, run.plan.counts
    assert (settings["fine_tune_type"].value, settings["num_layers"].value) == ("full", 2)
    assert {settings[f"lora_parameters.{key}"].value for key in ("rank", "scale", "dropout")} == {None}
    assert counts["trainable_parameters"].value == spec_for(tiny, kind="full").trainable_parameters
    assert (counts["adapted_blocks"].value, counts["lowest_adapted_block"].value) == (2, 2)
    assert not {"scale", "alpha"} & counts.keys()
    assert [row.iteration for row in run.metrics if row.kind == "checkpoint"] == [15, 30]

    lora = train(make_config(tiny, data, engine="torch", dtype="float32"), "lora", root=root)
    ours = train(full_config(tiny, data, engine="torch", dtype="float32"), "ours", root=root)
    test = write_rows(tmp_path / "test.jsonl", [json.loads(line) for line in (data / "valid.jsonl").open()])
    measured = evaluate([lora, run, ours], test)
    assert [one.run for one in measured] == ["lora", "their", "ours"]
    for one in measured:
        nats, base_nats = (math.fsum(row.nats for row in rows) for rows in (one.rows, one.base_rows))
        assert nats < base_nats - 5.0


def test_a_quantized_base_is_refused(tiny: Path, tmp_path: Path) -> None:
    from mlx_lm import convert

    convert(str(tiny), str(tmp_path / "quantized"), quantize=True, q_group_size=32, q_bits=4)
    config = full_config(tmp_path / "quantized", make_data(tmp_path / "data"))
    with pytest.raises(ConfigError, match="there is no gradient for such weights"):
        train(config, "run", root=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_what_is_not_of_the_bases_blocks_is_refused_by_name(tiny: Path, tmp_path: Path) -> None:
    import safetensors.numpy

    facts, spec = read_model_facts(tiny), spec_for(tiny, kind="full")
    parameters = open_any("torch", tiny).attach(spec).parameters()
    write_mlx(tmp_path, spec, parameters, "base", facts.blocks)
    file = tmp_path / "adapters.safetensors"
    whole = safetensors.numpy.load_file(file)
    name = "model.layers.3.mlp.up_proj.weight"
    for changed, sentence in (
        ({"model.embed_tokens.weight": np.zeros((259, 32), np.float32)}, "model.embed_tokens.weight lies outside of"),
        ({name: np.zeros((64, 31), np.float32)}, "up_proj.weight of shape .64, 31., which tiny.* does not have"),
        ({"model.layers.9.mlp.up_proj.weight": whole[name]}, "It belongs to another base"),
        ({name: whole[name] * np.nan}, "holds nan or inf"),
    ):
        safetensors.numpy.save_file(whole | changed, file)
        with pytest.raises(ModelError, match=sentence):
            read_adapter(tmp_path, facts)
    safetensors.numpy.save_file({}, file)
    with pytest.raises(ModelError, match="holds no tensors"):
        read_adapter(tmp_path, facts)


def test_a_part_of_the_blocks_is_read_as_it_is(tiny: Path, tmp_path: Path) -> None:
    """Such as a training of the norms alone leaves: the rest stays the base's."""
    facts = read_model_facts(tiny)
    whole = spec_for(tiny, kind="full")
    assert isinstance(whole, FullSpec)
    norms = FullSpec(tuple(tensor for tensor in whole.tensors if tensor.name.endswith("norm.weight")))
    nats = []
    for name in ("torch", "mlx"):
        engine = open_any(name, tiny).attach(norms)
        parameters = trained(engine)
        write_mlx(tmp_path, norms, parameters, "base", facts.blocks)
        spec, read = read_adapter(tmp_path, facts)
        assert spec == norms
        assert np.array_equal(read, parameters)
        nats.append(gradient_of(engine, batch_of(17, 23))[0])
    assert nats[0] == pytest.approx(nats[1], rel=1e-6)


def test_conversion_says_that_there_is_none(tiny: Path, tmp_path: Path) -> None:
    facts, spec = read_model_facts(tiny), spec_for(tiny, kind="full")
    write_mlx(tmp_path / "run", spec, open_any("torch", tiny).attach(spec).parameters(), "base", facts.blocks)
    with pytest.raises(ModelError, match=r"whole weights .*PEFT has no such adapter"):
        convert_adapter(tmp_path / "run", tmp_path / "new", "peft", facts, "base")
    with pytest.raises(ModelError, match="transformers and mlx-lm load the file as it is"):
        read_lora(tmp_path / "run", facts)
    assert not (tmp_path / "new").exists()
