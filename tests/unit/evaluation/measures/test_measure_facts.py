from __future__ import annotations

import pytest

from runoff.evaluation.answers import Answer
from runoff.evaluation.material import Material, TrainingRow
from runoff.evaluation.measures.claims import Quantity, agreement, claims, key_terms, polarity, quantities
from runoff.evaluation.measures.contrast import propose_pairs
from runoff.evaluation.measures.facts import FACTS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Bake at 96 degrees.", [Quantity(96, "°")]),
        ("Two teaspoons, ten minutes, 250 ml", [Quantity(2, "tsp"), Quantity(10, "min"), Quantity(250, "ml")]),
        ("1,200 mg is 1.2 g", [Quantity(1200, "mg"), Quantity(1.2, "g")]),
        ("5 per cent, 5 %, 5 percent", [Quantity(5, "%")]),
        ("It costs €20 or $5", [Quantity(20, "€"), Quantity(5, "$")]),
        ("one of them, one day, in 1974", [Quantity(1, "day"), Quantity(1974, None)]),
        ("A1 paper, mp3 and no number", []),
        ("**40** *grams*", [Quantity(40, "g")]),
        ("twenty-five grams, Seventy two degrees", [Quantity(25, "g"), Quantity(72, "°")]),
        ("two hundred and fifty ml, a hundred days", [Quantity(250, "ml"), Quantity(100, "day")]),
        ("three thousand one hundred and six euros", [Quantity(3106, "€")]),
        ("a thousand and one weeks in 2 years", [Quantity(1001, "week"), Quantity(2, "year")]),
        ("thirty, forty, fifty", [Quantity(30, None), Quantity(40, None), Quantity(50, None)]),
        ("sixty, eighty-eight, ninety", [Quantity(60, None), Quantity(88, None), Quantity(90, None)]),
        ("ten or twelve, seven and nine, one by one", [Quantity(at, None) for at in (10, 12, 7, 9)]),
    ],
)
def test_quantities(text: str, expected: list[Quantity]) -> None:
    assert list(quantities(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Yes, always.", True),
        ("**No.** It is not.", False),
        ("Never in winter. Yes?", False),
        ("Don’t.", False),
        ("Twenty grams. No more.", None),
        ("Nothing is lost", None),
        ("Of course not.", False),
        ("They are not safe to eat.", False),
        ("They are safe to eat, not cheap.", True),
        ("You can never be sure.", False),
        ("It's not done.", False),
        ("It is no longer sold.", None),
        ("", None),
    ],
)
def test_polarity_is_the_first_sentences(text: str, expected: bool | None) -> None:
    assert polarity(text) is expected


def test_a_number_agrees_with_the_same_number_whose_unit_is_missing_but_not_another() -> None:
    assert Quantity(20, "g").agrees(Quantity(20.1, None))
    assert not Quantity(20, "g").agrees(Quantity(20, "kg"))
    assert not Quantity(20, "g").agrees(Quantity(21, "g"))


def test_what_the_question_says_is_no_claim_of_the_answer() -> None:
    terms = frozenset({"yeast", "salt", "flour"})
    found = claims("Yes, 20 grams of salt to 1 kg of flour.", "How much salt for 1 kg?", terms)
    assert found.quantities == (Quantity(20, "g"),)
    assert found.terms == {"flour"}
    assert len(found) == 3


def test_each_claim_is_matched_once() -> None:
    one = claims("5 g and 5 kg", "", frozenset())
    other = claims("5", "", frozenset())
    assert agreement(one, other) == 1


def test_key_terms_are_words_of_the_subject() -> None:
    texts = ("The yeast is in the dough", "Yeast and dough and 20 grams", "You are there", "The tides are high")
    assert key_terms(texts) == {"yeast", "dough"}


def _facts(text: str) -> dict[str, float | None]:
    training = (
        TrainingRow("a", "yeast and salt"),
        TrainingRow("b", "salt, yeast and flour"),
        TrainingRow("c", "flour"),
    )
    answer = Answer("1", "s", "How?", "Yes. Salt, yeast, 20 grams and 30 minutes.", text)
    material = Material({"run": (answer,)}, training)
    return {measure.about.key: measure(material).estimates["run"].value for measure in FACTS}


def test_precision_recall_and_f1() -> None:
    """The author claims 5 things; of 4 that are stated, 3 are his."""
    found = _facts("Yes, salt, 20 grams and 45 minutes.")
    assert found["facts_precision"] == pytest.approx(3 / 4)
    assert found["facts_recall"] == pytest.approx(3 / 5)
    assert found["facts"] == pytest.approx(6 / 9)
    assert found["facts_numbers"] == pytest.approx(1 / 2)
    assert found["facts_terms"] == pytest.approx(2 / 3)
    assert found["facts_polarity"] == 1


def test_without_a_claim_or_an_answer_of_the_authors_there_is_nothing_to_agree_with() -> None:
    training = (TrainingRow("q", "Salt and yeast."), TrainingRow("q", "Flour and salt and yeast."))
    references = ("It depends on many things.", "Salt, 5 g.", None)
    answers = tuple(Answer(str(at), "s", "How?", ref, "Salt, 5 g.") for at, ref in enumerate(references))
    found = {measure.about.key: measure(Material({"run": answers}, training)) for measure in FACTS}
    assert found["facts"].per_example["run"] == found["facts_recall"].per_example["run"] == {"1": 1}
    assert found["facts_precision"].per_example["run"] == {"0": 0, "1": 1}


def test_a_single_answer_of_the_author_can_be_dealt_to_no_other_question() -> None:
    training = (TrainingRow("q", "Salt and yeast.", "s"), TrainingRow("q", "Flour and salt and yeast.", "t"))
    own = tuple(Answer(str(at), "s", "How much?", f"{at} g of salt.", f"{at} g of salt.") for at in (5, 7))
    beside = [FACTS[0](Material({"run": own[:count]}, training)).details["author"] for count in (1, 2)]
    assert beside == [{}, {"the author's answers to other questions": 0.5}]


def test_an_answer_that_claims_nothing_has_no_precision_but_a_recall() -> None:
    found = _facts("It depends on many things.")
    assert found["facts_precision"] is None
    assert (found["facts_recall"], found["facts"], found["facts_polarity"]) == (0, 0, 0)


def _pair(text: str) -> tuple[str, str, str] | None:
    pairs = propose_pairs([Answer("1", "s", "q", text, text)], most_per_answer=1)
    return (pairs[0].edit, pairs[0].true, pairs[0].false) if pairs else None


@pytest.mark.parametrize(
    ("text", "edit", "false"),
    [
        ("Insulin raises the sugar in your blood.", "direction", "Insulin lowers the sugar in your blood."),
        ("You should always weigh the flour first.", "frequency", "You should never weigh the flour first."),
        ("Every loaf cools on a rack.", "frequency", "No loaf cools on a rack."),
        ("The soap does not dissolve old grease.", "negation", "The soap does dissolve old grease."),
        ("It was built by monks in 1974.", "number", "It was built by monks in 1954."),
    ],
)
def test_minimal_false_edits(text: str, edit: str, false: str) -> None:
    assert _pair(text) == (edit, text, false)


@pytest.mark.parametrize("number", ["7 grams", "2.5 grams", "1,500 grams", "ten grams", "0.8 grams"])
def test_a_number_is_doubled_or_halved_in_its_own_form(number: str) -> None:
    found = _pair(f"The starter needs {number} of flour.")
    assert found is not None
    (true,), (false,) = quantities(found[1]), quantities(found[2])
    assert false.value / true.value in (2, 0.5)
    assert ("." in found[2].rstrip(".")) == ("." in number)


@pytest.mark.parametrize(
    "text",
    [
        "Does salt always raise the boiling point?",
        "Too short, always.",
        "Bake 10 to 15 of them at once.",
        "A plain claim here too.",
    ],
)
def test_what_has_no_sure_edit_gives_no_pair(text: str) -> None:
    assert _pair(text) is None


def test_pairs_of_the_corpus_differ_in_one_place_and_keep_their_context(author: tuple[Answer, ...]) -> None:
    pairs = propose_pairs(author)
    assert len(pairs) > 100
    assert {pair.edit for pair in pairs} == {"number", "direction", "frequency", "negation"}
    assert pairs == propose_pairs(author)
    texts = {answer.example: answer.text for answer in author}
    for pair in pairs:
        assert texts[pair.example].startswith(pair.before + pair.true)
        true, false = pair.true.split(), pair.false.split()
        start = next(at for at, (a, b) in enumerate(zip(true, false, strict=False)) if a != b)
        end = next(at for at, (a, b) in enumerate(zip(true[::-1], false[::-1], strict=False)) if a != b)
        assert max(len(true), len(false)) - start - end <= 2
