"""The author (this project's corpus), a bland assistant's answers to some of his questions, and runs of both."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from runoff.evaluation.answers import Answer
from runoff.evaluation.material import Material, TrainingRow

CORPUS = Path(__file__).parents[4] / "corpus" / "maren"
BLAND = Path(__file__).parent / "bland_answers.jsonl"

Builder = Callable[..., Material]


def _author(split: str) -> list[Answer]:
    """One answer a row, which is its own reference; the example is the row's number."""
    answers = []
    for number, line in enumerate((CORPUS / f"{split}.jsonl").read_text("utf-8").splitlines(), start=1):
        row = json.loads(line)
        question, answer = (message["content"] for message in row["messages"])
        answers.append(Answer(str(number), row["source"], question, answer, answer))
    return answers


@pytest.fixture(scope="session")
def author() -> tuple[Answer, ...]:
    """The author's 80 held-out answers from 8 sources."""
    return tuple(_author("test"))


@pytest.fixture(scope="session")
def bland() -> dict[str, tuple[Answer, ...]]:
    """The bland assistant's answers: 36 to training questions, 32 to test questions."""
    rows = [json.loads(line) for line in BLAND.read_text("utf-8").splitlines()]
    return {
        split: tuple(
            Answer(a.example, a.source, a.question, a.reference, row["text"])
            for row in rows
            if row["split"] == split
            for a in _author(split)[row["row"] - 1 : row["row"]]
        )
        for split in ("train", "test")
    }


@pytest.fixture(scope="session")
def build(bland: dict[str, tuple[Answer, ...]]) -> Builder:
    """A material of the given runs, with the bland assistant as the base unless another is given."""
    training = tuple(TrainingRow(a.question, a.text, a.source) for a in _author("train"))

    def material(**runs: tuple[Answer, ...]) -> Material:
        return Material({"base": bland["test"], **runs}, training, bland["train"])

    return material
