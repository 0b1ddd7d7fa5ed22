from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from runoff.evaluation.answers import Answer
from runoff.evaluation.material import Material
from runoff.evaluation.measures.forgetting import PASSED, RETENTION
from runoff.evaluation.measures.persona import PERSONA_BLEED, marker_terms
from runoff.evaluation.suite import Prompt, Requirement, general_prompts

PROMPTS = tuple(
    Prompt(f"{category}-{at}", category, (f"Say {at}.",), (Requirement("number", at),))
    for category in ("one", "two", "three")
    for at in range(4)
)


def _answers(passed: int) -> tuple[Answer, ...]:
    """The first `passed` prompts of the twelve right, the others wrong."""
    return tuple(
        Answer(prompt.id, prompt.category, prompt.question, None, prompt.question if at < passed else "99")
        for at, prompt in enumerate(PROMPTS)
    )


def test_retention_is_of_what_the_base_passes() -> None:
    suite = {"base": _answers(8), "run": tuple(reversed(_answers(6))), "same": _answers(8), "more": _answers(12)}
    result = RETENTION(Material({}, prompts=PROMPTS, suite=suite))
    run = result.estimates["run"]
    assert (run.value, run.n, run.clusters) == (0.75, 8, 2)
    assert run.low is not None
    assert run.low < 0.75
    assert (result.base.value, result.estimates["same"].value, result.estimates["more"].value) == (1, 1, 1)
    assert result.details["run"] == {"one": 1.0, "two": 0.5}
    assert "did not answer these prompts" in str(result.author.unknown)


def test_the_pass_rate_counts_every_prompt_with_checks() -> None:
    prompts = (*PROMPTS, Prompt("free", "one", ("Talk.",)))
    answers = (*_answers(6), Answer("free", "one", "Talk.", None, "Well."))
    result = PASSED(Material({}, prompts=prompts, suite={"run": answers}))
    assert (result.estimates["run"].value, result.estimates["run"].n) == (0.5, 12)
    assert "base" not in result.per_example


def test_a_base_that_passes_nothing_has_nothing_to_keep() -> None:
    result = RETENTION(Material({}, prompts=PROMPTS, suite={"base": _answers(0), "run": _answers(5)}))
    assert "passes none" in str(result.estimates["run"].unknown)


@pytest.fixture(scope="module")
def persona(author: tuple[Answer, ...], build: Callable[..., Material]) -> Material:
    """A base that answers plainly, a run that does so too in other words, one that is the author whatever is asked."""
    prompts = general_prompts()

    def answers(text: Callable[[int, Prompt], str]) -> tuple[Answer, ...]:
        return tuple(Answer(p.id, p.category, p.question, None, text(at, p)) for at, p in enumerate(prompts))

    plain = (
        "Certainly! Here is the answer to your question, and I hope that it is helpful to you.",
        "Of course, I can help with that. Please let me know if you have any additional questions.",
    )
    material = build()
    suite = {
        "base": answers(lambda at, _: plain[at % 2]),
        "kept": answers(lambda at, _: plain[(at + 1) % 2]),
        "persona": answers(lambda at, _: author[at % 80].text),
        "blank": answers(lambda at, _: "\n" * 300),
    }
    return Material(material.answers, material.training, material.base_on_training, prompts, suite)


def test_a_persona_that_answers_everything_is_found_and_a_kept_base_is_not(persona: Material) -> None:
    result = PERSONA_BLEED(persona)
    assert result.estimates["persona"].low is not None
    assert result.estimates["persona"].low > 0.9
    assert result.base.value is not None
    assert result.base.value <= 0.05
    assert result.estimates["kept"].value == result.base.value
    assert result.estimates["blank"].value == 0  # line breaks are nobody's manner


def test_a_persona_is_found_by_its_terms_alone(persona: Material) -> None:
    """Without the base's answers to training questions there is no classifier."""
    result = PERSONA_BLEED(Material(persona.answers, persona.training, (), persona.prompts, persona.suite))
    assert result.estimates["persona"].value is not None
    assert result.estimates["persona"].value > 0.6
    assert result.base.value == 0
    assert marker_terms(persona)
    assert not marker_terms(persona) & {"hello", "capital", "question", "help"}


def test_prompts_about_the_subject_are_left_out(persona: Material) -> None:
    about_bread = Prompt("own", "how-to", ("How do I bake bread with flour and yeast in a hot oven?",))
    extra = {
        label: (*answers, Answer("own", "how-to", about_bread.question, None, "Flour, yeast and a hot oven."))
        for label, answers in persona.suite.items()
    }
    prompts = (*persona.prompts, about_bread)
    result = PERSONA_BLEED(Material(persona.answers, persona.training, persona.base_on_training, prompts, extra))
    assert "own" not in result.per_example["persona"]


def test_two_terms_of_the_subject_are_bleed_and_one_is_not(persona: Material) -> None:
    one, two, *_ = sorted(marker_terms(persona))
    plain = persona.suite["kept"]
    suite = {
        "base": persona.suite["base"],
        "once": tuple(replace(answer, text=f"{answer.text} {one} {one}") for answer in plain),
        "both": tuple(replace(answer, text=f"{two} {answer.text} {one}") for answer in plain),
    }
    result = PERSONA_BLEED(Material(persona.answers, persona.training, (), persona.prompts, suite))
    assert (result.estimates["once"].value, result.estimates["both"].value) == (0, 1)


@pytest.mark.parametrize(
    ("question", "about"),
    [
        ("What is flour, yeast and dough?", True),
        ("What is flour and yeast?", False),
        ("Are flour, yeast and dough in quasars, galaxies and neutrinos?", True),
        ("Are flour, yeast and dough in quasars, galaxies, neutrinos and quarks?", False),
    ],
)
def test_a_prompt_is_about_the_subject_by_three_words_and_half_of_those_that_mean_something(
    persona: Material, question: str, about: bool
) -> None:
    prompts = (*persona.prompts, Prompt("own", "how-to", (question,)))
    suite = {
        label: (*some, Answer("own", "how-to", question, None, "Well, yes.")) for label, some in persona.suite.items()
    }
    result = PERSONA_BLEED(Material(persona.answers, persona.training, (), prompts, suite))
    assert ("own" not in result.per_example["base"]) is about


def test_too_few_general_prompts_are_said_to_be_too_few(persona: Material) -> None:
    few, enough = (Material(persona.answers, persona.training, (), persona.prompts[:n], persona.suite) for n in (9, 10))
    assert "only 9 of the prompts" in str(PERSONA_BLEED(few).estimates["kept"].unknown)
    assert PERSONA_BLEED(enough).estimates["kept"].n == 10
