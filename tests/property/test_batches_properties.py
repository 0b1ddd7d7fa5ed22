"""Laws of the order of rows."""

from __future__ import annotations

from itertools import chain

from hypothesis import given, settings
from hypothesis import strategies as st

from runoff.data import epoch_order, fixed_order

LENGTHS = st.lists(st.integers(1, 500), max_size=300)
SIZES = st.integers(1, 9)
SEEDS = st.integers(0, 2**32)


@given(LENGTHS, SIZES, SEEDS, st.integers(0, 10**6))
@settings(max_examples=150)
def test_an_epoch_has_every_row_once(lengths: list[int], size: int, seed: int, epoch: int) -> None:
    batches = epoch_order(lengths, size, seed=seed, epoch=epoch)
    assert sorted(chain(*batches)) == list(range(len(lengths)))
    assert len(batches) == -(-len(lengths) // size)
    short = [batch for batch in batches if len(batch) != size]
    assert len(short) <= 1
    assert all(batch for batch in batches)


@given(LENGTHS, SIZES, SEEDS, st.integers(0, 99))
@settings(max_examples=50)
def test_an_epoch_depends_on_nothing_but_its_arguments(lengths: list[int], size: int, seed: int, epoch: int) -> None:
    first = epoch_order(lengths, size, seed=seed, epoch=epoch)
    epoch_order(lengths[::-1], size + 1, seed=seed + 1, epoch=epoch + 1)
    assert epoch_order(tuple(lengths), size, seed=seed, epoch=epoch) == first


@given(LENGTHS, SIZES, SEEDS, st.integers(0, 2**32))
@settings(max_examples=50)
def test_the_sizes_of_the_batches_do_not_depend_on_the_lengths(
    lengths: list[int], size: int, seed: int, epoch: int
) -> None:
    """The plan counts the rows of a partial epoch by it."""
    plain = epoch_order([0] * len(lengths), size, seed=seed, epoch=epoch)
    assert [len(batch) for batch in epoch_order(lengths, size, seed=seed, epoch=epoch)] == [
        len(batch) for batch in plain
    ]


@given(st.lists(st.integers(1, 500), min_size=30, max_size=200), st.integers(1, 4), SEEDS)
@settings(max_examples=30)
def test_another_epoch_and_another_seed_are_another_order(lengths: list[int], size: int, seed: int) -> None:
    orders = [epoch_order(lengths, size, seed=seed + more, epoch=epoch) for more, epoch in ((0, 0), (0, 1), (1, 0))]
    assert orders[0] != orders[1] != orders[2] != orders[0]


@given(LENGTHS, SIZES)
@settings(max_examples=50)
def test_the_fixed_order_has_every_row_once_by_length(lengths: list[int], size: int) -> None:
    batches = fixed_order(lengths, size)
    flat = list(chain(*batches))
    assert sorted(flat) == list(range(len(lengths)))
    assert [lengths[row] for row in flat] == sorted(lengths)
    assert all(len(batch) == size for batch in batches[:-1])
