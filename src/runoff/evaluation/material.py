"""What the measures measure. Owns: `Material`, and the sentence for each part that a measure needs and doesn't find.

Must not: compute a measure, or read a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from runoff.evaluation.answers import Answer
from runoff.evaluation.scored import Drift, Scored
from runoff.evaluation.suite.prompts import Prompt

__all__ = ["AUTHOR", "BASE", "Material", "Need", "TrainingRow"]

BASE, AUTHOR = "base", "author"


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One row that the runs were trained on."""

    question: str
    answer: str
    source: str | None = None


class Need(StrEnum):
    """A part of the material that a measure can't do without; the value completes "unknown, because ..."."""

    ANSWERS = "there are no answers to the test questions"
    REFERENCES = "the test questions have no reference answers"
    BASE = "the base has not answered the test questions"
    TRAINING = "the training rows are not at hand"
    BASE_ON_TRAINING = "the base has not answered any training questions"
    SUITE = "the checkable prompts were not answered"
    BASE_ON_SUITE = "the base has not answered the checkable prompts"
    HELD_OUT_SCORED = "no held-out answer was scored"
    TRAINING_SCORED = "no training answer was scored: the training rows are not at hand"
    PAIRS_SCORED = "no contrast pair could be made of the reference answers"
    DRIFT = "the base's own answers to the general prompts were not scored"


@dataclass(frozen=True, eq=False)
class Material:
    """Everything that was collected for one evaluation of any number of runs.

    answers: by label, to the test questions; "base" is the base model, every other label a run. training: what the
    runs were trained on. base_on_training: the base's own answers to some training questions, each with the author's
    training answer as its reference. prompts and suite: the checkable prompts, and the answers to them by label; an
    answer's example is the prompt's id. special_tokens: the tokenizer's, which no answer should hold. scored: what
    teacher-forced passes found. drift: by label, how far it is from the base on the base's own answers.

    Two materials are equal only if they are the same object. Raises ValueError on a run labelled "author", or on a
    label with two answers to one example.
    """

    answers: Mapping[str, tuple[Answer, ...]]
    training: tuple[TrainingRow, ...] = ()
    base_on_training: tuple[Answer, ...] = ()
    prompts: tuple[Prompt, ...] = ()
    suite: Mapping[str, tuple[Answer, ...]] = field(default_factory=dict)
    special_tokens: tuple[str, ...] = ()
    scored: Scored = field(default_factory=Scored)
    drift: Mapping[str, tuple[Drift, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for label, answers in [*self.answers.items(), *self.suite.items()]:
            if label == AUTHOR:
                raise ValueError('no run may be called "author": that is the author\'s own label')
            if len({answer.example for answer in answers}) < len(answers):
                raise ValueError(f"{label} has two answers to one example")

    @cached_property
    def author(self) -> tuple[Answer, ...]:
        """The author's own answers to the test questions, as if they were a run's; one an example."""
        asked = {answer.example: answer for answers in self.answers.values() for answer in answers if answer.reference}
        return tuple(
            Answer(one.example, one.source, one.question, one.reference, one.reference or "") for one in asked.values()
        )

    @cached_property
    def everyone(self) -> Mapping[str, tuple[Answer, ...]]:
        """Answers to the test questions by label, the base and the author among them."""
        return {**self.answers, AUTHOR: self.author}

    @property
    def runs(self) -> tuple[str, ...]:
        """Labels of the runs, in the order given."""
        everyone = [*self.answers, *self.suite, *self.scored.held_out]
        return tuple(dict.fromkeys(label for label in everyone if label != BASE))

    def missing(self, needs: Iterable[Need]) -> str | None:
        """Why a measure with these needs can't be computed; None if it can."""
        return next((need.value for need in needs if not _PRESENT[need](self)), None)


_PRESENT: Mapping[Need, Callable[[Material], object]] = {
    Need.ANSWERS: lambda material: any(material.answers.values()),
    Need.REFERENCES: lambda material: material.author,
    Need.BASE: lambda material: material.answers.get(BASE),
    Need.TRAINING: lambda material: material.training,
    Need.BASE_ON_TRAINING: lambda material: any(answer.reference for answer in material.base_on_training),
    Need.SUITE: lambda material: any(material.suite.values()) and material.prompts,
    Need.BASE_ON_SUITE: lambda material: material.suite.get(BASE),
    Need.HELD_OUT_SCORED: lambda material: any(material.scored.held_out.values()),
    Need.TRAINING_SCORED: lambda material: any(material.scored.training.values()),
    Need.PAIRS_SCORED: lambda material: any(material.scored.pairs.values()),
    Need.DRIFT: lambda material: any(material.drift.values()),
}
