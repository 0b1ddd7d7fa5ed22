"""Picking tokens: greedy and sampled, when an answer ends, and that an example's chance is its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from runoff.engines.generation import BATCH_POSITIONS, Ids, Logits, Sampling, _nucleus, batches, generate, pick

END = 3


@dataclass
class Scripted:
    """Continues every prompt with the numbers after its last id; 3 ends."""

    present: Ids
    fed: list[int]

    def logits(self) -> Logits:
        logits = np.zeros((len(self.present), 10), dtype=np.float32)
        logits[np.arange(len(self.present)), (self.present + 1) % 10] = 5.0
        return logits

    def push(self, ids: Ids) -> None:
        self.present = ids
        self.fed.append(len(ids))

    def keep(self, rows: Sequence[int]) -> None:
        self.present = self.present[list(rows)]


class Engine:
    def __init__(self) -> None:
        self.batches: list[int] = []
        self.fed: list[int] = []

    def decoder(self, prompts: Sequence[Ids]) -> Scripted:
        self.batches.append(len(prompts))
        return Scripted(np.array([prompt[-1] for prompt in prompts], dtype=np.int32), self.fed)


def prompt(*ids: int) -> Ids:
    return np.array(ids, dtype=np.int32)


def test_an_answer_ends_with_the_end_token_or_at_the_limit() -> None:
    found = generate(Engine(), [prompt(0), prompt(5, 6)], frozenset({END}), Sampling(max_tokens=4))
    assert (found[0].ids, found[0].finish_reason) == ((1, 2), "stop")
    assert (found[1].ids, found[1].finish_reason) == ((7, 8, 9, 0), "length")


def test_answers_come_back_in_the_order_of_the_prompts_whatever_the_batches() -> None:
    prompts = [prompt(*range(count, -1, -1), 0) for count in (5, 0, 3, 1)]
    engine = Engine()
    found = generate(engine, prompts, frozenset({END}), Sampling(max_tokens=5), rows=3)
    assert [one.ids for one in found] == [(1, 2)] * 4
    assert engine.batches == [3, 1]


def test_rows_that_have_ended_leave_eight_at_a_time() -> None:
    """Seven end at once and are fed on; with two more, two tokens later, eight leave and one is fed to the end."""
    starts = [2] * 7 + [4, 0, 0, 4]
    engine = Engine()
    found = generate(engine, [prompt(start) for start in starts], frozenset({END}), Sampling(max_tokens=5))
    assert [one.ids for one in found] == [()] * 7 + [(5, 6, 7, 8, 9), (1, 2), (1, 2), (5, 6, 7, 8, 9)]
    assert engine.fed == [11, 11, 3, 3]


def test_a_batch_is_bounded_in_rows_and_in_what_it_holds_at_its_longest() -> None:
    assert batches([5, 3, 9, 3], 10, rows=3) == [[1, 3, 0], [2]]
    assert batches([5] * 70, 10) == [list(range(64)), list(range(64, 70))]
    at_longest = BATCH_POSITIONS // 4
    assert [len(one) for one in batches([100] * 9, at_longest - 100)] == [4, 4, 1]
    assert batches([100, 7], BATCH_POSITIONS) == [[1], [0]]
    assert batches([], 10) == []


def test_a_sample_depends_on_the_seed_and_the_prompt_alone() -> None:
    sampling = Sampling(max_tokens=6, temperature=2.0, seed=1)
    one, other = prompt(0, 4), prompt(9, 4)
    together = generate(Engine(), [one, other], frozenset({END}), sampling)
    alone = generate(Engine(), [other], frozenset({END}), sampling)
    assert together[1] == alone[0]
    reseeded = [generate(Engine(), [other], frozenset(), Sampling(20, 2.0, seed=seed))[0].ids for seed in range(3)]
    assert len(set(reseeded)) == 3


def test_sampling_follows_the_chances() -> None:
    logits, random = np.log(np.array([0.2, 0.5, 0.3], dtype=np.float32)), np.random.Generator(np.random.PCG64(0))
    counts = np.bincount([pick(logits, Sampling(1, 1.0), random) for _ in range(4000)], minlength=3) / 4000
    np.testing.assert_allclose(counts, [0.2, 0.5, 0.3], atol=0.03)


@pytest.mark.parametrize(("top_p", "kept"), [(0.4, {1}), (0.5, {1}), (0.6, {1, 2}), (1.0, {0, 1, 2})])
def test_top_p_keeps_the_fewest_tokens_that_reach_it(top_p: float, kept: set[int]) -> None:
    logits, random = np.log(np.array([0.2, 0.5, 0.3], dtype=np.float32)), np.random.Generator(np.random.PCG64(0))
    assert {pick(logits, Sampling(1, 1.0, top_p), random) for _ in range(400)} == kept


@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.9, 0.999])
def test_top_p_sorts_few_tokens_and_misses_none(top_p: float) -> None:
    """Against the definition over the whole vocabulary."""
    random = np.random.Generator(np.random.PCG64(3))
    for flatness in (0.1, 1.0, 4.0):
        logits = flatness * random.standard_normal(5000).astype(np.float32)
        chances = np.exp(logits - logits.max())
        order = np.argsort(-chances, kind="stable")
        sums = np.cumsum(chances[order], dtype=np.float64)
        needed = 1 + int(np.searchsorted(sums, top_p * sums[-1]))
        assert set(_nucleus(chances, top_p)) == set(order[:needed])
