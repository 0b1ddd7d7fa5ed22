from __future__ import annotations

from dataclasses import replace

import pytest

from runoff.evaluation.answers import Answer
from runoff.evaluation.material import Material, TrainingRow
from runoff.evaluation.measures.copying import COPIED, LONGEST_COPY, NEAREST_ANSWER, SharedSpan, training_spans

TRAINING = (
    TrainingRow("q1", "Put the kettle on, wait until it sings, and pour the water slowly over the leaves."),
    TrainingRow("q2", "Wait until it sings and then some more. A second row has other words in it altogether."),
)


def test_spans_are_the_longest_and_do_not_overlap() -> None:
    text = "First wait until it sings, and pour the water slowly away; a second row has other words in it, he said."
    assert training_spans(TRAINING).shared(text) == [SharedSpan(1, 9, 0), SharedSpan(11, 8, 1)]


def test_seven_words_are_not_a_copy_and_eight_are() -> None:
    spans = training_spans(TRAINING)
    assert spans.shared("pour the water slowly over the big leaves") == []
    assert spans.shared("so pour the water slowly over the leaves and") == []
    assert spans.shared("so and pour the water slowly over the leaves now") == [SharedSpan(1, 8, 0)]
    assert spans.shared("pour the water slowly over there", least=4) == [SharedSpan(0, 5, 0)]


def test_case_punctuation_and_layout_hide_no_copy() -> None:
    text = "- **Put the kettle on**\n- Wait until it SINGS - and pour!"
    assert training_spans(TRAINING).shared(text) == [SharedSpan(0, 10, 0)]


def test_a_run_that_recites_is_above_the_author(author: tuple[Answer, ...], build) -> None:  # type: ignore[no-untyped-def]
    material: Material = build()
    parrot = tuple(replace(a, text=material.training[at].answer) for at, a in enumerate(author))
    recited: Material = build(parrot=parrot, own=author)
    copied, longest, nearest = COPIED(recited), LONGEST_COPY(recited), NEAREST_ANSWER(recited)
    assert copied.estimates["parrot"].value == 1
    assert copied.author.value == 0
    assert longest.estimates["parrot"].value is not None
    assert longest.estimates["parrot"].value > 60
    assert longest.author.value is not None
    assert longest.author.value < 4
    assert nearest.estimates["parrot"].value == pytest.approx(1)
    assert nearest.author.value is not None
    assert nearest.author.value < 0.2


def test_an_empty_answer_copies_nothing_and_is_left_out() -> None:
    answers = (Answer("1", "a", "q", None, ""), Answer("2", "b", "q", None, "Something else entirely."))
    result = COPIED(Material({"run": answers}, TRAINING))
    assert result.estimates["run"].n == 1
    assert NEAREST_ANSWER(Material({"run": answers}, TRAINING)).estimates["run"].n == 1
