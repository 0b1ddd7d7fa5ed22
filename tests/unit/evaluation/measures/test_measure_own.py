from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from runoff.errors import RunoffError
from runoff.evaluation.answers import Answer
from runoff.evaluation.material import Material, TrainingRow
from runoff.evaluation.measures import Dimension, load_measure
from runoff.evaluation.measures.document import measures_page

ANSWERS = tuple(Answer(str(at), str(at % 7), "q", "please", "Please." if at % 2 else "No.") for at in range(20))

MINE = '''
from runoff.evaluation.measures.broken import LOOP as WHOLE

def says_please(answer):
    """Whether the answer
    says please."""
    return "please" in answer.text.lower()

says_please.unit = "share of answers"
says_please.higher_is_better = True
says_please.matters = 0.05
says_please.bounds = (0, 1)

def sometimes(answer):
    return None if answer.example == "3" else 1.5

def divides(answer):
    return 1 / 0

def infinite(answer):
    return float("inf")

def beyond(answer):
    return 2

beyond.bounds = (0, 1)

def boundless(answer):
    return 0

boundless.bounds = "much"
'''


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(MINE, "utf-8")
    return path


def test_a_function_in_a_file_becomes_a_measure_with_anchors(mine: Path) -> None:
    measure = load_measure(f"{mine}:says_please")
    about = measure.about
    assert (about.key, about.title, about.unit) == ("says_please", "Says please", "share of answers")
    assert (about.what, about.higher_is_better, about.dimension) == (
        "Whether the answer says please.",
        True,
        Dimension.OWN,
    )
    result = measure(Material({"base": ANSWERS, "run": ANSWERS}))
    assert (result.base.value, result.estimates["run"].value, result.author.value) == (0.5, 0.5, 1)
    assert (result.estimates["run"].n, result.estimates["run"].clusters) == (20, 7)
    assert result.estimates["run"].method == "mean, score interval over sources"


def test_none_leaves_an_answer_out(mine: Path) -> None:
    assert load_measure(f"{mine}:sometimes")(Material({"run": ANSWERS})).estimates["run"].n == 19


def test_a_module_and_a_whole_measure_will_do_as_well(mine: Path) -> None:
    assert load_measure("runoff.evaluation.measures.broken:LOOP") is load_measure(f"{mine}:WHOLE")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("says_please", "is not the name of a measure"),
        ("nowhere.py:f", "no such file"),
        ("no_such_module:f", "there is no module no_such_module"),
        (
            "{mine}:absent",
            "has no function absent (it has: WHOLE, beyond, boundless, divides, infinite, says_please, sometimes)",
        ),
        ("{mine}:boundless", "its bounds are 'much'. Give the least and the largest value, as in (0, 1)."),
    ],
)
def test_what_can_not_be_found_is_said_in_a_sentence(mine: Path, name: str, sentence: str) -> None:
    with pytest.raises(RunoffError) as error:
        load_measure(name.format(mine=mine))
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        ("divides", "failed on the answer to 0 (ZeroDivisionError"),
        ("infinite", "returned inf for the answer to 0"),
        ("beyond", "returned 2.0 for the answer to 0, which its bounds (0.0, 1.0) exclude."),
    ],
)
def test_what_fails_names_the_answer(mine: Path, function: str, sentence: str) -> None:
    with pytest.raises(RunoffError) as error:
        load_measure(f"{mine}:{function}")(Material({"run": ANSWERS}))
    assert sentence in str(error.value)


def test_a_file_that_can_not_be_imported(tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text("x = (", "utf-8")
    with pytest.raises(RunoffError, match="can't be imported"):
        load_measure(f"{path}:f")


def test_a_material_refuses_a_run_called_author_and_two_answers_to_one_example() -> None:
    with pytest.raises(ValueError, match="author"):
        Material({"author": ANSWERS})
    with pytest.raises(ValueError, match="two answers"):
        Material({"run": (*ANSWERS, ANSWERS[0])}, (TrainingRow("q", "a"),))


def test_an_answer_survives_json() -> None:
    answer = Answer("1", None, "q", None, "t", (1, 2), "length", False)
    assert Answer.from_json(answer.to_json()) == answer
    assert answer.cluster == "example 1"


def test_the_page_is_what_the_measures_say() -> None:
    page = Path(__file__).parents[4] / "docs" / "measures.md"
    assert page.read_text("utf-8") == measures_page()


def test_importing_the_measures_loads_no_scikit_learn() -> None:
    code = "import runoff.evaluation.measures.document, sys; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
