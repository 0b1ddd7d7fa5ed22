"""What is voted on: whose answers to which questions stand against each other, and the author's answers beside them.

Owns: which stored answers belong to a vote, and how a text is shown. Must not: know a vote's result.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations

from runoff.errors import RunError
from runoff.evaluation.anchors import anchor_texts
from runoff.evaluation.answers import Answer, read_answers
from runoff.evaluation.evaluate import Evaluation
from runoff.evaluation.gather import material_of, shared_evaluations
from runoff.evaluation.material import BASE
from runoff.evaluation.votes.record import Cast, Shown
from runoff.plain_text import visible
from runoff.runs import Run

__all__ = ["Candidate", "Poll", "open_poll", "poll_of", "shown_text"]

Pair = tuple[str, str]
_EMPTY_LINES = re.compile(r"\n{3,}")


@dataclass(frozen=True)
class Candidate:
    """A run, or the base, with its answers by example. adapter: hash of the adapter's files, "base" for the base."""

    label: str
    adapter: str
    answers: Mapping[str, Answer]

    def shown(self, example: str) -> Shown:
        """The identity of one answer: a vote holds for these very words by this very adapter."""
        return Shown(self.label, self.adapter, _digest(self.answers[example].text))


@dataclass(frozen=True, eq=False)
class Poll:
    """Candidates and the questions that at least two of them have answered. test: the evaluation's key.

    anchors: by example, the author's answers to other questions; empty where nobody votes but only counts.
    """

    test: str
    candidates: tuple[Candidate, ...]
    anchors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Every two labels, in the order of the candidates."""
        return tuple(combinations((one.label for one in self.candidates), 2))

    @property
    def adapters(self) -> tuple[str, ...]:
        """The candidates' adapters."""
        return tuple(one.adapter for one in self.candidates)

    def candidate(self, label: str) -> Candidate:
        """Who is called so."""
        return self._named[label]

    def answer(self, label: str, example: str) -> Answer:
        """What a candidate answered."""
        return self._named[label].answers[example]

    def examples(self, pair: Pair) -> tuple[str, ...]:
        """Questions that both have answered, in different words: the others are ties that nobody has to look at."""
        return self._split[pair][0]

    def identical(self, pair: Pair) -> tuple[str, ...]:
        """Questions that both have answered in the same words."""
        return self._split[pair][1]

    def labels(self, cast: Cast) -> tuple[str, str] | None:
        """Who stood left and right; None where the vote was on other answers, or other adapters."""
        left, right = (self._known.get((cast.example, one.adapter, one.answer)) for one in (cast.left, cast.right))
        return (left, right) if left and right and left != right else None

    @cached_property
    def _named(self) -> dict[str, Candidate]:
        return {one.label: one for one in self.candidates}

    @cached_property
    def _known(self) -> dict[tuple[str, str, str], str]:
        found = {}
        for one in self.candidates:
            for example in one.answers:
                shown = one.shown(example)
                found[example, shown.adapter, shown.answer] = one.label
        return found

    @cached_property
    def _split(self) -> dict[Pair, tuple[tuple[str, ...], tuple[str, ...]]]:
        found = {}
        for pair in self.pairs:
            first, second = (self._named[label].answers for label in pair)
            shared = [example for example in first if example in second]
            same = {one for one in shared if shown_text(first[one].text) == shown_text(second[one].text)}
            found[pair] = tuple(one for one in shared if one not in same), tuple(one for one in shared if one in same)
        return found


def poll_of(evaluations: Mapping[str, Evaluation], *, with_base: bool = True) -> Poll:
    """The stored answers of some runs, by label, and of their base."""
    first = next(iter(evaluations.values()))
    candidates = [
        Candidate(label, one.adapter_sha256[:16], _by_example(read_answers(one.folder / "answers.jsonl")))
        for label, one in evaluations.items()
    ]
    if with_base:
        candidates.append(Candidate(BASE, BASE, _by_example(read_answers(first.folder / "base-answers.jsonl"))))
    return Poll(first.key, tuple(candidates))


def open_poll(runs: Sequence[Run], *, with_base: bool = False) -> Poll:
    """The answers that `runoff evaluate --generate` stored, with anchors for each question.

    Raises:
        RunError: fewer than two candidates, two of one name, no stored answers to the same test set, nothing in which
            they differ, or no other answer of the author to hold them against.
    """
    if len(runs) + with_base < 2:
        raise RunError("a vote needs two runs or more. Name another one, or add --with-base.")
    evaluations = shared_evaluations(runs)
    poll = poll_of({one.run: one for one in evaluations}, with_base=with_base)
    if not any(poll.examples(pair) for pair in poll.pairs):
        raise RunError("there is nothing to vote on: all stored answers are the same, word for word.")
    material = material_of(runs, evaluations)
    asked = {example: one for candidate in poll.candidates for example, one in candidate.answers.items()}
    anchors = {example: anchor_texts(material, one) for example, one in asked.items()}
    if not all(anchors.values()):
        raise RunError("there is no other answer of the author to hold the answers against. Use a larger test set.")
    return Poll(poll.test, poll.candidates, anchors)


def shown_text(text: str) -> str:
    """Without what says nothing to a reader: spaces at the ends of lines, runs of empty lines, control characters."""
    lines = "\n".join(line.rstrip() for line in visible(text).strip().splitlines())
    return _EMPTY_LINES.sub("\n\n", lines)


def _by_example(answers: Sequence[Answer]) -> dict[str, Answer]:
    return {one.example: one for one in answers}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]
