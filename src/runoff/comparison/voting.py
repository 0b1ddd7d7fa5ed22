"""Blind votes as evidence between compared runs. Owns: which votes belong to a comparison, and whom they prefer.

Votes come after the gates and before the measures of the aim, where they are decisive. Must not: count votes
(evaluation/votes/) or word them (comparison/headlines.py, comparison/reasons.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runoff.comparison.facts import Side
from runoff.evaluation import Evaluation
from runoff.evaluation.stored import load_judge_decisions
from runoff.evaluation.votes import BallotBox, PairResult, VoteResults, count_votes, poll_of
from runoff.evaluation.votes.agreement import Agreement, judge_agreement, voters_agreement
from runoff.runs import votes_file

__all__ = ["Votes", "gather_votes", "preferred"]


@dataclass(frozen=True)
class Votes:
    """What people voted on the stored answers of compared runs and their base.

    judge: a judge model held against them, None where none judged the same pairs. voters: every two voters.
    """

    results: VoteResults
    judge: Agreement | None = None
    voters: tuple[Agreement, ...] = ()

    def between(self, a: str, b: str) -> PairResult | None:
        """The votes on two labels."""
        return self.results.pair(a, b)

    def prefers(self, a: str, b: str) -> bool:
        """Whether the votes decide for the first."""
        found = self.between(a, b)
        return found is not None and found.decided == a


def gather_votes(sides: Sequence[Side], stored: Mapping[str, Mapping[str, Evaluation]]) -> Votes | None:
    """The votes on these very answers; None where there are none that count.

    stored: every evaluation by label and key. The test set with the most votes is taken: it may be another one than the
    largest, to which nobody has to have generated answers.

    Raises:
        RunError: a file of votes is damaged.
    """
    boxes = [BallotBox(votes_file(root)) for root in dict.fromkeys(side.run.folder.path.parent for side in sides)]
    casts = [cast for box in boxes for cast in box.votes()]
    adapters = {shown.adapter for cast in casts for shown in (cast.left, cast.right)}
    for key, _ in Counter(cast.test for cast in casts).most_common():
        evaluations = {label: own[key] for label, own in stored.items() if key in own}
        voted_on = {label: one for label, one in evaluations.items() if one.adapter_sha256[:16] in adapters}
        poll = poll_of(voted_on) if voted_on else None
        results = count_votes(poll, casts) if poll else None
        if poll and results and results.pairs:
            judge = judge_agreement(poll, results, _judged(voted_on))
            return Votes(results, judge, voters_agreement(poll, casts))
    return None


def _judged(evaluations: Mapping[str, Evaluation]) -> dict[str, list[Mapping[str, Any]]]:
    """The judge's decisions by label; it names the other side by the run's own name."""
    labels = {one.run: label for label, one in evaluations.items()}
    found: dict[str, list[Mapping[str, Any]]] = {}
    for label, one in evaluations.items():
        rows = load_judge_decisions(one.folder)
        found[label] = [{**row, "against": labels.get(row["against"], row["against"])} for row in rows]
    return found


def preferred(votes: Votes | None, labels: Sequence[str]) -> str | None:
    """The one that the votes decide for against each other one of these; None where there is none."""
    if votes is None or len(labels) < 2:
        return None
    winners = (one for one in labels if all(votes.prefers(one, other) for other in labels if other != one))
    return next(winners, None)
