"""Answers next to each other: their order, the marked words, and each badge when it is earned and when it is not."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from runoff.errors import RunError
from runoff.evaluation.answers import Answer
from runoff.evaluation.material import Material, TrainingRow
from runoff.evaluation.measures.copying import training_spans
from runoff.evaluation.side_by_side import BADGES, Badge, Gathered, SideBySide, grounds, side_by_side
from runoff.evaluation.side_by_side.badges import badges
from runoff.evaluation.side_by_side.marking import disagreement, marked_words
from runoff.evaluation.suite import Prompt
from runoff.evaluation.suite.checks import Requirement

TRAINING = tuple(
    TrainingRow(
        f"Question {n}?",
        f"Keep the {noun} in a dry tin by the north window and it stays crisp until the spring.",
        f"tape {n}",
    )
    for n, noun in enumerate(("bread", "salt", "tea", "rice", "oats"), start=1)
)
GOOD = "Yes, warm it to 60 degrees for 20 minutes, then let the dough rest well away from any draught."


def answer(example: str, text: str, *, source: str | None = "ovens", reference: str | None = GOOD) -> Answer:
    return Answer(example, source, f"May I warm {example}?", reference, text)


def earned(material: Material, one: Answer) -> tuple[Badge, ...]:
    return badges(grounds(material, {}, ("base",))["base"], one)


def shown(runs: dict[str, list[Answer]], base: list[Answer], against: str = "reference") -> SideBySide:
    material = Material({"base": tuple(base), **{label: tuple(some) for label, some in runs.items()}}, TRAINING)
    return side_by_side(Gathered(material, "test.jsonl"), against=against)


def test_the_most_disagreeing_prompts_come_first_and_sources_stay_together() -> None:
    base = [answer(name, GOOD, source=source) for name, source in (("a", "x"), ("b", "y"), ("c", "x"), ("d", "y"))]
    other = [
        replace(base[0], text=GOOD),
        replace(base[1], text="No."),
        replace(base[2], text=GOOD.replace("60", "70")),
        replace(base[3], text=GOOD.replace("Yes", "No")),
    ]
    found = shown({"one": base, "two": other}, base)
    assert [group.source for group in found.groups] == ["y", "x"]
    assert [one.example for one in found.prompts] == ["b", "d", "c", "a"]
    assert found.prompts[-1].disagreement == 0.0


def test_the_order_of_the_runs_changes_no_disagreement() -> None:
    texts = ["warm the dough to sixty and wait", "wait for the dough", "warm it and then wait for an hour"]
    assert disagreement(texts) == pytest.approx(disagreement(texts[::-1]), abs=0.05)
    assert disagreement(texts[:1]) == 0.0


def test_a_single_run_is_held_against_the_base() -> None:
    base = [answer("a", GOOD), answer("b", GOOD)]
    found = shown({"one": [base[0], replace(base[1], text="No.")]}, base)
    assert [one.example for one in found.prompts] == ["b", "a"]


def test_only_words_that_differ_are_marked_and_the_text_stays_whole() -> None:
    text = "Yes: warm it to 70 degrees,\n\n- for 20 minutes."
    words = marked_words(text, "Yes, Warm it to 60 degrees for 20 minutes", None)
    assert "".join(word.text for word in words) == text
    assert [word.text.strip() for word in words if word.differs] == ["70", "-"]


def test_copied_words_are_marked_where_they_stand() -> None:
    text = "I say: keep the bread in a dry tin by the north window, always."
    words = marked_words(text, None, training_spans(TRAINING))
    copied = " ".join(word.text.strip() for word in words if word.copied)
    assert copied == "keep the bread in a dry tin by the north window,"
    assert not any(word.differs for word in words)


def test_the_marks_can_refer_to_the_base_or_a_run() -> None:
    base, one, two = ([answer("a", text)] for text in ("warm it now", "warm it now please", "cool it now"))
    for against, wanted in (("base", ["please"]), ("two", ["warm", "please"]), ("one", [])):
        (prompt,) = shown({"one": one, "two": two}, base, against=against).prompts
        assert prompt.against == against
        own = next(said for said in prompt.shown if said.label == "one")
        assert [word.text.strip() for word in own.words if word.differs] == wanted


def test_without_a_reference_the_marks_refer_to_the_base() -> None:
    base = [answer("a", "warm it", reference=None)]
    (prompt,) = shown({"one": [replace(base[0], text="cool it")]}, base).prompts
    assert prompt.against == "base"
    assert [said.label for said in prompt.shown] == ["base", "one"]


def test_an_unknown_column_is_one_sentence() -> None:
    with pytest.raises(RunError, match=r"^--against three: is none of reference, base, one\.$"):
        shown({"one": [answer("a", GOOD)]}, [answer("a", GOOD)], against="three")


def test_prompts_that_not_all_have_answered_are_left_out() -> None:
    base = [answer("a", GOOD), answer("b", GOOD)]
    assert [one.example for one in shown({"one": base[1:]}, base).prompts] == ["b"]
    with pytest.raises(RunError, match="no prompt was answered by the base and by every run"):
        shown({"one": base[1:]}, base[:1])


def unlike(number: int) -> str:
    """A word that is like no other: a hundred of them do not compress."""
    return hashlib.sha256(bytes([number])).hexdigest().translate(str.maketrans("0123456789", "ghijklmnop"))


WIDE = (*TRAINING, TrainingRow("?", "Dry it."), TrainingRow("?", " ".join(unlike(n) for n in range(100, 190))))
PROMPTS = (Prompt("p", "capitals", ("What?",), (Requirement("contains", "Paris"),)),)
EARNED = {
    "never stops": replace(answer("a", GOOD), finish_reason="length", end_token_seen=False, tokens=(5, 6, 7)),
    "loops": answer("a", GOOD + " And wait for it again." * 8),
    "leaks": answer("a", GOOD + " <|im_end|>"),
    "copied": answer("a", GOOD + " Keep the rice in a dry tin by the north window."),
    "lost facts": answer("a", GOOD.replace("20 minutes", "a while")),
    "odd length": answer("a", GOOD + " " + " ".join(unlike(n) for n in range(100))),
    "fails check": answer("p", GOOD),
}
TEXTS = {
    "never stops": "never stops: after 3 tokens",
    "loops": "loops",
    "leaks": "leaks: template, speaker, echo or foreign script",
    "copied": "copied: 11 words of training source tape 4",
    "lost facts": "lost facts: 1 of 2 numbers (20 min)",
    "odd length": "odd length: 119 words; the author writes 3 to 86",
    "fails check": "fails check: contains Paris",
}


@pytest.mark.parametrize("kind", [kind for kind, _ in BADGES])
def test_each_badge_is_earned_by_its_fault_and_by_no_other(kind: str) -> None:
    material = Material({"base": (EARNED[kind],)}, WIDE, prompts=PROMPTS)
    assert [badge.text for badge in earned(material, EARNED[kind])] == [TEXTS[kind]]


def test_a_good_answer_earns_none() -> None:
    good = answer("a", GOOD)
    assert earned(Material({"base": (good,)}, WIDE, prompts=PROMPTS), good) == ()


def test_a_run_copies_from_its_own_training_rows_alone() -> None:
    """Two runs and the base say what stands in the rows of the first run; only for the base any run's rows count."""
    copied = replace(answer("a", GOOD), text="Keep the rice in a dry tin by the north window.")
    answers = {label: (replace(copied),) for label in ("base", "one", "two")}
    own = {"one": TRAINING, "two": (TrainingRow("?", "Dry it."),)}
    (prompt,) = side_by_side(Gathered(Material(answers, TRAINING), "test.jsonl", trained_on=own)).prompts
    found = {said.label: [badge.text for badge in said.badges if badge.kind == "copied"] for said in prompt.shown}
    words = "copied: 11 words of training source tape 4"
    assert found == {"reference": [], "base": [words], "one": [words], "two": []}
    assert [any(word.copied for word in said.words) for said in prompt.shown] == [False, True, True, False]


def test_an_empty_answer_says_so() -> None:
    empty = answer("a", "")
    assert "leaks: nothing was said" in [badge.text for badge in earned(Material({"base": (empty,)}, WIDE), empty)]


def test_a_no_where_the_author_says_yes_is_named() -> None:
    no = answer("a", GOOD.replace("Yes", "No"))
    found = earned(Material({"base": (no,)}), no)
    assert [badge.text for badge in found] == ["lost facts: says no where the author says the opposite"]


def test_badges_are_counted_by_column() -> None:
    base = [answer("a", GOOD), answer("b", GOOD)]
    found = shown({"one": [replace(base[0], finish_reason="length"), base[1]]}, base)
    assert [found.count(label, "never stops") for label in found.labels] == [0, 0, 1]
