"""What every engine promises to the training loop and to evaluation: one suite, run on each of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from runoff.data import Forked, make_batch
from runoff.engines import Base
from runoff.engines.adapters.tensor_files import rounded
from tests.engines.support import (
    ENGINES,
    batch_of,
    example,
    forked,
    gradient_of,
    nats_of,
    open_any,
    slope,
    spec_for,
    trained,
)

ROOMY = 10**9


@pytest.fixture(params=ENGINES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def base(name: str, tiny: Path) -> Base:
    return open_any(name, tiny)


@pytest.fixture(params=["lora", "dora", "full"])
def kind(request: pytest.FixtureRequest, name: str) -> str:
    if name == "fake" and request.param != "lora":
        pytest.skip("the fake engine has LoRA alone")
    return str(request.param)


def test_new_adapter_changes_nothing_exactly(base: Base, tiny: Path, kind: str) -> None:
    batch = batch_of(17, 23)
    bare = base.attach(None).score(batch)
    fresh = base.attach(spec_for(tiny, kind=kind))
    assert not any(fresh.parameters()[s.start : s.stop].any() for s in fresh.slots if s.part in ("lora_a", "lora_b"))
    adapted = fresh.score(batch)
    assert [row.tolist() for row in adapted] == [row.tolist() for row in bare]
    assert [len(row) for row in bare] == batch.targets.sum(axis=1).tolist()


def test_a_trained_adapter_changes_the_loss_and_the_bare_base_stays_bare(base: Base, tiny: Path, kind: str) -> None:
    batch, bare = batch_of(17, 23), base.attach(None)
    before = nats_of(bare, batch)
    engine = base.attach(spec_for(tiny, kind=kind))
    trained(engine)
    assert abs(nats_of(engine, batch) - before) > 1e-2
    assert nats_of(bare, batch) == before


def test_gradient_equals_finite_differences(base: Base, tiny: Path, kind: str) -> None:
    """Float32: nats of about 1e2 carry noise of about 1e-5, a step of 1e-2 makes 1e-3 of it; curvature adds as much.

    DoRA holds the norm that it divides by constant in the backward pass (arXiv 2402.09353, section 4.3), so of its
    gradient only the magnitudes' is the slope of the loss; for the rest the two engines are held equal elsewhere.
    """
    engine, batch = base.attach(spec_for(tiny, kind=kind)), batch_of(17, 23)
    parameters = trained(engine)
    _, gradient = gradient_of(engine, batch)
    exact = [slot for slot in engine.slots if kind != "dora" or slot.part == "magnitude"]
    for part in {slot.part for slot in exact}:
        inside = np.zeros_like(gradient)
        for slot in exact:
            inside[slot.start : slot.stop] = slot.part == part
        within = gradient * inside
        norm = np.linalg.norm(within)
        assert slope(engine, batch, parameters, within / norm, 1e-2) == pytest.approx(norm, rel=2e-3)
        steepest = np.argmax(np.abs(within))
        axis = (np.arange(len(gradient)) == steepest).astype(np.float32)
        assert slope(engine, batch, parameters, axis, 1e-2) == pytest.approx(gradient[steepest], rel=5e-3, abs=5e-3)


def test_gradients_add_up_over_batches_and_weights(base: Base, tiny: Path) -> None:
    engine, first, second = base.attach(spec_for(tiny)), batch_of(17, 23), batch_of(31, seed=7)
    trained(engine)
    (_, one), (_, two) = gradient_of(engine, first), gradient_of(engine, second)
    engine.accumulate(first, 0.5)
    engine.accumulate(second, 3.0)
    both = engine.take_gradient()
    np.testing.assert_allclose(both, 0.5 * one + 3.0 * two, rtol=1e-5, atol=1e-5 * np.abs(both).max())


def test_gradient_survives_being_taken_and_put_back(base: Base, tiny: Path, kind: str) -> None:
    engine, first, second = base.attach(spec_for(tiny, kind=kind)), batch_of(17, 23), batch_of(31, seed=7)
    trained(engine)
    engine.accumulate(first)
    engine.accumulate(second)
    whole = engine.take_gradient()
    assert not engine.take_gradient().any()
    engine.accumulate(first)
    engine.add_gradient(engine.take_gradient())
    engine.accumulate(second)
    assert np.array_equal(engine.take_gradient(), whole)


def test_score_is_what_training_minimizes(base: Base, tiny: Path, kind: str) -> None:
    engine, batch = base.attach(spec_for(tiny, kind=kind)), batch_of(17, 23, 5)
    trained(engine)
    assert engine.accumulate(batch) == pytest.approx(nats_of(engine, batch), rel=1e-6)


def test_score_of_a_row_does_not_depend_on_its_neighbours(base: Base, tiny: Path) -> None:
    """Padding changes the shapes of matrix products and so the order of their sums: a few float32 units of a nat."""
    engine, row = base.attach(spec_for(tiny)), example(19, 6, seed=1)
    trained(engine)
    alone = engine.score(make_batch([row]))[0]
    crowded = engine.score(make_batch([example(43, 3, seed=2), row, example(8, 2, seed=3)]))[1]
    np.testing.assert_allclose(crowded, alone, rtol=0, atol=1e-5)


def test_rows_and_batches_without_targets(base: Base, tiny: Path) -> None:
    engine, empty, row = base.attach(spec_for(tiny)), example(9, 9, seed=2), example(19, 6, seed=1)
    trained(engine)
    assert [len(nats) for nats in engine.score(make_batch([empty, row]))] == [0, 13]
    assert [len(nats) for nats in engine.score(make_batch([empty]))] == [0]
    assert engine.accumulate(make_batch([empty])) == 0.0
    assert not engine.take_gradient().any()


def test_two_adapters_on_one_base_do_not_disturb_each_other(name: str, tiny: Path, kind: str) -> None:
    first, second = batch_of(17, 23), batch_of(31, seed=7)
    shallow, deep = spec_for(tiny, kind=kind, dropout=0.2), spec_for(tiny, lowest=1, dropout=0.3, rank=2)
    alone = open_any(name, tiny).attach(shallow, seed=5)
    trained(alone)
    expected = [alone.accumulate(first), nats_of(alone, second), alone.accumulate(second)]
    gradient = alone.take_gradient()

    shared = open_any(name, tiny)
    one, other = shared.attach(shallow, seed=5), shared.attach(deep, seed=6)
    trained(one)
    trained(other, seed=1)
    seen = [one.accumulate(first)]
    other.accumulate(second)
    seen.append(nats_of(one, second))
    nats_of(other, first)
    seen.append(one.accumulate(second))
    assert seen == expected
    assert np.array_equal(one.take_gradient(), gradient)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_parameters_are_kept_in_float32_whatever_the_base(name: str, tiny: Path, kind: str, dtype: str) -> None:
    """Whole weights are computed with in the base's own type: an engine has them rounded, as a file would."""
    engine = open_any(name, tiny, dtype).attach(spec_for(tiny, kind=kind))
    parameters = trained(engine)
    assert parameters.dtype == np.float32
    expected = parameters
    if kind == "full" and dtype == "bfloat16":
        expected = (rounded(parameters, dtype).astype(np.uint32) << 16).view(np.float32)
        assert not np.array_equal(expected, parameters)
    assert np.array_equal(engine.parameters(), expected)
    nats, gradient = gradient_of(engine, batch_of(17, 23))
    assert nats == pytest.approx(nats_of(engine, batch_of(17, 23)), rel=1e-2)
    assert np.isfinite(gradient).all()
    assert gradient.any()


def test_parameters_are_a_copy(base: Base, tiny: Path) -> None:
    engine = base.attach(spec_for(tiny))
    parameters = trained(engine)
    engine.parameters()[:] = 0
    parameters[:] = 0
    assert engine.parameters().any()


def test_dropout_goes_on_from_a_random_state(name: str, tiny: Path) -> None:
    spec, batch = spec_for(tiny, dropout=0.4), batch_of(17, 23)
    engine = open_any(name, tiny).attach(spec, seed=3)
    parameters = trained(engine)
    first = gradient_of(engine, batch)[0]
    state = engine.random_state()
    second, gradient = gradient_of(engine, batch)
    assert first != second

    resumed = open_any(name, tiny).attach(spec, seed=99)
    resumed.set_parameters(parameters)
    resumed.set_random_state(state)
    again, same_gradient = gradient_of(resumed, batch)
    assert again == second
    assert np.array_equal(same_gradient, gradient)


def test_scoring_draws_no_dropout(base: Base, tiny: Path) -> None:
    engine, batch = base.attach(spec_for(tiny, dropout=0.4)), batch_of(17, 23)
    trained(engine)
    state = engine.random_state()
    assert nats_of(engine, batch) == nats_of(engine, batch)
    assert engine.random_state() == state


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_recomputing_the_blocks_changes_nothing(base: Base, tiny: Path, dropout: float) -> None:
    """With dropout this is where a recomputed block must draw what it drew before."""
    spec, batch = spec_for(tiny, dropout=dropout), batch_of(17, 23)
    plain, recomputing = base.attach(spec, seed=4), base.attach(spec, seed=4, checkpointing=True)
    trained(plain)
    trained(recomputing)
    nats, gradient = gradient_of(plain, batch)
    again, recomputed = gradient_of(recomputing, batch)
    assert again == nats
    np.testing.assert_allclose(recomputed, gradient, rtol=0, atol=1e-6 * np.abs(gradient).max())


def test_trunk_gives_the_same_to_the_bit(name: str, tiny: Path, kind: str) -> None:
    """Twice: on the first pass the states are computed and kept, on the second they are taken from there."""
    batch, spec = batch_of(17, 23), spec_for(tiny, kind=kind)
    whole, split = open_any(name, tiny), open_any(name, tiny)
    plain, cached = whole.attach(spec), split.attach(spec)
    trained(plain)
    trained(cached)
    whole.share_trunk(2, budget_bytes=0)
    assert split.share_trunk(2, budget_bytes=ROOMY).startswith("Trunk cache on: ")
    nats, gradient = gradient_of(plain, batch)
    for _ in range(2):
        again, same_gradient = gradient_of(cached, batch)
        assert again == nats
        assert np.array_equal(same_gradient, gradient)
        assert nats_of(cached, batch) == nats_of(plain, batch)


def test_trunk_in_a_file_serves_another_process_to_the_bit(name: str, tiny: Path, tmp_path: Path) -> None:
    batch, spec = batch_of(17, 23), spec_for(tiny)
    found = []
    for _ in range(2):
        base = open_any(name, tiny)
        engine = base.attach(spec)
        trained(engine)
        base.share_trunk(2, budget_bytes=ROOMY, folder=tmp_path / "trunk")
        found.append(gradient_of(engine, batch))
    assert found[0][0] == found[1][0]
    assert np.array_equal(found[0][1], found[1][1])


def test_split_model_agrees_with_the_whole(name: str, tiny: Path) -> None:
    batch, spec = batch_of(17, 23), spec_for(tiny)
    whole, split = open_any(name, tiny), open_any(name, tiny)
    plain, cached = whole.attach(spec), split.attach(spec)
    trained(plain)
    trained(cached)
    split.share_trunk(2, budget_bytes=ROOMY)
    nats, gradient = gradient_of(plain, batch)
    again, same_gradient = gradient_of(cached, batch)
    assert again == pytest.approx(nats, rel=1e-6)
    np.testing.assert_allclose(same_gradient, gradient, rtol=0, atol=2e-6 * np.abs(gradient).max())


def test_decoder_continues_as_the_scorer_scores(base: Base, tiny: Path) -> None:
    """Prompts of other lengths in one batch, two tokens on: each token's chance is the one that scoring gives it."""
    engine = base.attach(spec_for(tiny))
    trained(engine)
    examples = [example(9, 4, seed=1), example(15, 4, seed=2)]
    decoder = engine.decoder([one.ids[: one.target_start] for one in examples])
    expected = engine.score(make_batch(examples))
    for at in range(3):
        logits = decoder.logits().astype(np.float64)
        targets = np.array([one.ids[one.target_start + at] for one in examples])
        chances = (
            logits
            - np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1, keepdims=True))
            - logits.max(1, keepdims=True)
        )
        nats = -chances[np.arange(len(targets)), targets % logits.shape[1]]
        np.testing.assert_allclose(nats, [scores[at] for scores in expected], rtol=0, atol=1e-4)
        decoder.push(targets.astype(np.int32))


def test_rows_that_leave_a_decoder_do_not_disturb_the_others(base: Base, tiny: Path) -> None:
    """The longest leaves, then the first of those that stay is no longer the first that came."""
    engine = base.attach(spec_for(tiny))
    trained(engine)
    prompts = [example(length, 4, seed=length).ids for length in (9, 31, 15, 12)]
    whole, fewer = engine.decoder(prompts), engine.decoder(prompts)
    rows = [0, 1, 2, 3]
    for kept in ([0, 2, 3], [2, 1], [0]):
        ids = np.arange(40, 44, dtype=np.int32)
        whole.push(ids)
        fewer.push(ids[rows])
        fewer.keep(kept)
        rows = [rows[at] for at in kept]
        np.testing.assert_allclose(fewer.logits(), whole.logits()[rows], rtol=0, atol=1e-4)


def test_log_chances_are_those_that_the_scores_come_from(base: Base, tiny: Path) -> None:
    engine, batch = base.attach(spec_for(tiny)), batch_of(17, 23)
    trained(engine)
    found = engine.log_chances(batch)
    for scores, chances, ids, targets in zip(engine.score(batch), found, batch.ids, batch.targets, strict=True):
        np.testing.assert_allclose(np.exp(chances.astype(np.float64)).sum(axis=1), 1, rtol=0, atol=1e-5)
        nats = -chances[np.arange(len(scores)), ids[targets] % chances.shape[1]]
        np.testing.assert_allclose(nats, scores, rtol=0, atol=1e-5)


FORKED = forked(300, 1, (170, 160, 9), (290, 151, 0), (200, 204, 6), (131, 140, 150))


@pytest.mark.parametrize("trunk", [0, 1, 2])
def test_a_fork_is_scored_as_the_row_that_it_would_be_by_itself(base: Base, tiny: Path, kind: str, trunk: int) -> None:
    """What is shared is computed once, and each fork sees its own past alone: the same nats but for rounding."""
    engine = base.attach(spec_for(tiny, kind=kind))
    trained(engine)
    rows = [FORKED.row, *(FORKED.whole(fork) for fork in FORKED.forks)]
    expected = [engine.score(make_batch([row]))[0] if row.target_tokens else np.zeros(0) for row in rows]
    base.share_trunk(trunk, budget_bytes=ROOMY)
    for _ in range(2):  # the second time from the kept states
        found = engine.score_alone(FORKED)
        for nats, wanted in zip([found.nats, *found.forks], expected, strict=True):
            assert len(nats) == len(wanted)
            np.testing.assert_allclose(nats, wanted, rtol=0, atol=2e-5)


def test_the_end_has_its_place_among_all_tokens(base: Base, tiny: Path) -> None:
    engine = base.attach(spec_for(tiny))
    trained(engine)
    for seed in range(12):
        row = example(19, 6, seed)
        (chances,) = engine.log_chances(make_batch([row]))
        last = chances[-1]
        target = row.ids[-1] % len(last)
        places = [(last > last[target] + slack).sum() + 1 for slack in (1e-5, -1e-5)]
        rank = engine.score_alone(Forked(row)).end_rank
        assert rank is not None
        assert places[0] <= rank <= places[1]


def test_a_row_without_targets_has_no_end(base: Base) -> None:
    found = base.attach(None).score_alone(Forked(example(9, 9, seed=2)))
    assert (len(found.nats), found.end_rank) == (0, None)


def test_trunk_serves_rows_that_were_kept_among_others(base: Base, tiny: Path) -> None:
    engine, row = base.attach(spec_for(tiny)), example(19, 6, seed=1)
    trained(engine)
    expected = engine.score(make_batch([row]))[0]
    base.share_trunk(2, budget_bytes=ROOMY)
    engine.score(make_batch([row, example(43, 3, seed=2)]))
    np.testing.assert_allclose(engine.score(make_batch([row]))[0], expected, rtol=0, atol=1e-5)


def test_trunk_is_refused_where_the_first_block_is_adapted(base: Base) -> None:
    assert base.share_trunk(0, budget_bytes=ROOMY).startswith("Trunk cache off: the first block is adapted")


def test_adapter_that_reaches_below_the_trunk_does_without_it(name: str, tiny: Path) -> None:
    batch, deep = batch_of(17, 23), spec_for(tiny, lowest=1)
    alone = open_any(name, tiny).attach(deep)
    trained(alone)
    base = open_any(name, tiny)
    base.share_trunk(2, budget_bytes=ROOMY)
    engine = base.attach(deep)
    trained(engine)
    nats, gradient = gradient_of(engine, batch)
    expected, expected_gradient = gradient_of(alone, batch)
    assert nats == expected
    assert np.array_equal(gradient, expected_gradient)
    assert nats_of(engine, batch) == nats_of(alone, batch)


def test_trunk_without_room_computes_anew(base: Base, tiny: Path) -> None:
    engine, batch = base.attach(spec_for(tiny)), batch_of(17, 23)
    trained(engine)
    expected = nats_of(engine, batch)
    base.share_trunk(2, budget_bytes=0)
    assert [nats_of(engine, batch), nats_of(engine, batch)] == [expected, expected]


def test_base_says_what_computes_and_how_much_memory(base: Base, name: str) -> None:
    assert base.facts.name == name
    assert base.facts.versions
    peak = base.peak_memory_bytes()
    assert peak is None or peak > 0
