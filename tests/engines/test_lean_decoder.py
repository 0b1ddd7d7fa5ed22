"""The lean decoder against transformers' own generation, and that nobody's answers depend on the company."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from runoff.engines.generation import Sampling, generate
from runoff.engines.torch.recognized import BOUND
from tests.engines.support import example, spec_for, trained
from tests.engines.test_lean import made

torch = pytest.importorskip("torch")

from runoff.engines.torch.decoder import TorchDecoder  # noqa: E402
from runoff.engines.torch.engine import TorchBase, TorchEngine  # noqa: E402
from runoff.engines.torch.lean_decoder import LeanDecoder, Packed  # noqa: E402
from runoff.engines.torch.loading import open_torch  # noqa: E402

RECOGNIZED: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen2": {},
    "qwen3": {},
    "smollm3": {"no_rope_layers": [1, 0, 1, 0]},
}
"""Plain; with biases; with norms of the heads; with blocks that positions do not turn."""
SYSTEM = example(20, 1, seed=9).ids
APART = [example(length, 1, seed).ids for seed, length in enumerate((5, 61, 1, 30))]
ALIKE = [np.concatenate([SYSTEM, prompt]) for prompt in APART]
Ids = npt.NDArray[np.int32]


@pytest.fixture(scope="module", params=RECOGNIZED)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(request.param, tmp_path_factory.mktemp(request.param), **RECOGNIZED[request.param])


def lean(folder: Path, dtype: str = "float32") -> TorchBase:
    base = open_torch(folder, dtype=dtype)
    assert base.lean is not None
    return base


def decoder(engine: TorchEngine, prompts: list[Ids]) -> LeanDecoder:
    found = engine.decoder(prompts)
    assert isinstance(found, LeanDecoder)
    return found


@pytest.mark.parametrize("prompts", [APART, ALIKE], ids=["apart", "alike"])
def test_answers_are_those_of_transformers_one_by_one(folder: Path, prompts: list[Ids]) -> None:
    """Greedy, over more tokens than the memory first has room for; rows leave on the way."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    asked = {"max_new_tokens": 80, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    expected = [model.generate(torch.from_numpy(ids).long()[None], **asked)[0, len(ids) :].tolist() for ids in prompts]
    assert len({tuple(ids) for ids in expected}) == len(prompts)
    end = expected[2][7]  # so that one row ends early
    for ids, found in zip(
        expected, generate(lean(folder).attach(None), prompts, frozenset({end}), Sampling(80)), strict=True
    ):
        assert list(found.ids) == (ids[: ids.index(end)] if end in ids else ids)


def test_logits_are_those_of_the_models_own_code_under_an_adapter(folder: Path) -> None:
    """At the prompts' ends and at each of the tokens after them, with rows that leave."""
    engines = []
    for base in (lean(folder), open_torch(folder, dtype="float32", lean=False)):
        engines.append(base.attach(spec_for(folder)))
        trained(engines[-1])
    ours, theirs = (engine.decoder(ALIKE) for engine in engines)
    for count in range(6):
        wanted = theirs.logits()
        assert np.linalg.norm(ours.logits() - wanted) <= BOUND * np.linalg.norm(wanted)
        if count == 3:
            for one in (ours, theirs):
                one.keep([2, 0])
        ids = np.arange(len(ours.logits()), dtype=np.int32) + 7 * count
        ours.push(ids)
        theirs.push(ids)


def test_prompts_that_the_trunk_has_read_give_the_same_to_the_bit(tiny: Path) -> None:
    """The base and two adapters, one of which reaches below the other, alone and one after the other."""
    specs = [None, spec_for(tiny, lowest=3), spec_for(tiny, lowest=2, kind="dora")]

    def logits(base: TorchBase, number: int) -> list[npt.NDArray[np.float32]]:
        engine = base.attach(specs[number])
        if number:
            trained(engine, seed=number)
        going, found = decoder(engine, ALIKE), []
        for count in range(3):
            found.append(going.logits())
            going.push(np.full(len(ALIKE), 5 + count, dtype=np.int32))
        return found

    alone = [logits(lean(tiny), number) for number in range(3)]
    shared = lean(tiny)
    shared.share_trunk(2, budget_bytes=0)
    for _ in range(2):
        for number in (0, 1, 2):
            assert all(np.array_equal(*pair) for pair in zip(logits(shared, number), alone[number], strict=True))
    deep = shared.attach(spec_for(tiny, lowest=1))  # reaches below the boundary
    trained(deep)
    apart = lean(tiny).attach(spec_for(tiny, lowest=1))
    trained(apart)
    assert np.array_equal(decoder(deep, ALIKE).logits(), decoder(apart, ALIKE).logits())


def test_two_that_are_asked_the_same_do_not_write_over_each_other(tiny: Path) -> None:
    base = lean(tiny)
    base.share_trunk(2, budget_bytes=0)
    engine, ids = base.attach(None), [np.array([seed] * len(ALIKE), dtype=np.int32) for seed in (3, 4)]
    one, other = decoder(engine, ALIKE), decoder(engine, ALIKE)
    for _ in range(2):
        one.push(ids[0])
        other.push(ids[1])
    alone = decoder(engine, ALIKE)
    alone.push(ids[0])
    alone.push(ids[0])
    assert np.array_equal(one.logits(), alone.logits())
    assert not np.array_equal(one.logits(), other.logits())


def test_prompts_are_packed_with_what_all_begin_with_once(tiny: Path) -> None:
    blocks = lean(tiny).lean
    assert blocks is not None
    packed = Packed.of(ALIKE, blocks.rows([81]))
    assert packed.shared == 20
    assert packed.ids.tolist() == [*SYSTEM.tolist(), *np.concatenate(APART).tolist()]
    assert packed.last.tolist() == [24, 85, 86, 116]
    same = Packed.of([SYSTEM, SYSTEM], blocks.rows([20]))  # a token of each is left, to be asked what comes next
    assert (same.shared, len(same.ids)) == (19, 21)


def test_long_prompts_go_through_the_blocks_in_groups(tiny: Path) -> None:
    """Several groups give what each prompt alone gives; a row's group is that in which it begins."""
    prompts = [np.concatenate([SYSTEM, example(480, 1, seed).ids]) for seed in range(4)]
    engine = lean(tiny).attach(None)
    together = decoder(engine, prompts).logits()
    alone = np.concatenate([decoder(engine, [prompt]).logits() for prompt in prompts])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-4 * np.abs(alone).max())


def test_bfloat16_is_as_near_to_float32_as_the_models_own_code(folder: Path) -> None:
    ids = example(40, 30, seed=4).ids
    found = {}
    for dtype, is_lean in (("float32", False), ("bfloat16", False), ("bfloat16", True)):
        engine = open_torch(folder, dtype=dtype, lean=is_lean).attach(spec_for(folder))
        trained(engine)
        going = engine.decoder([ids[:30], ids[:12]])
        found[dtype, is_lean] = [going.logits()]
        for token in ids[30:]:
            going.push(np.array([token, token], dtype=np.int32))
            found[dtype, is_lean].append(going.logits())
    exact = found["float32", False]
    own, ours = (np.linalg.norm(np.subtract(found["bfloat16", is_lean], exact)) for is_lean in (False, True))
    assert ours <= 1.25 * own


@pytest.mark.parametrize("name", ["granite", "gemma3_text"])
def test_models_that_are_not_recognized_keep_their_own_code(name: str, tmp_path: Path) -> None:
    """gemma3: prompts longer than the window of its attention. Padded and with a row that leaves, as each row alone."""
    base = open_torch(made(name, tmp_path), dtype="float32")
    assert base.lean is None
    engine = base.attach(None)
    alone = [engine.decoder([prompt]) for prompt in ALIKE]
    together, rows = engine.decoder(ALIKE), [0, 1, 2, 3]
    assert isinstance(together, TorchDecoder)
    for count in range(4):
        expected = np.concatenate([alone[row].logits() for row in rows])
        assert np.linalg.norm(together.logits() - expected) <= BOUND * np.linalg.norm(expected)
        if count == 1:
            together.keep([3, 0])
            rows = [3, 0]
        ids = np.arange(len(rows), dtype=np.int32) + 9 * count
        together.push(ids)
        for at, row in enumerate(rows):
            alone[row].push(ids[at : at + 1])
