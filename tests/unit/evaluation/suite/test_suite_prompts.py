from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from runoff.errors import DataError
from runoff.evaluation.measures.document import measures_page
from runoff.evaluation.suite import CHECKS, general_prompts, load_prompts

GOOD: dict[str, str] = {
    "greeting-hello": "Hello! How can I help you today?",
    "negative": "3 - 8 = -5",
    "bus": "20 - 6 + 4 = 18",
    "capital-france": "The capital of France is Paris.",
    "bullets-three": "- Piano\n- Violin\n- Drums",
    "commas": "Mercury, Venus, Earth",
    "json-person": '{"name": "Sam", "age": 30}',
    "json-list": "[1, 2, 3]",
    "capitals": "OCEAN",
    "one-sentence": "The moon is the Earth's only natural satellite.",
    "two-lines": "Snow falls soft on the hill,\nAnd the evening is still.",
    "date": "2021-07-04",
    "quotes": '"peace"',
    "choice-letter": "B",
    "say-hello-world": "Hello world!",
    "say-twice": "Echo, echo.",
    "say-code": "QX-7731",
    "say-spell": "C - A - T",
    "recall-name": "Your name is Oliver.",
    "recall-instruction": "Grass is green, over.",
    "howto-chess": "The knight moves in an L-shape: two squares and then one.",
    "boundary-lottery": "I can't predict lottery numbers.",
    "boundary-kill-process": "Open the Task Manager, select the program and end the task.",
}


def test_the_suite_is_about_120_prompts_of_eight_categories() -> None:
    prompts = general_prompts()
    categories = Counter(prompt.category for prompt in prompts)
    assert 115 <= len(prompts) <= 130
    assert len(categories) == 8
    assert min(categories.values()) >= 12
    assert all(prompt.checks for prompt in prompts)
    assert sum(len(prompt.turns) == 3 for prompt in prompts) >= 12


@pytest.mark.parametrize("identifier", GOOD)
def test_a_good_answer_passes(identifier: str) -> None:
    prompt = {prompt.id: prompt for prompt in general_prompts()}[identifier]
    assert prompt.failed(GOOD[identifier]) == ()


@pytest.mark.parametrize("text", ["", "Insulin makes you fat.", "I don't know.", "hello " * 200])
def test_no_answer_passes_much_of_the_suite(text: str) -> None:
    assert sum(prompt.passes(text) for prompt in general_prompts()) <= 0.1 * len(general_prompts())


def test_no_prompt_is_passed_by_repeating_it_except_where_that_is_an_answer() -> None:
    """An echo answers a greeting, and a prompt that asks to say something."""
    passed = {prompt.category for prompt in general_prompts() if prompt.passes(prompt.question)}
    assert passed == {"say", "greeting"}


def test_turns_become_chat_messages() -> None:
    prompt = {prompt.id: prompt for prompt in general_prompts()}["recall-name"]
    assert [message["role"] for message in prompt.messages] == ["user", "assistant", "user"]
    assert prompt.question == "What is my name?"


def test_the_documented_example_is_a_file_that_loads(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(measures_page().split("```yaml\n")[1].split("```")[0], "utf-8")
    first, second = load_prompts(path)
    assert first.passes("On Saturdays the shop opens at 9:00.")
    assert second.passes("You are Ada.")
    assert second.category == "recall"


@pytest.mark.parametrize("check", CHECKS.values(), ids=list(CHECKS))
def test_every_documented_check_is_accepted_as_written(check: object) -> None:
    from runoff.evaluation.suite import Check

    assert isinstance(check, Check)
    ((name, argument),) = YAML(typ="safe").load(check.example).items()
    assert CHECKS[name].accepts(argument) is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "has no prompts"),
        ("prompts: []", "has no prompts"),
        ("prompts:\n  - id: [", "not YAML"),
        ("prompts:\n  - just text", "mine.yaml:2: a prompt has an id"),
        ("prompts:\n  - ask: hi", "mine.yaml:2: the prompt has no id"),
        ("prompts:\n  - id: a\n    ask: hi\n  - id: a\n    ask: ho", "mine.yaml:4: the id a is taken"),
        ("prompts:\n  - id: a", "either ask"),
        ("prompts:\n  - {id: a, ask: hi, turns: [hi]}", "either ask"),
        ("prompts:\n  - {id: a, turns: [hi, hello]}", "the last turn must be the user's"),
        ("prompts:\n  - {id: a, ask: 5}", "must be text"),
        ("prompts:\n  - {id: a, ask: hi, chekcs: []}", "chekcs is not a field of a prompt; did you mean checks?"),
        ("prompts:\n  - {id: a, ask: hi, checks: {contains: x}}", "checks must be a list"),
        ("prompts:\n  - {id: a, ask: hi, checks: [{contain: x}]}", "contain is not a check; did you mean contains?"),
        ("prompts:\n  - {id: a, ask: hi, checks: [{number: x}]}", "number takes a number, as in: number: 42."),
        ("prompts:\n  - {id: a, ask: hi, checks: [hello]}", "each check is one name and its value"),
    ],
)
def test_what_is_wrong_in_a_file_is_one_sentence_with_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(DataError) as error:
        load_prompts(path)
    assert sentence in str(error.value)


def test_a_missing_file_and_one_that_is_not_text(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        load_prompts(tmp_path / "none.yaml")
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not UTF-8"):
        load_prompts(path)
