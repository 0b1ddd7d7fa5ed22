"""Padding, and the order of rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.support.runs import chat_row, write_rows

from runoff.data import Encoded, encode_for_training, epoch_order, fixed_order, load_rows, load_tokenizer, make_batch


@pytest.fixture
def examples(tiny_model: Path, tmp_path: Path) -> list[Encoded]:
    rows = load_rows(write_rows(tmp_path / "rows.jsonl", [chat_row(number) for number in range(5)])).rows
    return encode_for_training(rows, load_tokenizer(tiny_model), mask_prompt=True, max_seq_length=2048)


def test_rows_are_padded_on_the_right_with_id_0_to_the_longest(examples: list[Encoded]) -> None:
    batch = make_batch(examples)
    assert batch.ids.shape == batch.targets.shape == (5, max(len(example.ids) for example in examples))
    assert batch.lengths.tolist() == [len(example.ids) for example in examples]
    for index, example in enumerate(examples):
        size = len(example.ids)
        assert np.array_equal(batch.ids[index, :size], example.ids)
        assert not batch.ids[index, size:].any()
        expected = [example.target_start <= at < example.target_end for at in range(batch.ids.shape[1])]
        assert batch.targets[index].tolist() == expected
    assert not batch.targets[:, 0].any()
    assert batch.target_tokens == sum(example.target_tokens for example in examples)


@pytest.mark.parametrize(
    ("rows", "shared"),
    [
        ([[1, 2, 3, 4]], (0,)),
        ([[1, 2, 3, 4], [1, 2, 5]], (0, 2)),
        ([[1, 2], [1, 2, 5], [1, 2], [7, 2]], (0, 2, 1, 0)),
        ([[1, 2, 3], [1, 2, 3], [1]], (0, 2, 0)),
    ],
)
def test_ids_shared_with_the_first_row(rows: list[list[int]], shared: tuple[int, ...], examples: list[Encoded]) -> None:
    """Padding shares nothing, and the last id of a row is always its own."""
    encoded = [replace(examples[0], ids=np.asarray(ids, dtype=np.int32), target_end=len(ids)) for ids in rows]
    assert make_batch(encoded).shared == shared


def test_grouping_by_length_pads_much_less_than_file_order() -> None:
    random = np.random.Generator(np.random.PCG64(0))
    lengths: list[int] = random.lognormal(4, 1, 1000).astype(int).tolist()

    def padding(batches: list[tuple[int, ...]]) -> float:
        widths: int = sum(max(lengths[row] for row in batch) * len(batch) for batch in batches)
        return 1 - float(sum(lengths)) / widths

    file_order = [tuple(range(at, at + 4)) for at in range(0, 1000, 4)]
    assert padding(file_order) > 0.5
    assert padding(epoch_order(lengths, 4, seed=0, epoch=0)) < 0.1


def test_rows_meet_other_rows_in_another_epoch() -> None:
    lengths = [10] * 40
    first, second = ({frozenset(batch) for batch in epoch_order(lengths, 4, seed=0, epoch=epoch)} for epoch in (0, 1))
    assert len(first & second) <= 1


def test_lengths_do_not_come_in_order() -> None:
    lengths = list(range(200))
    means = [np.mean(batch) for batch in epoch_order(lengths, 4, seed=3, epoch=0)]
    assert abs(float(np.corrcoef(means, range(len(means)))[0, 1])) < 0.5


def test_the_fixed_order_goes_by_length_then_row() -> None:
    assert fixed_order([3, 1, 3, 2, 1], 2) == [(1, 4), (3, 0), (2,)]
    assert fixed_order([], 2) == []
