"""The lean pass against the libraries' own code: the same loss and gradient, and refused where it is not the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runoff.data import Batch, make_batch
from runoff.models import get_model
from tests.engines.support import (
    batch_of,
    example,
    gradient_of,
    lora_spec_for,
    nats_of,
    spec_for,
    starting_alike,
    trained,
)
from tests.engines.test_architectures import ARCHITECTURES, COMMON

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from runoff.engines.torch.engine import TorchBase, TorchEngine  # noqa: E402
from runoff.engines.torch.loading import open_torch  # noqa: E402
from runoff.engines.torch.recognized import BOUND, Unrecognized, recognize  # noqa: E402

LOUDER = 1 + 10 * BOUND
LEAN = ("llama", "qwen2", "qwen3", "mistral", "smollm3")


def made(name: str, folder: Path, **settings: Any) -> Path:
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIG_MAPPING[name](**COMMON | ARCHITECTURES[name] | settings)).float()
    for key, parameter in model.named_parameters():  # a fresh model's biases are 0 and its norms 1: forgetting them
        if key.endswith("bias") or "norm" in key:  # would not show
            parameter.data += 0.3 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=LEAN)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(request.param, tmp_path_factory.mktemp(request.param))


def both(folder: Path, dtype: str = "float32", **spec: Any) -> tuple[TorchEngine, TorchEngine]:
    """Equal adapters, on the lean pass and on the libraries' own code."""
    engines = []
    for lean in (True, False):
        base = open_torch(folder, dtype=dtype, lean=lean)
        assert (base.lean is not None) == lean
        engine = base.attach(spec_for(folder, **spec), seed=3)
        trained(engine)
        engines.append(engine)
    return engines[0], engines[1]


def agree(lean: TorchEngine, own: TorchEngine, batch: Batch) -> None:
    """The same loss, gradient and score of each target."""
    nats, gradient = gradient_of(lean, batch)
    expected, expected_gradient = gradient_of(own, batch)
    assert nats == pytest.approx(expected, rel=1e-5)
    assert np.linalg.norm(gradient - expected_gradient) <= 1e-4 * np.linalg.norm(expected_gradient)
    for found, wanted in zip(lean.score(batch), own.score(batch), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-4)


@pytest.mark.parametrize("kind", ["lora", "dora"])
@pytest.mark.parametrize("lowest", [0, 2])
def test_loss_and_gradient_are_the_libraries_own(folder: Path, kind: str, lowest: int) -> None:
    lean, own = both(folder, kind=kind, lowest=lowest)
    batch = batch_of(23, 150, 2, 31)
    agree(lean, own, batch)


SHARING = {
    "a template": starting_alike(12, 40, 150, 23, first_target=15),
    "targets in what is shared": starting_alike(12, 40, 150, 23, first_target=4),
    "the same row twice": make_batch([example(30, 8, 1), example(30, 8, 1)]),
    "a row that is the first one's beginning": make_batch(
        [example(30, 8, 1), replace(example(30, 8, 1), ids=example(30, 8, 1).ids[:20], target_end=20)]
    ),
}


@pytest.mark.parametrize("kind", ["lora", "dora"])
@pytest.mark.parametrize("name", SHARING)
def test_what_rows_begin_with_alike_is_computed_once(folder: Path, kind: str, name: str) -> None:
    """Packed states are fewer than tokens; loss and gradient are the libraries' own, which share nothing."""
    lean, own = both(folder, kind=kind)
    batch = SHARING[name]
    packed, _ = lean.base.packed(batch, 2)
    assert len(packed) == int(batch.lengths.sum()) - sum(batch.shared) < batch.lengths.sum()
    agree(lean, own, batch)


def test_rows_without_targets_have_no_loss(folder: Path) -> None:
    lean, _ = both(folder)
    batch = make_batch([example(9, 9, 0), example(7, 7, 1)])
    nats, gradient = gradient_of(lean, batch)
    assert (nats, np.abs(gradient).sum()) == (0.0, 0.0)
    assert [len(row) for row in lean.score(batch)] == [0, 0]


def test_adapter_on_some_layers_of_some_blocks(folder: Path) -> None:
    spec = lora_spec_for(folder, lowest=1)
    names = {1: ("self_attn.v_proj", "mlp.down_proj"), 3: ("self_attn.q_proj", "mlp.up_proj")}
    spec = replace(spec, layers=tuple(layer for layer in spec.layers if layer.name in names.get(layer.block, ())))
    found = []
    for lean in (True, False):
        engine = open_torch(folder, dtype="float32", lean=lean).attach(spec)
        trained(engine)
        found.append(gradient_of(engine, batch_of(23, 31)))
    (nats, gradient), (expected, expected_gradient) = found
    assert nats == pytest.approx(expected, rel=1e-5)
    assert np.linalg.norm(gradient - expected_gradient) <= 1e-4 * np.linalg.norm(expected_gradient)


def test_dropout_is_left_to_peft(folder: Path) -> None:
    """Each layer's dropped input is its own, so nothing can be shared: the same draws give the same loss."""
    lean, own = both(folder, dropout=0.4)
    batch = batch_of(23, 31)
    nats, gradient = gradient_of(lean, batch)
    expected, expected_gradient = gradient_of(own, batch)
    assert nats == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=0, atol=1e-5 * np.abs(expected_gradient).max())
    assert nats != nats_of(lean, batch)


def test_bfloat16_is_as_near_to_float32_as_the_libraries_own(folder: Path) -> None:
    batch = batch_of(97, 140, 61, 80)
    _, exact = gradient_of(both(folder)[1], batch)
    distances = [np.linalg.norm(gradient_of(engine, batch)[1] - exact) for engine in both(folder, dtype="bfloat16")]
    assert distances[0] <= 1.25 * distances[1]


@pytest.mark.parametrize("name", sorted(set(ARCHITECTURES) - set(LEAN)))
def test_other_architectures_keep_their_own_code_and_say_why(name: str, tmp_path: Path) -> None:
    facts = open_torch(made(name, tmp_path), dtype="float32").facts
    assert facts.code == ""
    assert facts.trunk_name == "torch"
    assert len(facts.notes) == 1
    assert facts.notes[0].startswith("The model's own code computes its blocks, not the lean pass: ")


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("mistral", {"sliding_window": 400}),
        ("qwen2", {"use_sliding_window": True, "sliding_window": 400, "max_window_layers": 2}),
    ],
)
def test_a_window_wider_than_the_self_tests_rows_is_refused_too(name: str, settings: Any, tmp_path: Path) -> None:
    facts = open_torch(made(name, tmp_path, **settings), dtype="float32").facts
    assert facts.notes[0].endswith(": its attention is limited to a window.")


def test_kept_states_are_those_of_one_code(tiny: Path) -> None:
    facts = open_torch(tiny, dtype="float32").facts
    assert (facts.code, facts.trunk_name, facts.notes) == ("lean", "torch-lean", ())


def broken(folder: Path, break_it: Any) -> str:
    """Why a model is refused whose blocks were changed by `break_it`."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    for block in model.model.layers:
        break_it(block)
    with pytest.raises(Unrecognized) as refused:
        recognize(model)
    return str(refused.value)


def test_self_test_notices_what_the_parts_do_not_show(tiny: Path) -> None:
    def louder(block: Any) -> None:
        plain = type(block.mlp)
        block.mlp.__class__ = type("Louder", (plain,), {"forward": lambda mlp, x: plain.forward(mlp, x) * LOUDER})

    def alone(block: Any) -> None:
        block.self_attn.forward = lambda **_options: None

    def windowed(block: Any) -> None:
        block.self_attn.sliding_window = 8

    def extended(block: Any) -> None:
        block.post_norm = torch.nn.Identity()

    def other_unit(block: Any) -> None:
        block.mlp.act_fn = torch.nn.GELU()

    def quantized(block: Any) -> None:
        block.mlp.up_proj = type("Linear4bit", (torch.nn.Linear,), {})(32, 64, bias=False)

    assert broken(tiny, louder).startswith("block 0 of the model's own code gives something else (")
    assert broken(tiny, alone) == "block 0 can't be run alone (TypeError)"
    assert broken(tiny, windowed) == "its attention is limited to a window"
    assert broken(tiny, extended) == "its blocks have other parts than a Llama's"
    assert broken(tiny, other_unit) == "its gated units use another function than SiLU"
    assert broken(tiny, quantized) == "its linear layers are not plain ones"


def test_weights_are_held_once(tiny: Path) -> None:
    base: TorchBase = open_torch(tiny, dtype="float32")
    assert base.lean is not None
    attention = base.blocks[1].self_attn
    stacked = base.lean.blocks[1].inner.weight
    for layer, outs in zip(
        (attention.q_proj, attention.k_proj, attention.v_proj), base.lean.blocks[1].inner.outs, strict=True
    ):
        assert layer.weight.data_ptr() == stacked[outs].data_ptr()


@pytest.mark.model
def test_real_model_in_bfloat16_is_as_near_to_float32() -> None:
    """One short batch of SmolLM2-135M: distances of loss and gradient, ours and the libraries'."""
    folder, batch = get_model("smollm2-135m"), batch_of(60, 90)
    found = {}
    for dtype, lean in (("float32", False), ("bfloat16", False), ("bfloat16", True)):
        engine = open_torch(folder, dtype=dtype, lean=lean).attach(spec_for(folder, lowest=26, rank=8))
        trained(engine)
        found[dtype, lean] = gradient_of(engine, batch)
    nats, exact = found["float32", False]
    own, ours = found["bfloat16", False], found["bfloat16", True]
    assert np.linalg.norm(ours[1] - exact) <= 1.1 * np.linalg.norm(own[1] - exact)
    assert abs(ours[0] - nats) <= 2e-3 * nats
