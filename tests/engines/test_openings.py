"""Rows that begin with the same system prompt: it is read once for all of them, and no score depends on the company."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runoff.data import Fork, Forked
from runoff.engines import Base, Engine
from tests.engines.support import example, open_any, spec_for, trained

COMMON = 24


def row(opening: int, seed: int, *, length: int = 50, forks: tuple[tuple[int, int], ...] = ()) -> Forked:
    """A row behind opening number `opening`, whose last 15 ids are targets; forks: where, and how many ids."""
    plain, random = example(length, length - 15, seed), np.random.default_rng(seed + 500)
    ids = np.concatenate([example(COMMON, 0, 900 + opening).ids, plain.ids[COMMON:]])
    ends = (Fork(at, random.integers(1, 250, own).astype(np.int32), at) for at, own in forks)
    return Forked(replace(plain, ids=ids, opening=COMMON), tuple(ends))


ROWS = [
    row(0, 1),
    row(0, 2, length=61, forks=((50, 4), (55, 1))),
    row(1, 3, length=44),
    row(0, 4),
    row(2, 5, forks=((36, 6),)),
    row(1, 6, forks=((40, 0), (42, 3))),
]


def without(forked: Forked) -> Forked:
    return Forked(replace(forked.row, opening=0), forked.forks)


def scored(engine: Engine, rows: list[Forked]) -> list[list[float]]:
    """All nats and the place of the end."""
    found = [engine.score_alone(forked) for forked in rows]
    return [[*one.nats, *(nats for fork in one.forks for nats in fork), one.end_rank or 0] for one in found]


def opened(engine: str, tiny: Path, kind: str = "lora", budget_bytes: int | None = None) -> tuple[Base, Engine]:
    base = open_any(engine, tiny)
    if budget_bytes is not None:
        assert base.share_trunk(2, budget_bytes=budget_bytes).startswith("Trunk cache on")
    attached = base.attach(spec_for(tiny, kind=kind))
    trained(attached)
    return base, attached


@pytest.mark.parametrize("kind", ["lora", "dora", "full"])
@pytest.mark.parametrize("budget_bytes", [None, 0, 10**8])
def test_scores_are_those_of_whole_rows(engine: str, tiny: Path, kind: str, budget_bytes: int | None) -> None:
    _, attached = opened(engine, tiny, kind, budget_bytes)
    behind, whole = scored(attached, ROWS), scored(attached, [without(forked) for forked in ROWS])
    for found, expected in zip(behind, whole, strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-4)
    assert [len(found) for found in behind] == [16, 21, 16, 16, 22, 19]


@pytest.mark.parametrize("budget_bytes", [None, 0, 10**8])
def test_a_score_does_not_depend_on_the_company(engine: str, tiny: Path, budget_bytes: int | None) -> None:
    """To the bit: in any order, after others, for the second time, and in a process of its own."""
    _, attached = opened(engine, tiny, budget_bytes=budget_bytes)
    first, again = scored(attached, ROWS), scored(attached, ROWS[::-1])[::-1]
    alone = [scored(opened(engine, tiny, budget_bytes=budget_bytes)[1], [forked])[0] for forked in ROWS]
    assert first == again == alone


def test_another_adapter_reads_the_opening_anew(engine: str, tiny: Path) -> None:
    base, attached = opened(engine, tiny, budget_bytes=10**8)
    before = scored(attached, ROWS)
    trained(attached, seed=7)
    after = scored(attached, ROWS)
    fresh = base.attach(spec_for(tiny))
    trained(fresh, seed=7)
    assert after == scored(fresh, ROWS) != before
    trained(attached)
    assert scored(attached, ROWS) == before


def test_the_trunk_may_end_elsewhere_later(engine: str, tiny: Path) -> None:
    base, attached = opened(engine, tiny)
    found = [scored(attached, ROWS)]
    for boundary in (2, 1, 2):
        base.share_trunk(boundary, budget_bytes=10**8)
        found.append(scored(attached, ROWS))
    for one in found[1:]:
        for ours, whole in zip(one, found[0], strict=True):
            np.testing.assert_allclose(ours, whole, rtol=0, atol=2e-4)


def test_an_opening_is_read_once(engine: str, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Positions that pass through the blocks: those of each opening, then each row's and fork's own."""
    base, attached = opened(engine, tiny)
    passed = _watched(engine, base, monkeypatch)
    scored(attached, [row(0, seed) for seed in range(4)])
    assert sum(passed) == COMMON + 4 * (50 - COMMON)
    passed.clear()
    scored(attached, [row(0, 9), row(1, 9), row(0, 8), row(1, 8, forks=((40, 3), (45, 2)))])
    assert sum(passed) == COMMON + 4 * (50 - COMMON) + 5


def _watched(engine: str, base: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many positions each pass through the last block has, from now on."""
    passed: list[int] = []
    if engine == "mlx":
        from runoff.engines.mlx import engine as module

        run = vars(module)["run_blocks"]
        assert base.trunk.remembers

        def watched(inner: Any, blocks: Any, ids: Any, memories: Any) -> Any:
            passed.append(ids.size)
            return run(inner, blocks, ids, memories)

        monkeypatch.setattr(module, "run_blocks", watched)
        return passed
    last = base.lean.blocks[-1]
    heads_of = type(last).heads_of

    def seen(block: Any, qkv: Any, rows: Any) -> Any:
        if block is last:
            passed.append(len(qkv))
        return heads_of(block, qkv, rows)

    monkeypatch.setattr(type(last), "heads_of", seen)
    return passed
