"""Finished runs with stored answers, and voters that press keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from runoff.evaluation.answers import Answer
from runoff.evaluation.votes import BallotBox, Cast, Choice, Poll, Voting, open_poll
from runoff.files import jsonl, write_bytes
from runoff.runs import Run, votes_file
from tests.support.run_folders import make_run, random_losses

__all__ = ["QUESTIONS", "Booth", "answered", "booth", "chooses", "make_voted_runs"]

QUESTIONS = 24


def answered(run: Run, texts: Sequence[str], *, name: str = "answers", per_source: int = 2) -> None:
    """Store answers beside a run's evaluation, as `runoff evaluate --generate` does."""
    rows = [
        Answer(
            f"{at:016x}", f"tape {at // per_source}", f"How long for dish {at}?", f"Listen: dish {at}, friend.", text
        )
        for at, text in enumerate(texts)
    ]
    write_bytes(run.folder.evaluation("testset") / f"{name}.jsonl", jsonl(row.to_json() for row in rows))


def make_voted_runs(
    root: Path, names: Sequence[str] = ("long", "short"), questions: int = QUESTIONS, per_source: int = 2
) -> list[Run]:
    """Runs that answered the same questions in words of their own."""
    runs = []
    for seed, name in enumerate(names):
        run = make_run(root, name, losses=random_losses(seed, sources=2, questions=2))
        answered(run, [f"{name} says {at} minutes." for at in range(questions)], per_source=per_source)
        base = [f"As a model I say {at}." for at in range(questions)]
        answered(run, base, name="base-answers", per_source=per_source)
        runs.append(run)
    return runs


Decide = Callable[[str, str, str], Choice]
"""From the labels on the left and right, and the example, to a vote."""


def chooses(*liked: str) -> Decide:
    """Prefers whom it likes most; a tie where neither is liked."""
    order = {label: at for at, label in enumerate(reversed(liked), start=1)}

    def decide(left: str, right: str, _example: str) -> Choice:
        a, b = order.get(left, 0), order.get(right, 0)
        return "left" if a > b else "right" if b > a else "tie"

    return decide


@dataclass
class Booth:
    """One voting on made-up runs."""

    runs: list[Run]
    poll: Poll
    box: BallotBox

    def voting(self, voter: str = "ada", seed: int = 0) -> Voting:
        """A voter who comes to the box; the draw repeats."""
        return Voting(self.poll, self.box, voter, random=Random(seed))

    def vote(self, decide: Decide, *, voter: str = "ada", most: int = 10_000, seed: int = 0) -> Voting:
        """Vote until it ends, or so often."""
        voting = self.voting(voter, seed)
        for _ in range(most):
            ballot = voting.show()
            if ballot is None:
                break
            voting.vote(ballot.id, decide(ballot.left, ballot.right, ballot.example))
        return voting

    def cast(
        self, example: int, choice: Choice, *, voter: str = "ada", swapped: bool = False, repeat: bool = False
    ) -> None:
        """One vote as given, the first candidate on the left unless swapped."""
        left, right = (one.shown(f"{example:016x}") for one in self.poll.candidates[:2])
        if swapped:
            left, right = right, left
        name, number = f"{example:016x}", len(self.box.votes())
        self.box.cast(
            Cast(f"v{number}", "2026-01-02T03:04:05", voter, "testset", name, left, right, choice, 9.0, repeat)
        )


def booth(root: Path, names: Sequence[str] = ("long", "short"), *, with_base: bool = False, **more: int) -> Booth:
    """Runs, the poll on their answers, and an empty box."""
    runs = make_voted_runs(root, names, **more)
    return Booth(runs, open_poll(runs, with_base=with_base), BallotBox(votes_file(root)))
