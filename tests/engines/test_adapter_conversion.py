"""`runoff adapter convert`: the same logits before and after, each library running its own format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from runoff.cli.main import run
from runoff.engines.adapters.folders import write_mlx, write_peft
from runoff.plan import read_model_facts
from tests.engines.support import lora_spec_for, open_any, trained

torch = pytest.importorskip("torch")
pytest.importorskip("mlx_lm")

Logits = npt.NDArray[np.float32]
IDS = np.random.default_rng(5).integers(1, 250, (2, 19))

PEFT_ADAPTERS: dict[str, dict[str, Any]] = {
    "lora on all linear layers": {"target_modules": "all-linear"},
    "rsLoRA on the upper blocks": {"layers_to_transform": [2, 3], "use_rslora": True, "lora_dropout": 0.1},
    "ranks and alphas by pattern": {
        "target_modules": ["q_proj", "down_proj"],
        "rank_pattern": {"down_proj": 5, r"layers\.3\.self_attn\.q_proj": 2},
        "alpha_pattern": {r".*\.2\..*q_proj": 32, "down_proj": 3},
    },
    "rsLoRA with patterns": {
        "target_modules": ["v_proj", "up_proj"],
        "use_rslora": True,
        "rank_pattern": {"up_proj": 6},
        "alpha_pattern": {"v_proj": 2},
    },
    "single layers": {"target_modules": ["model.layers.1.mlp.up_proj", "model.layers.3.self_attn.o_proj"]},
    "dora": {"use_dora": True, "layers_to_transform": [1, 2, 3]},
    "dora with patterns": {
        "use_dora": True,
        "use_rslora": True,
        "target_modules": ["q_proj", "gate_proj"],
        "rank_pattern": {"gate_proj": 5},
        "alpha_pattern": {"q_proj": 3},
    },
}


def convert(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr("sys.argv", ["runoff", "adapter", "convert", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        run()
    if ended.value.code:
        raise SystemExit(ended.value.code)


def base_logits(folder: Path) -> Logits:
    from transformers import AutoModelForCausalLM

    return of_torch(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32))


def peft_logits(folder: Path, adapter: Path) -> Logits:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    return of_torch(
        PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), adapter)
    )


def of_torch(model: Any) -> Logits:
    with torch.no_grad():
        logits: Logits = model.eval()(input_ids=torch.from_numpy(IDS)).logits.numpy()
    return logits


def mlx_logits(folder: Path, adapter: Path) -> Logits:
    from mlx_lm.utils import load

    return of_mlx(load(str(folder), adapter_path=str(adapter))[0])


def of_mlx(model: Any) -> Logits:
    import mlx.core as mx

    return np.array(model(mx.array(IDS)))


@pytest.mark.parametrize("name", PEFT_ADAPTERS)
def test_from_peft(name: str, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    options = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj", "down_proj"]} | PEFT_ADAPTERS[name]
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32), LoraConfig(**options))
    for key, parameter in model.named_parameters():
        if "lora_" in key:  # magnitudes stay near the base's
            torch.nn.init.normal_(parameter, 0.0, 0.1) if "magnitude" not in key else parameter.data.mul_(1.1)
    model.save_pretrained(tmp_path / "peft")
    convert(monkeypatch, tmp_path / "peft", tmp_path / "mlx", "--to", "mlx", "--base", tiny)
    expected = of_torch(model)
    assert np.abs(expected - base_logits(tiny)).max() > 0.1
    np.testing.assert_allclose(mlx_logits(tiny, tmp_path / "mlx"), expected, rtol=0, atol=1e-5)
    convert(monkeypatch, tmp_path / "mlx", tmp_path / "again", "--to", "peft")  # the base it names
    np.testing.assert_allclose(peft_logits(tiny, tmp_path / "again"), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "blocks", "keys"),
    [
        ("lora", 2, None),
        ("lora", -1, ["self_attn.q_proj", "mlp.up_proj"]),
        ("dora", 3, ["self_attn.q_proj", "self_attn.v_proj"]),
        ("dora", 0, ["mlp.down_proj"]),
    ],
)
def test_from_mlx_lm(
    kind: str, blocks: int, keys: list[str] | None, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As mlx_lm.lora saves it: its own layers, its own settings, a numbered checkpoint beside the last one."""
    import mlx.core as mx
    from mlx.utils import tree_flatten, tree_map
    from mlx_lm.tuner.utils import linear_to_lora_layers
    from mlx_lm.utils import load_model

    mx.random.seed(2)
    model, _ = load_model(tiny)
    model.freeze()
    shape = {"rank": 3, "scale": 5.0, "dropout": 0.0} | ({"keys": keys} if keys else {})
    linear_to_lora_layers(model, blocks, shape, use_dora=kind == "dora")
    noisy = tree_map(lambda array: array * 1.1 + 0.05 * mx.random.normal(array.shape), model.trainable_parameters())
    model.update(noisy)
    place = tmp_path / "mlx"
    place.mkdir()
    mx.save_safetensors(str(place / "0000100_adapters.safetensors"), dict(tree_flatten(noisy)))
    mx.save_safetensors(str(place / "adapters.safetensors"), {name: 0 * array for name, array in tree_flatten(noisy)})
    config = {"model": str(tiny), "fine_tune_type": kind, "num_layers": blocks, "lora_parameters": shape, "iters": 100}
    (place / "adapter_config.json").write_text(json.dumps(config))
    convert(monkeypatch, place / "0000100_adapters.safetensors", tmp_path / "peft", "--to", "peft")
    expected = of_mlx(model)
    assert np.abs(expected - base_logits(tiny)).max() > 0.1
    np.testing.assert_allclose(peft_logits(tiny, tmp_path / "peft"), expected, rtol=0, atol=1e-5)
    convert(monkeypatch, tmp_path / "peft", tmp_path / "again", "--to", "mlx", "--base", tiny)
    np.testing.assert_allclose(mlx_logits(tiny, tmp_path / "again"), expected, rtol=0, atol=1e-5)


def test_refusals_end_with_2_and_leave_nothing(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*arguments: object) -> str:
        with pytest.raises(SystemExit) as ended:
            convert(monkeypatch, *arguments)
        assert ended.value.code == 2
        said = capsys.readouterr().err
        assert said.startswith("runoff: ")
        assert said.count("\n") == 1
        assert [path.name for path in tmp_path.iterdir() if path.name not in before] == []
        return said

    spec = lora_spec_for(tiny)
    parameters = trained(open_any("mlx", tiny).attach(spec))
    write_peft(tmp_path / "peft", spec, parameters, str(tiny))
    dora = lora_spec_for(tiny, kind="dora", dropout=0.1)
    write_mlx(tmp_path / "dora", dora, trained(open_any("mlx", tiny).attach(dora)), "", read_model_facts(tiny).blocks)
    (tmp_path / "taken").mkdir()
    path = tmp_path / "peft/adapter_config.json"
    config = json.loads(path.read_text())
    before = {path.name for path in tmp_path.iterdir()}

    assert "DoRA with dropout 0.1 can't be carried over" in refused(
        tmp_path / "dora", tmp_path / "out", "--to", "peft", "--base", tiny
    )
    assert "does not say which base it belongs to" in refused(tmp_path / "dora", tmp_path / "out", "--to", "peft")
    assert "exists already" in refused(tmp_path / "peft", tmp_path / "taken", "--to", "mlx")
    assert "there is no such adapter" in refused(tmp_path / "none", tmp_path / "out", "--to", "mlx")
    (tmp_path / "file").write_text("")
    before.add("file")
    assert "could not be written" in refused(tmp_path / "peft", tmp_path / "file/out", "--to", "mlx")
    path.write_text(json.dumps(config | {"modules_to_save": ["lm_head"]}))
    assert "modules_to_save (['lm_head']) can't be carried over" in refused(
        tmp_path / "peft", tmp_path / "out", "--to", "mlx"
    )
