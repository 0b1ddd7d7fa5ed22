"""What the MLX engine computes once for several rows, and side by side: the same loss, gradient and scores."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runoff.data import Batch, Encoded, Forked
from runoff.engines import Vector
from tests.engines.support import batch_of, forked, gradient_of, open_any, spec_for, starting_alike, trained
from tests.engines.test_architectures import ARCHITECTURES
from tests.engines.test_lean import made

mx = pytest.importorskip("mlx.core")
pytest.importorskip("mlx_lm")

from runoff.engines.mlx import engine as module  # noqa: E402
from runoff.engines.mlx import trunk  # noqa: E402
from runoff.engines.mlx.engine import MlxBase, MlxEngine  # noqa: E402
from runoff.engines.mlx.lanes import Lanes  # noqa: E402
from runoff.engines.mlx.memory import Memory  # noqa: E402

COMMON = 40
ALIKE = starting_alike(COMMON, 61, 55, 70, first_target=30)  # targets among what is shared, too


@pytest.fixture(scope="module", params=ARCHITECTURES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(request.param, tmp_path_factory.mktemp(request.param))


def opened(folder: Path, lanes: int = 1, *, checkpointing: bool = False, **spec: Any) -> MlxEngine:
    base = open_any("mlx", folder)
    assert isinstance(base, MlxBase)
    base = MlxBase(base.model, mx.float32, Lanes(tuple(mx.new_stream(mx.cpu) for _ in range(lanes))))
    engine = base.attach(spec_for(folder, **spec), checkpointing=checkpointing)
    trained(engine)
    return engine


def passes(engine: MlxEngine, monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> list[tuple[int, int]]:
    """Rows and positions of each pass through the blocks while `act` runs."""
    seen: list[tuple[int, int]] = []
    run = vars(module)["run_blocks"]

    def watched(inner: Any, blocks: Any, ids: Any, memories: Any = None) -> Any:
        seen.append(tuple(ids.shape))
        return run(inner, blocks, ids, memories)

    assert engine.base.trunk.remembers in (True, False)  # looked at before
    with monkeypatch.context() as patch:
        patch.setattr(module, "run_blocks", watched)
        act()
    return seen


def found(engine: MlxEngine, batch: Batch) -> tuple[float, Vector, list[float]]:
    nats, gradient = gradient_of(engine, batch)
    return nats, gradient, np.concatenate(engine.score(batch)).tolist()


def agree(one: tuple[float, Vector, list[float]], other: tuple[float, Vector, list[float]]) -> None:
    assert one[0] == pytest.approx(other[0], rel=1e-5)
    assert np.linalg.norm(one[1] - other[1]) <= 1e-4 * np.linalg.norm(other[1])
    np.testing.assert_allclose(one[2], other[2], rtol=0, atol=2e-4)


def test_what_rows_begin_with_alike_is_computed_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By every architecture's own code, sliding windows shorter than the memory included."""
    engine = opened(folder)
    apart = passes(engine, monkeypatch, lambda: engine.accumulate(ALIKE))
    engine.take_gradient()
    assert apart == [(1, COMMON), (3, 70 - COMMON)]
    shared = found(engine, ALIKE)
    monkeypatch.setattr(module, "WORTH_SHARING", 10**9)
    assert passes(engine, monkeypatch, lambda: engine.score(ALIKE)) == [(3, 70)]
    agree(shared, found(engine, ALIKE))


@pytest.mark.parametrize("kind", ["lora", "dora", "full"])
@pytest.mark.parametrize("trunk", [False, True])
def test_sharing_under_every_kind_of_training(
    tiny: Path, kind: str, trunk: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = opened(tiny, kind=kind)
    if trunk:
        engine.base.share_trunk(2, budget_bytes=10**8)
    shared = found(engine, ALIKE)
    monkeypatch.setattr(module, "WORTH_SHARING", 10**9)
    agree(shared, found(engine, ALIKE))


@pytest.mark.parametrize(
    ("batch", "options"),
    [
        (ALIKE, {"dropout": 0.1}),
        (ALIKE, {"checkpointing": True}),
        (starting_alike(8, 61, 55, 70, first_target=30), {}),
        (batch_of(61, 55, 70), {}),
        (starting_alike(COMMON, 61, first_target=30), {}),
    ],
    ids=["dropout is each row's own", "recomputed", "too few", "nothing alike", "one row"],
)
def test_where_nothing_is_shared(
    batch: Batch, options: dict[str, Any], tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = opened(tiny, **options)
    assert passes(engine, monkeypatch, lambda: engine.accumulate(batch)) == [batch.ids.shape]


class Forgetful(Memory):
    """An architecture that looks at nothing that stood before."""

    def __init__(self, before: Memory | None = None, offset: int = 0) -> None:
        super().__init__(before, offset)
        self.offset = 0


class Broken(Memory):
    """An architecture that can't use it at all."""

    def update_and_fetch(self, keys: Any, values: Any) -> Any:
        raise TypeError("another kind of cache")


@pytest.mark.parametrize("kind", [Forgetful, Broken])
def test_an_architecture_that_does_not_go_on_from_a_memory_shares_nothing(
    kind: type[Memory], tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in (module, trunk):
        monkeypatch.setattr(place, "Memory", kind)
    engine = opened(tiny)
    assert not engine.base.trunk.remembers
    assert passes(engine, monkeypatch, lambda: engine.accumulate(ALIKE)) == [ALIKE.ids.shape]


@pytest.mark.parametrize("kind", ["lora", "dora", "full"])
@pytest.mark.parametrize("lanes", [2, 3, 5])
def test_rows_side_by_side(tiny: Path, kind: str, lanes: int) -> None:
    batch = batch_of(23, 31, 9, 17)
    several, one = opened(tiny, lanes, kind=kind), opened(tiny, 0, kind=kind)
    agree(found(several, batch), found(one, batch))
    for ours, theirs in zip(several.log_chances(batch), one.log_chances(batch), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-4)
    row = forked(20, 1, (12, 13, 4), (15, 15, 3))
    alone, also = several.score_alone(row), one.score_alone(row)
    np.testing.assert_allclose(alone.nats, also.nats, rtol=0, atol=2e-4)
    assert (alone.end_rank, len(alone.forks)) == (also.end_rank, 2)


def test_the_trunk_is_the_same_to_the_bit_in_any_company(tiny: Path) -> None:
    states: list[list[Any]] = []
    rows = batch_of(23, 31, 9, 17).examples
    for companies in ([rows], [rows[:1], rows[1:]], [[row] for row in rows]):
        engine = opened(tiny, 3)
        engine.base.share_trunk(2, budget_bytes=0)
        states.append(
            [array for company in companies for array in engine.base.trunk.states([Forked(row) for row in company])]
        )
    for first, *others in zip(*states, strict=True):
        assert all(mx.array_equal(first, other) for other in others)


@pytest.mark.parametrize(
    ("count", "lanes", "sizes"), [(2, 0, [2]), (2, 1, [2]), (2, 2, [1, 1]), (8, 3, [2, 3, 3]), (1, 4, [1]), (0, 2, [0])]
)
def test_rows_are_dealt_in_order(count: int, lanes: int, sizes: list[int]) -> None:
    rows: list[Encoded] = list(batch_of(*range(4, 4 + count)).examples) if count else []
    parts = Lanes(tuple(mx.new_stream(mx.cpu) for _ in range(lanes))).parts(rows)
    assert [len(part) for part in parts] == sizes
    assert [row for part in parts for row in part] == rows


@pytest.mark.parametrize(("threads", "told"), [(1, None), (2, "1000")])
def test_mlx_orders_the_parts_by_turns_where_there_are_several(
    threads: int, told: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runoff.engines.mlx import lanes as place

    if mx.default_device().type != mx.DeviceType.cpu:
        pytest.skip("a GPU has one stream")
    monkeypatch.setenv("MLX_BFS_MAX_WIDTH", "")  # so that it is taken back
    monkeypatch.delenv("MLX_BFS_MAX_WIDTH")
    monkeypatch.setattr(place, "_threads", lambda: threads)
    assert len(Lanes.on_this_device().streams) == threads
    assert os.environ.get("MLX_BFS_MAX_WIDTH") == told


def test_products_get_their_share_of_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    from runoff.engines.mlx import lanes as place

    told: list[int] = []
    monkeypatch.setattr(place, "_set_threads", told.append)
    four = Lanes(tuple(mx.new_stream(mx.cpu) for _ in range(4)))
    four.each([1], abs)
    four.each([1, 2], abs)
    four.each([1, 2, 3, 4], abs)
    four.each([1, 2], abs, threads=1)
    four.together()
    assert told == [4, 2, 1, 1, 4]
    assert Lanes(()).each([-1, -2], abs) == [1, 2]
    assert len(told) == 5
