"""Other architectures by way of the libraries' own model code: what is trained and scored is their own loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from runoff.data import Batch
from runoff.engines.adapters.folders import write_mlx, write_peft
from runoff.errors import EngineError
from runoff.plan import LoraSpec
from tests.engines.support import batch_of, gradient_of, open_any, peft_nats, slope, spec_for, trained

torch = pytest.importorskip("torch")
pytest.importorskip("mlx_lm")

COMMON: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 259,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "bos_token_id": 256,
    "eos_token_id": 257,
    "initializer_range": 0.2,
}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": {"tie_word_embeddings": False},
    "qwen2": {},
    "qwen3": {"head_dim": 8},
    "gemma2": {"head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 64, "final_logit_softcapping": 2.0},
    "gemma3_text": {"head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 8, "sliding_window_pattern": 2},
    "granite": {"embedding_multiplier": 12.0, "logits_scaling": 8.0, "residual_multiplier": 0.22},
    "phi3": {},
    "mistral": {"head_dim": 8, "sliding_window": None},
    "smollm3": {},
}
"""gemma2: a low cap, so that forgetting it shows; a window wider than the rows, since mlx_lm knows none there."""


@pytest.fixture(scope="module", params=ARCHITECTURES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    torch.manual_seed(0)
    config = CONFIG_MAPPING[request.param](**COMMON, **ARCHITECTURES[request.param])
    place = tmp_path_factory.mktemp(request.param)
    AutoModelForCausalLM.from_config(config).float().save_pretrained(place)
    return place


def torch_nats(folder: Path, batch: Batch, weights: Path | None = None) -> npt.NDArray[np.float64]:
    """By transformers alone; with a full fine-tuning's weights put over the base's, as docs/adapters.md shows."""
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    if weights is not None:
        assert not model.load_state_dict(load_file(weights / "adapters.safetensors"), strict=False).unexpected_keys
    with torch.no_grad():
        logits = model(input_ids=torch.from_numpy(batch.ids).long()).logits
    rows, columns = np.nonzero(batch.targets)
    return -np.asarray(logits.double().log_softmax(-1).numpy()[rows, columns - 1, batch.ids[rows, columns]])


def mlx_nats(base: Any, batch: Batch) -> npt.NDArray[np.float64]:
    import mlx.core as mx
    from mlx import nn

    base.activate(None)
    nats = nn.losses.cross_entropy(base.model(mx.array(batch.ids[:, :-1])), mx.array(batch.ids[:, 1:]))
    return np.array(nats).astype(np.float64)[batch.targets[:, 1:]]


@pytest.mark.parametrize("name", ["torch", "mlx"])
def test_score_is_the_librarys_own_loss(name: str, folder: Path) -> None:
    base, batch = open_any(name, folder), batch_of(23, 31)
    expected = torch_nats(folder, batch) if name == "torch" else mlx_nats(base, batch)
    assert expected.std() > 0.1  # a model that says something, so that a wrong scale or cap would show
    np.testing.assert_allclose(np.concatenate(base.attach(None).score(batch)), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["torch", "mlx"])
def test_contract_in_short(name: str, folder: Path) -> None:
    base, batch = open_any(name, folder), batch_of(23, 31)
    bare = base.attach(None).score(batch)
    engine = base.attach(spec_for(folder))
    assert [row.tolist() for row in engine.score(batch)] == [row.tolist() for row in bare]
    parameters = trained(engine)
    nats, gradient = gradient_of(engine, batch)
    for steepest in np.argsort(np.abs(gradient))[-2:]:
        axis = (np.arange(len(gradient)) == steepest).astype(np.float32)
        assert slope(engine, batch, parameters, axis, 1e-2) == pytest.approx(gradient[steepest], rel=1e-2, abs=5e-3)

    uncached = open_any(name, folder)
    uncached.share_trunk(2, budget_bytes=0)
    unkept = uncached.attach(spec_for(folder))
    unkept.set_parameters(parameters)
    unkept_nats, unkept_gradient = gradient_of(unkept, batch)
    # Rows computed alone and in company may differ in the last bit, as the processor's products choose their blocking.
    assert unkept_nats == pytest.approx(nats, rel=1e-6)
    np.testing.assert_allclose(unkept_gradient, gradient, rtol=0, atol=1e-5 * np.abs(gradient).max())

    assert base.share_trunk(2, budget_bytes=10**8) == (
        "Trunk cache on: the 2 lowest of 4 blocks are computed once for each row."
    )
    for _ in range(2):
        again, same_gradient = gradient_of(engine, batch)
        assert again == unkept_nats
        assert np.array_equal(same_gradient, unkept_gradient)


@pytest.mark.parametrize("kind", ["lora", "dora", "full"])
@pytest.mark.parametrize("name", ["torch", "mlx"])
def test_update_lowers_the_loss_and_its_adapter_loads_in_the_library(
    name: str, kind: str, folder: Path, tmp_path: Path
) -> None:
    base, batch = open_any(name, folder), batch_of(23, 31)
    spec = spec_for(folder, kind=kind)
    engine = base.attach(spec)
    parameters = trained(engine)
    nats, gradient = gradient_of(engine, batch)
    engine.set_parameters(parameters - 0.3 / np.linalg.norm(gradient) * gradient)
    after = np.concatenate(engine.score(batch))
    assert after.sum() < nats - 0.01
    if name == "mlx":
        write_mlx(tmp_path, spec, engine.parameters(), str(folder), 4)
        theirs = adapted_mlx_nats(open_any(name, folder), tmp_path, batch)
    elif isinstance(spec, LoraSpec):
        write_peft(tmp_path, spec, engine.parameters(), str(folder))
        theirs = peft_nats(folder, tmp_path, batch)
    else:
        write_mlx(tmp_path, spec, engine.parameters(), str(folder), 4)
        theirs = torch_nats(folder, batch, tmp_path)
    np.testing.assert_allclose(after, theirs, rtol=0, atol=1e-4)


def adapted_mlx_nats(base: Any, adapter: Path, batch: Batch) -> npt.NDArray[np.float64]:
    from mlx_lm.tuner.utils import load_adapters

    load_adapters(base.model, str(adapter)).eval()
    return mlx_nats(base, batch)


def test_experts_that_transformers_fuses_are_refused_by_name(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, Qwen3MoeConfig

    config = Qwen3MoeConfig(**COMMON, head_dim=8, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16)
    AutoModelForCausalLM.from_config(config).float().save_pretrained(tmp_path)
    batch = batch_of(23, 31)
    base = open_any("torch", tmp_path)
    np.testing.assert_allclose(
        np.concatenate(base.attach(None).score(batch)), torch_nats(tmp_path, batch), rtol=0, atol=1e-4
    )
    with pytest.raises(EngineError, match=r"no layer mlp\.experts\.0\.\w+ in block 2 .* lora_parameters\.keys"):
        base.attach(spec_for(tmp_path))


def test_engines_agree(folder: Path) -> None:
    """mlx_lm rounds Gemma 3's embedding scale to bfloat16, transformers does not: 1e-4 of the states."""
    batch = batch_of(23, 31)
    results = {}
    for name in ("torch", "mlx"):
        engine = open_any(name, folder).attach(spec_for(folder))
        trained(engine)
        results[name] = gradient_of(engine, batch)
    (nats, gradient), (others, other_gradient) = results["torch"], results["mlx"]
    bound = 2e-3 if folder.name.startswith("gemma3") else 1e-4
    assert others == pytest.approx(nats, rel=bound)
    np.testing.assert_allclose(other_gradient, gradient, rtol=0, atol=bound * np.abs(gradient).max())
