"""Duplicates: every share is exact, groups are whole, and crowds cost no more than their size."""

from __future__ import annotations

import random
import time

from runoff.data.duplicates import NEAR, clusters, exact_duplicates, near_duplicates

WORDS = [f"word{number}" for number in range(400)]


def text(seed: int, words: int = 60) -> list[str]:
    return random.Random(seed).choices(WORDS, k=words)


def changed(words: list[str], places: int, seed: int = 0) -> list[str]:
    """A copy with some words replaced, spread evenly."""
    copy = list(words)
    for at in range(places):
        copy[at * len(words) // max(places, 1)] = f"other{seed}x{at}"
    return copy


def share(a: list[str], b: list[str]) -> float:
    first, second = ({tuple(words[at : at + 3]) for at in range(len(words) - 2)} for words in (a, b))
    return len(first & second) / len(first | second)


def test_unrelated_texts_are_no_duplicates() -> None:
    assert near_duplicates([" ".join(text(seed)) for seed in range(50)]) == []


def test_the_share_is_counted_exactly() -> None:
    a, b = text(1), changed(text(1), 2)
    (pair,) = near_duplicates([" ".join(a), " ".join(text(7)), " ".join(b)])
    assert (pair.first, pair.second) == (0, 2)
    assert pair.shared == share(a, b)


def test_case_and_punctuation_do_not_matter() -> None:
    a = " ".join(text(2))
    (pair,) = near_duplicates([a, a.upper().replace(" ", ", ")])
    assert pair.shared == 1.0


def test_pairs_below_the_limit_are_not_returned() -> None:
    a = text(3)
    pairs = [changed(a, places) for places in range(1, 12)]
    found = near_duplicates([" ".join(a), *(" ".join(words) for words in pairs)])
    assert all(pair.shared >= NEAR for pair in found)
    assert {0, 1} <= {pair.first for pair in found} | {pair.second for pair in found}


def test_of_pairs_at_80_percent_nearly_all_are_found() -> None:
    texts, expected = [], 0
    for seed in range(200):
        a = text(seed, 90)
        b = changed(a, 3, seed)
        assert 0.79 < share(a, b) < 0.87
        texts += [" ".join(a), " ".join(b)]
        expected += 1
    assert len(near_duplicates(texts)) >= expected - 1


def test_equal_texts_are_left_to_exact_duplicates() -> None:
    assert near_duplicates(["a b c d", "a b c d"]) == []
    assert [(pair.first, pair.second) for pair in exact_duplicates(["x", "y", "x", "x"])] == [(0, 2), (2, 3)]


def test_short_empty_and_odd_texts() -> None:
    assert [(p.first, p.second) for p in near_duplicates(["", "!", "yes", "Yes.", "\ud800 a b c"])] == [(0, 1), (2, 3)]


def test_clusters_join_what_is_linked() -> None:
    pairs = near_duplicates([" ".join(changed(text(5), n, n)) for n in (0, 1, 2)] + [" ".join(text(9))])
    assert clusters(4, pairs) == [0, 0, 0, 3]


def test_a_thousand_copies_of_one_text_are_cheap_and_one_group() -> None:
    texts = [" ".join(changed(text(4, 80), 1, seed)) for seed in range(1000)]
    started = time.process_time()
    pairs = near_duplicates(texts)
    assert time.process_time() - started < 5
    assert set(clusters(1000, pairs)) == {0}
