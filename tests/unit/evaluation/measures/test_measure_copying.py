from __future__ import annotations

import math
from dataclasses import replace

import pytest

from runoff.evaluation.answers import Answer
from runoff.evaluation.material import Material, TrainingRow
from runoff.evaluation.measures.copying import COPIED, LONGEST_COPY, NEAREST_ANSWER, SharedSpan, training_spans
from runoff.evaluation.measures.nearest import nearest_cosines

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


def test_a_copy_may_begin_or_end_an_answer_or_a_training_row() -> None:
    spans = training_spans(TRAINING)
    assert spans.shared("pour the water slowly over the leaves wait") == []
    assert spans.shared("and pour the water slowly over the leaves") == [SharedSpan(0, 8, 0)]
    assert spans.shared("slowly over the leaves", least=4) == [SharedSpan(0, 4, 0)]
    assert spans.shared("over the leaves", least=4) == []


def test_the_longest_copy_begins_at_four_words() -> None:
    texts = ("nothing of it", "over the leaves now", "now slowly over the leaves")
    answers = tuple(Answer(str(at), "a", "q", None, text) for at, text in enumerate(texts))
    assert LONGEST_COPY(Material({"run": answers}, TRAINING)).per_example["run"] == {"0": 0, "1": 0, "2": 4}


def test_the_nearest_answer_is_told_by_runs_of_one_to_three_words() -> None:
    """Of "a b c" there are 6 runs, of which "c b a" has 3; what is in no training row weighs 1 + ln 2."""
    training = (TrainingRow("q", "alpha beta gamma"),)
    assert nearest_cosines(["gamma beta alpha"], ["alpha beta gamma"]) == [pytest.approx(1)]
    answers = (
        Answer("same", "a", "q", None, "Alpha, beta: gamma!"),
        Answer("turned", "a", "q", None, "gamma beta alpha"),
        Answer("other", "a", "q", None, "delta"),
        Answer("none", "a", "q", None, "..."),
    )
    unseen = 1 + math.log(2)
    assert NEAREST_ANSWER(Material({"run": answers}, training)).per_example["run"] == {
        "same": pytest.approx(1),
        "turned": pytest.approx(3 / math.sqrt(6) / math.sqrt(3 + 3 * unseen**2)),
        "other": 0,
    }


def test_a_text_that_shares_a_single_word_is_not_near(author: tuple[Answer, ...], build) -> None:  # type: ignore[no-untyped-def]
    known = [row.answer for row in build().training]
    salad = "Zebras quantum xylophone bread galaxies, quantum zebras"
    nearest, *own = nearest_cosines([salad, *(answer.text for answer in author)], known, longest=3)
    assert 0 < nearest < 0.7 * sum(own) / len(own)
    assert nearest_cosines([salad], known, longest=3) == [nearest], "whatever else is asked"


def test_texts_without_a_word_are_near_to_nothing() -> None:
    assert nearest_cosines(["...", ""], ["!"]) == [0, 0]
    assert nearest_cosines(["..."], ["a word"]) == [0]
    assert nearest_cosines([], ["a word"]) == []
