from __future__ import annotations

from typing import Any

import pytest

from runoff.evaluation.suite import CHECKS, Requirement

CASES: list[tuple[str, Any, str, bool]] = [
    ("contains", "Paris", "The capital is PARIS.", True),
    ("contains", "Paris", "A comparison of Parisians", False),
    ("contains", ["red", "blue"], "blue and red", True),
    ("contains", ["red", "blue"], "blue", False),
    ("contains", "South America", "in South\nAmerica", True),
    ("one_of", ["four", 4], "It is 4.", True),
    ("one_of", ["i'm"], "I’m fine", True),
    ("one_of", ["four", 4], "It is 14.", False),
    ("excludes", "sorry", "Sorry, no.", False),
    ("excludes", "sorry", "With pleasure.", True),
    ("equals", "yes", "**Yes.**", True),
    ("equals", ["ok", "okay"], "Okay!", True),
    ("equals", "yes", "Yes, it is.", False),
    ("regex", r"^\d{4}-\d{2}$", " 2021-07\n", True),
    ("regex", r"^\d{4}-\d{2}$", "2021-07-04", False),
    ("number", 42, "6 times 7 is 42.", True),
    ("number", 42, "42 is 6 times 7", False),
    ("number", -5, "The result is −5", True),
    ("number", 1200, "That makes 1,200.", True),
    ("number", 0.5, "0.50", True),
    ("number", 42, "forty-two", False),
    ("words", 1, "Blue.", True),
    ("words", 1, "It's", True),
    ("words", {"max": 3}, "one two three four", False),
    ("words", {"min": 2, "max": 3}, "one", False),
    ("lines", 2, "one\n\ntwo\n", True),
    ("bullets", 3, "Here:\n- a\n* b\n1. c", True),
    ("bullets", 3, "- a\n- b", False),
    ("json", True, "```json\n[1, 2]\n```", True),
    ("json", True, "Here it is: {}", False),
    ("json", True, "42", False),
    ("json", {"keys": ["a", "b"]}, '{"b": 1, "a": 2}', True),
    ("json", {"keys": ["a", "b"]}, '{"a": 2}', False),
    ("json", {"keys": ["a"]}, "[1]", False),
]


@pytest.mark.parametrize(("name", "argument", "text", "expected"), CASES)
def test_checks(name: str, argument: Any, text: str, expected: bool) -> None:
    assert CHECKS[name].accepts(argument) is None
    assert Requirement(name, argument).passes(text) is expected


@pytest.mark.parametrize("name", CHECKS)
def test_an_empty_answer_passes_no_check_but_those_that_forbid(name: str) -> None:
    arguments = {case[0]: case[1] for case in reversed(CASES)}
    argument = {"min": 1} if name == "words" else arguments[name]
    assert Requirement(name, argument).passes("") is (name == "excludes")


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("contains", []),
        ("contains", {"a": 1}),
        ("one_of", True),
        ("number", "four"),
        ("number", True),
        ("words", {"most": 3}),
        ("words", -1),
        ("bullets", 2.5),
        ("regex", "("),
        ("regex", 4),
        ("json", False),
        ("json", {"keys": "a"}),
    ],
)
def test_arguments_that_make_no_sense_are_refused(name: str, argument: Any) -> None:
    assert CHECKS[name].accepts(argument)


def test_every_check_has_an_example_of_itself() -> None:
    assert all(check.example.startswith(f"{name}: ") for name, check in CHECKS.items())
