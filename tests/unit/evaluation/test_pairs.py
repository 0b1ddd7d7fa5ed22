"""Contrast pairs as forks of the row that they come from: the sentence is scored, what stands before it is context."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.support.fake_engine import FakeBase

from runoff.data import Encoded, Forked, Row, Tokenizer, encode_for_scoring, load_tokenizer, make_batch
from runoff.engines.scoring import score_alone
from runoff.evaluation.pairs import forked_rows, scored_pairs

ANSWER = "Well now. Boil the eggs for 8 minutes in salted water. They are always easier to peel when cold."
LONGEST = 4096


@pytest.fixture
def tokenizer(tiny_model: Path) -> Tokenizer:
    return load_tokenizer(tiny_model)


def row(number: int = 1, answer: str = ANSWER) -> Row:
    messages = ({"role": "user", "content": "How do I boil eggs?"}, {"role": "assistant", "content": answer})
    return Row(number, "chat", messages, None, None, "eggs", f"{number:016x}" + "0" * 48)


def encoded(tokenizer: Tokenizer, *rows: Row, limit: int = LONGEST) -> Sequence[Encoded]:
    return encode_for_scoring(rows, tokenizer, max_seq_length=limit)


def lines(tokenizer: Tokenizer, forked: Forked) -> list[tuple[str, str]]:
    """What stands before each sentence, and the sentence."""
    ids = [np.concatenate([forked.row.ids[: fork.at], fork.ids]).tolist() for fork in forked.forks]
    both = zip(forked.forks, ids, strict=True)
    return [(tokenizer.rust.decode(line[: fork.start]), tokenizer.decode(line[fork.start :])) for fork, line in both]


def test_both_sentences_stand_after_the_same_words(tokenizer: Tokenizer) -> None:
    _, (forked,) = forked_rows(encoded(tokenizer, row()), tokenizer, LONGEST)
    true, false, *_ = lines(tokenizer, forked)
    assert true[0] == false[0]
    assert true[0].endswith("Well now. ")
    assert true[1] == "Boil the eggs for 8 minutes in salted water."
    assert false[1] in ("Boil the eggs for 16 minutes in salted water.", "Boil the eggs for 4 minutes in salted water.")


def test_a_fork_begins_at_the_edit_and_the_true_sentence_is_the_rows_own(tokenizer: Tokenizer) -> None:
    _, (forked,) = forked_rows(encoded(tokenizer, row()), tokenizer, LONGEST)
    true, false, *_ = forked.forks
    assert not len(true.ids)
    assert false.start == true.start < false.at < true.at
    assert tokenizer.decode(false.ids.tolist()).endswith(" minutes in salted water.")
    assert len(tokenizer.decode(false.ids.tolist())) < len("8 minutes in salted water.") + 3


def test_at_most_two_pairs_an_answer_and_none_of_text_rows(tokenizer: Tokenizer) -> None:
    pairs, rows = forked_rows(encoded(tokenizer, row(1), row(2)), tokenizer, LONGEST)
    assert [pair.edit for pair in pairs] == ["number", "frequency"] * 2
    assert [len(one.forks) for one in rows] == [4, 4]
    text = encoded(tokenizer, Row(3, "text", (), ANSWER, None, None, "3" * 64))
    assert forked_rows(text, tokenizer, LONGEST)[0] == ()


def test_equal_rows_have_their_pairs_once(tokenizer: Tokenizer) -> None:
    same = encoded(tokenizer, row(1), replace(row(1), number=2))
    pairs, rows = forked_rows(same, tokenizer, LONGEST)
    assert len(pairs) == 2
    assert [len(one.forks) for one in rows] == [4, 0]


def test_a_pair_that_does_not_fit_is_left_out_as_a_pair(tokenizer: Tokenizer) -> None:
    pairs, (forked,) = forked_rows(encoded(tokenizer, row(), limit=130), tokenizer, 130)
    assert len(pairs) == 1
    assert len(forked.forks) == 2
    assert all(fork.at + len(fork.ids) <= 130 for fork in forked.forks)


def test_what_a_row_is_scored_with_does_not_depend_on_the_other_rows(tokenizer: Tokenizer) -> None:
    many = [row(number) for number in range(1, 200)]
    pairs, rows = forked_rows(encoded(tokenizer, *many), tokenizer, LONGEST)
    _, (alone,) = forked_rows(encoded(tokenizer, row(1)), tokenizer, LONGEST)
    assert len(pairs) == 2 * len(many)
    assert rows[0].key == alone.key != alone.row.key


@pytest.mark.parametrize("answer", [ANSWER, "Boil it for 8 minutes or more.\n\nNever skip the salt in the water."])
def test_scores_are_those_of_each_sentence_as_a_row_by_itself(tokenizer: Tokenizer, answer: str) -> None:
    pairs, rows = forked_rows(encoded(tokenizer, row(answer=answer)), tokenizer, LONGEST)
    engine = FakeBase().attach(None)
    (one,) = score_alone(engine, rows)
    expected = []
    for pair in pairs:
        prompt = tokenizer.render(row().messages[:-1], add_generation_prompt=True) + pair.before
        for text in (pair.true, pair.false):
            ids = np.asarray(tokenizer.encode(prompt + text), dtype=np.int32)
            start = len(tokenizer.encode(prompt))
            (nats,) = engine.score(make_batch([Encoded(row(), ids, start, len(ids), 0, True)]))
            expected.append(math.fsum(nats) / len(nats))
    assert pairs
    assert one.forks == pytest.approx(expected)
    assert [(pair.true, pair.false) for pair in scored_pairs(pairs, [one])] == [
        (one.forks[at], one.forks[at + 1]) for at in range(0, len(one.forks), 2)
    ]


def test_a_kept_score_survives_json(tokenizer: Tokenizer) -> None:
    _, rows = forked_rows(encoded(tokenizer, row()), tokenizer, LONGEST)
    (one,) = score_alone(FakeBase().attach(None), rows)
    assert type(one).from_json(json.loads(json.dumps(one.to_json()))) == one


def test_rows_that_were_kept_before_ranks_have_none(tokenizer: Tokenizer) -> None:
    (one,) = score_alone(FakeBase().attach(None), [Forked(encoded(tokenizer, row())[0])])
    body = one.row.to_json()
    del body["end_rank"]
    assert one.row.end_rank is not None
    assert type(one.row).from_json(body).end_rank is None
