from __future__ import annotations

import math
from dataclasses import replace
from random import Random
from string import ascii_lowercase
from typing import Literal

import pytest

from runoff.evaluation.answers import Answer
from runoff.evaluation.material import Material, TrainingRow
from runoff.evaluation.measures.broken import leaks, loops, never_stops, repeated_tail
from runoff.evaluation.measures.length import LENGTH_OUTSIDE, LENGTH_RATIO


def _answer(
    text: str, *, question: str = "How do I boil an egg for breakfast?", tokens: tuple[int, ...] = ()
) -> Answer:
    return Answer("1", "s", question, None, text, tokens)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([7] * 24, True),
        ([7] * 23, False),
        ([*range(50), *[1, 2, 3, 4, 5, 6, 7, 8] * 3], True),
        ([*range(50), *[1, 2, 3, 4, 5, 6, 7] * 3], False),  # 21 tokens
        ([*[1, 2, 3, 4, 5, 6, 7, 8] * 3, 99], False),  # the loop has ended
        ([*range(100, 160)] * 3, True),
        ([*range(100, 161)] * 3, False),  # a period of 61
        ([*range(30), *[1, 2, 3, 4, 5, 6, 7, 8] * 3, 1, 2], True),  # cut in the middle of a repeat
        ([], False),
    ],
)
def test_a_tail_of_three_repeats_and_24_tokens(tokens: list[int], expected: bool) -> None:
    assert repeated_tail(tokens) is expected


@pytest.mark.parametrize("text", ["ha " * 40, "a b c d " * 10, "..........................", "Yes it is so. " * 3])
def test_loops_are_found(text: str) -> None:
    assert loops(_answer(text))


def test_a_loop_of_tokens_inside_one_word_is_found() -> None:
    assert loops(_answer("ha" * 20, tokens=(5,) * 20 + (5,) * 10))


@pytest.mark.parametrize("text", ["", "Yes.", "No, no, no.", "1. Eggs\n2. Milk\n3. Flour", "Row, row, row your boat."])
def test_short_and_plain_texts_do_not_loop(text: str) -> None:
    assert not loops(_answer(text))


def names(count: int, first: int = 0) -> list[str]:
    """So many words, no two alike."""
    return [f"w{chr(97 + at // 26)}{chr(97 + at % 26)}" for at in range(first, first + count)]


@pytest.mark.parametrize(("between", "expected"), [(9, False), (8, True)])
def test_more_than_30_of_100_repeated_4grams_are_a_loop(between: int, expected: bool) -> None:
    """Twelve words twice: 9 of 21 + `between` runs of four are repeats."""
    again = names(12)
    assert loops(_answer(" ".join([*again, *names(between, 20), *again]))) is expected


@pytest.mark.parametrize(("count", "expected"), [(9, False), (8, True)])
def test_more_than_a_tenth_of_repeated_sentences_is_a_loop(count: int, expected: bool) -> None:
    said = [" ".join(names(5, 5 * at)) for at in range(count)]
    assert loops(_answer(". ".join([*said, said[0]]) + ".")) is expected
    short = [" ".join(names(3, 5 * at)) for at in range(count)]
    assert not loops(_answer(". ".join([*short, short[0]]) + ".")), "three words may come again"


def drawn(vocabulary: int, count: int) -> str:
    """Words at random from so many of six random letters: no run of four comes again."""
    random = Random(1)
    words = ["".join(random.choices(ascii_lowercase, k=6)) for _ in range(vocabulary)]
    return " ".join(random.choice(words) for _ in range(count))


@pytest.mark.parametrize(
    ("vocabulary", "count", "expected"),
    [(16, 60, True), (16, 59, False), (34, 60, False), (20, 350, True)],
    ids=["few words", "too short", "more words", "long"],
)
def test_text_that_compresses_too_well_is_a_loop_from_60_words_on(vocabulary: int, count: int, expected: bool) -> None:
    assert loops(_answer(drawn(vocabulary, count))) is expected


def test_it_is_the_end_of_a_long_text_that_is_compressed() -> None:
    plain, few = drawn(5000, 350), drawn(20, 350)
    assert not loops(_answer(f"{few} {plain}"))
    assert loops(_answer(f"{plain} {few}"))


@pytest.mark.parametrize(
    ("reason", "seen", "expected"),
    [("stop", True, False), ("stop", False, True), ("length", True, True), ("length", False, True)],
)
def test_an_answer_stops_where_the_model_itself_ended_it(
    reason: Literal["stop", "length"], seen: bool, expected: bool
) -> None:
    assert never_stops(replace(_answer("Yes."), finish_reason=reason, end_token_seen=seen)) is expected


@pytest.mark.parametrize(
    ("question", "text", "expected"),
    [
        ("Who was he back then?", "Who was he back then? A baker.", True),
        ("Who was he then?", "Who was he then? A baker.", False),
        ("Who was he?", "A baker: пека", True),
        ("Who was he?", "A baker: пек", False),
    ],
)
def test_five_words_are_an_echo_and_four_letters_a_script(question: str, text: str, expected: bool) -> None:
    assert leaks(MATERIAL, _answer(text, question=question)) is expected


MATERIAL = Material({}, (TrainingRow("q", "Plain text of an author."),), special_tokens=("<eot>", ""))


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "Four minutes.<|im_end|>",
        "<think>\n\n</think>\n\nFour minutes.",
        "Four minutes. </s>",
        "Four minutes.\nUser: and then?",
        "### Response:\nFour minutes.",
        "[INST] Four minutes",
        "Four minutes<eot>",
        "How do I boil an egg for breakfast? Four minutes.",
        "Four minutes. 四分钟后取出来",
        "Four minutes \ufffd\ufffd",
    ],
)
def test_leaks_are_found(text: str) -> None:
    assert leaks(MATERIAL, _answer(text))


@pytest.mark.parametrize(
    "text",
    [
        "Four minutes.",
        "Use < and > as you like.",
        "The user: that is you.",
        "Café, naïve, 5 µm",
        "How do I put it? Slowly.",
    ],
)
def test_plain_answers_do_not_leak(text: str) -> None:
    assert not leaks(MATERIAL, _answer(text))


def test_what_the_author_writes_himself_is_no_leak() -> None:
    asked = "How do I boil an egg for breakfast?"
    own = Material({}, (TrainingRow("q", "Question: why? Привет всем."), TrainingRow(asked, f"**{asked}**\n\nSlowly.")))
    assert not leaks(own, _answer(f"{asked} Four minutes.", question=asked))
    assert not leaks(own, _answer("Question: why not? Привет."))
    assert not leaks(MATERIAL, _answer("Спасибо means thanks.", question="What does спасибо mean?"))


def test_lengths_are_of_unbroken_answers() -> None:
    reference = "one two three four five six seven eight"
    training = tuple(TrainingRow("q", " ".join(["word"] * n)) for n in range(5, 16))
    texts = ["a b c d e f g h i j k l m n o p", "a b c d e f g h", "", "a b"]
    answers = tuple(Answer(str(at), str(at), "q", reference, text) for at, text in enumerate(texts))
    material = Material({"run": answers}, training)
    ratio, outside = LENGTH_RATIO(material), LENGTH_OUTSIDE(material)
    assert ratio.per_example["run"] == pytest.approx({"0": math.log(2), "1": 0, "3": math.log(2 / 8)})
    assert ratio.details["run"]["median"] == 0
    assert ratio.details["run"]["interquartile range"] == pytest.approx(math.log(2) / 2 - math.log(2 / 8) / 2)
    assert ratio.details["run"]["Wasserstein distance, words"] == pytest.approx((8 + 0 + 6) / 3)
    assert set(ratio.details) == {"run"}
    assert outside.per_example["run"] == {"0": 1, "1": 0, "3": 1}
    assert ratio.author.value == 0


def test_a_length_at_the_end_of_the_authors_range_is_inside_it() -> None:
    training = tuple(TrainingRow("q", "one two three four") for _ in range(9))
    answers = tuple(Answer(text, "s", "q", None, text) for text in ("a b c", "a b c d", "a b c d e"))
    outside = LENGTH_OUTSIDE(Material({"run": answers}, training))
    assert outside.per_example["run"] == {"a b c": 1, "a b c d": 0, "a b c d e": 1}


def test_a_reference_without_words_is_as_long_as_one_word() -> None:
    answers = (Answer("1", "s", "q", "...", "a b c"), Answer("2", "t", "q", "a b", "a b"))
    ratio = LENGTH_RATIO(Material({"run": answers}))
    assert ratio.per_example["run"] == pytest.approx({"1": math.log(3), "2": 0})


def test_a_run_of_broken_answers_alone_has_no_lengths() -> None:
    answers = (Answer("1", "s", "q", "a b c", ""), Answer("2", "t", "q", "a b", ""))
    ratio = LENGTH_RATIO(Material({"run": answers}))
    assert (ratio.estimates["run"].value, ratio.details) == (None, {})
