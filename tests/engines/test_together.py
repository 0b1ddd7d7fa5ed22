"""Many adapters on one base: nobody's numbers depend on the company. In float32 on a CPU, to the last bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from runoff.data import Encoded, Forked, make_batch
from runoff.engines import Base, Engine, Vector
from runoff.engines.adapters.folders import read_adapter, write_mlx, write_peft
from runoff.engines.generation import Sampling, generate
from runoff.engines.scoring import ScoredForked, score_alone, scoring_batches
from runoff.plan import AdapterSpec, LoraSpec, read_model_facts
from tests.engines.support import ENGINES, example, forked, lora_spec_for, open_any, spec_for, trained

ROWS = [example(length, length // 2, seed) for seed, length in enumerate((9, 41, 17, 30, 23))]
FORKED = [*map(Forked, ROWS), forked(60, 9, (40, 34, 7), (52, 41, 5)), forked(31, 10, (20, 18, 12))]
PROMPTS = [example(length, 1, 50 + seed).ids for seed, length in enumerate((5, 11, 8))]
GREEDY, DRAWN = Sampling(12), Sampling(12, temperature=0.8, top_p=0.9, seed=5)


@pytest.fixture(params=[name for name in ENGINES if name != "fake"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def adapters(tiny: Path, folder: Path) -> list[tuple[AdapterSpec, Vector]]:
    """Other ranks, scales, blocks, kinds (two with whole blocks), and both formats of folders."""
    facts = read_model_facts(tiny)
    specs = [
        spec_for(tiny, lowest=2, rank=3),
        replace(lora_spec_for(tiny, lowest=3, rank=5), scale=0.7),
        spec_for(tiny, lowest=1, rank=2),
        spec_for(tiny, lowest=3, rank=1, kind="dora"),
        spec_for(tiny, lowest=2, kind="full"),
        spec_for(tiny, lowest=3, kind="full"),
    ]
    found = []
    for at, spec in enumerate(specs):
        engine = open_any("torch", tiny).attach(spec)
        parameters = trained(engine, seed=at)
        place = folder / str(at)
        if at % 2 and isinstance(spec, LoraSpec):
            write_peft(place, spec, parameters, "base")
        else:
            write_mlx(place, spec, parameters, "base", facts.blocks)
        found.append(read_adapter(place, facts))
    return found


def attached(base: Base, adapter: tuple[AdapterSpec, Vector] | None) -> Engine:
    engine = base.attach(adapter[0] if adapter else None)
    if adapter:
        engine.set_parameters(adapter[1])
    return engine


def scores(engine: Engine) -> list[ScoredForked]:
    return score_alone(engine, FORKED)


def answers(engine: Engine, sampling: Sampling) -> Sequence[object]:
    return generate(engine, PROMPTS, frozenset({257}), sampling)


def test_every_run_is_what_it_is_alone(name: str, tiny: Path, tmp_path: Path) -> None:
    """One base with all adapters and the trunk below the lowest of them, against a base for each, as each would be."""
    everyone = [*adapters(tiny, tmp_path), None]
    shared = open_any(name, tiny)
    together = [attached(shared, adapter) for adapter in everyone]
    assert shared.share_trunk(1, budget_bytes=10**9).startswith("Trunk cache on")
    for _ in range(2):  # the second time from the kept states
        for adapter, engine in zip(everyone, together, strict=True):
            own = open_any(name, tiny)
            alone = attached(own, adapter)
            own.share_trunk(adapter[0].lowest_block if adapter else 3, budget_bytes=10**9)
            assert scores(engine) == scores(alone)
    for adapter, engine in zip(everyone, together, strict=True):
        alone = attached(open_any(name, tiny), adapter)
        assert answers(engine, GREEDY) == answers(alone, GREEDY)
        assert answers(engine, DRAWN) == answers(alone, DRAWN)


def test_adapters_differ_from_each_other_and_from_the_base(name: str, tiny: Path, tmp_path: Path) -> None:
    """Else the test above would say nothing."""
    base = open_any(name, tiny)
    found = [tuple(one.row.nats for one in scores(attached(base, one))) for one in [*adapters(tiny, tmp_path), None]]
    assert len(set(found)) == len(found)


def test_slot_base_is_the_models_own_output(tiny: Path, tmp_path: Path) -> None:
    """Against transformers itself, which knows no adapter: every token's chance at every target.

    To the bit where transformers' code computes the blocks, and to rounding where Runoff's own does.
    """
    transformers = pytest.importorskip("transformers")
    from runoff.engines.torch.loading import open_torch

    model = transformers.AutoModelForCausalLM.from_pretrained(tiny, dtype="float32").eval()
    for lean in (False, True):
        base = open_torch(tiny, dtype="float32", lean=lean)
        for adapter in adapters(tiny, tmp_path):
            attached(base, adapter)
        slot = base.attach(None)
        base.share_trunk(1, budget_bytes=10**9)
        for row, scored in zip(ROWS, scores(slot), strict=False):
            (chances,) = slot.log_chances(make_batch([row]))
            own = own_log_chances(model, row)
            assert np.array_equal(chances, own) or lean
            np.testing.assert_allclose(chances, own, rtol=0, atol=1e-4)
            targets = row.ids[row.target_start : row.target_end]
            nats = -own[np.arange(len(targets)), targets].sum(dtype=np.float64)
            assert scored.row.nats == pytest.approx(nats, rel=1e-5)


def own_log_chances(model: Any, row: Encoded) -> npt.NDArray[np.float32]:
    """The rows that predict a target, as one product: a product of other rows has other last bits."""
    import torch

    with torch.no_grad():
        hidden = model.model(input_ids=torch.from_numpy(row.ids).long()[None]).last_hidden_state[0]
        logits = model.lm_head(hidden[row.target_start - 1 : row.target_end - 1])
        found: npt.NDArray[np.float32] = logits.float().log_softmax(-1).numpy()
    return found


def test_order_of_work_changes_nothing(name: str, tiny: Path, tmp_path: Path) -> None:
    """Row by row through everyone, or everyone through all rows: adapters leave nothing behind."""
    base = open_any(name, tiny)
    engines = [attached(base, one) for one in [*adapters(tiny, tmp_path), None]]
    by_run = [scores(engine) for engine in engines]
    by_row = [[score_alone(engine, [one])[0] for engine in engines] for one in FORKED]
    for at, rows in enumerate(by_run):
        assert rows == [row[at] for row in by_row]
    chances = [engine.log_chances(scoring_batches(ROWS, 1)[0])[0] for engine in engines]
    again = [engine.log_chances(scoring_batches(ROWS, 1)[0])[0] for engine in reversed(engines)]
    assert all(np.array_equal(one, two) for one, two in zip(chances, reversed(again), strict=True))
