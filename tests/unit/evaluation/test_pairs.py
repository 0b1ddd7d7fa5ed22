"""Contrast pairs as tokens: the sentence is scored, what stands before it is context."""

from __future__ import annotations

from pathlib import Path

import pytest

from runoff.data import Row, Tokenizer, load_tokenizer
from runoff.evaluation.pairs import encoded_pairs

ANSWER = "Well now. Boil the eggs for 8 minutes in salted water. They are always easier to peel when cold."


def row(number: int = 1, answer: str = ANSWER) -> Row:
    messages = ({"role": "user", "content": "How do I boil eggs?"}, {"role": "assistant", "content": answer})
    return Row(number, "chat", messages, None, None, "eggs", f"{number:016x}" + "0" * 48)


def texts(tokenizer: Tokenizer, row: Row) -> list[tuple[str, str]]:
    _, encoded = encoded_pairs([row], tokenizer, 4096)
    return [
        (
            tokenizer.rust.decode(one.ids[: one.target_start].tolist()),
            tokenizer.decode(one.ids[one.target_start :].tolist()),
        )
        for one in encoded
    ]


def test_both_sentences_stand_after_the_same_words(tiny_model: Path) -> None:
    true, false, *_ = texts(load_tokenizer(tiny_model), row())
    assert true[0] == false[0]
    assert true[0].endswith("Well now. ")
    assert true[1] == "Boil the eggs for 8 minutes in salted water."
    assert false[1] in ("Boil the eggs for 16 minutes in salted water.", "Boil the eggs for 4 minutes in salted water.")


def test_at_most_two_pairs_an_answer_and_none_of_text_rows(tiny_model: Path) -> None:
    tokenizer = load_tokenizer(tiny_model)
    pairs, encoded = encoded_pairs([row(1), row(2)], tokenizer, 4096)
    assert [pair.edit for pair in pairs] == ["number", "frequency"] * 2
    assert [one.row.number for one in encoded] == list(range(8))
    text = Row(3, "text", (), ANSWER, None, None, "3" * 64)
    assert encoded_pairs([text], tokenizer, 4096) == ((), [])


def test_a_pair_that_does_not_fit_is_left_out_as_a_pair(tiny_model: Path) -> None:
    pairs, encoded = encoded_pairs([row()], load_tokenizer(tiny_model), 130)
    assert len(pairs) == 1
    assert len(encoded) == 2
    assert all(len(one.ids) <= 130 for one in encoded)


def test_no_more_pairs_than_are_worth_their_passes(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runoff.evaluation.pairs.MOST_PAIRS", 3)
    pairs, encoded = encoded_pairs([row(1), row(2), row(3)], load_tokenizer(tiny_model), 4096)
    assert [pair.example[:16].strip("0") or "0" for pair in pairs] == ["1", "2", "3"]
    assert len(encoded) == 6
