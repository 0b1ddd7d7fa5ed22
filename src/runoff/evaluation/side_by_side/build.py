"""From answers to what is shown next to each other. Owns: the order (most disagreeing first, by source), the columns.

Must not: read files, generate, or render.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runoff.errors import RunError
from runoff.evaluation.answers import Answer
from runoff.evaluation.gather import Gathered
from runoff.evaluation.material import AUTHOR, BASE
from runoff.evaluation.side_by_side.badges import Badge, Ground, badges, grounds
from runoff.evaluation.side_by_side.marking import Word, disagreement, marked_words

__all__ = ["REFERENCE", "Group", "Prompted", "Shown", "SideBySide", "prompted", "side_by_side"]

REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class Shown:
    """One column of one prompt. label: "reference", "base" or a run."""

    label: str
    words: tuple[Word, ...]
    badges: tuple[Badge, ...]

    @property
    def differing(self) -> int:
        """How many of its words differ."""
        return sum(word.differs for word in self.words)


@dataclass(frozen=True, slots=True)
class Prompted:
    """One prompt with every answer. against: the column that the marks refer to.

    disagreement: 1 - the share of words that two runs' answers have in common, mean over all pairs of runs; with a
    single run, of the run and the base.
    """

    example: str
    question: str
    against: str
    shown: tuple[Shown, ...]
    disagreement: float


@dataclass(frozen=True, slots=True)
class Group:
    """The prompts of one source."""

    source: str | None
    prompts: tuple[Prompted, ...]

    @property
    def disagreement(self) -> float:
        """The mean over its prompts."""
        return sum(one.disagreement for one in self.prompts) / len(self.prompts)


@dataclass(frozen=True)
class SideBySide:
    """Groups and the prompts in them, most disagreeing first. runs: their labels. notes: what was found on the way."""

    runs: tuple[str, ...]
    labels: tuple[str, ...]
    groups: tuple[Group, ...]
    place: str
    notes: tuple[str, ...] = ()

    @property
    def prompts(self) -> tuple[Prompted, ...]:
        """All of them, in the order shown."""
        return tuple(one for group in self.groups for one in group.prompts)

    def count(self, label: str, kind: str) -> int:
        """How many of a column's answers carry a kind of badge."""
        found = (shown for one in self.prompts for shown in one.shown if shown.label == label)
        return sum(any(badge.kind == kind for badge in shown.badges) for shown in found)


def side_by_side(found: Gathered, *, against: str = REFERENCE) -> SideBySide:
    """Every prompt that the base and all runs have answered.

    against: the column that the word marks refer to; where a prompt has no reference, the base.

    Raises:
        RunError: no such column, or no prompt that all have answered.
    """
    material = found.material
    columns = (REFERENCE, BASE, *material.runs)
    if against not in columns:
        raise RunError(f"--against {against}: is none of {', '.join(columns)}.")
    by_label = {
        label: {answer.example: answer for answer in material.everyone[AUTHOR if label == REFERENCE else label]}
        for label in columns
    }
    shared = [example for example in by_label[BASE] if all(example in by_label[label] for label in material.runs)]
    if not shared:
        raise RunError("no prompt was answered by the base and by every run, so nothing stands side by side.")
    own = grounds(material, found.trained_on, columns)
    prompts: dict[str | None, list[Prompted]] = {}
    for example in shared:
        answers = {label: some[example] for label, some in by_label.items() if example in some}
        prompts.setdefault(answers[BASE].source, []).append(prompted(answers, own, against))
    groups = [Group(source, tuple(_most_first(some))) for source, some in prompts.items()]
    groups.sort(key=lambda group: (-group.disagreement, group.source or ""))
    shown = tuple(label for label in columns if by_label[label])
    return SideBySide(material.runs, shown, tuple(groups), found.place, found.notes)


def prompted(answers: Mapping[str, Answer], own: Mapping[str, Ground], against: str = REFERENCE) -> Prompted:
    """One prompt; answers: by column, in the order to be shown. own: each column's ground."""
    against = against if against in answers else BASE
    texts = [one.text for label, one in answers.items() if label != REFERENCE]
    asked = next(iter(answers.values()))
    return Prompted(
        asked.example,
        asked.question,
        against,
        tuple(
            Shown(
                label,
                marked_words(one.text, None if label == against else answers[against].text, own[label].spans),
                badges(own[label], one),
            )
            for label, one in answers.items()
        ),
        disagreement(texts[1:] if len(texts) > 2 else texts),  # of several runs the base is left out
    )


def _most_first(prompts: Sequence[Prompted]) -> list[Prompted]:
    return sorted(prompts, key=lambda one: (-one.disagreement, one.example))
