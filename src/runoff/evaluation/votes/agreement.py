"""How far two raters of the same pairs agree: voters among themselves, a judge model with the voters.

Owns: which ratings are of the same thing. Must not: mix them into one number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy.typing as npt

from runoff.estimates.estimate import Estimate
from runoff.evaluation.measures.intervals import jackknife
from runoff.evaluation.votes.arithmetic import cohen_kappa
from runoff.evaluation.votes.poll import Pair, Poll
from runoff.evaluation.votes.record import Cast
from runoff.evaluation.votes.results import VoteResults, first_votes

__all__ = ["KAPPA_UNIT", "Agreement", "judge_agreement", "voters_agreement"]

KAPPA_UNIT = "Cohen's kappa"
_STYLE = "style"
_WORDS = {1: "first", -1: "second", 0: "neither"}
Rated = Mapping[tuple[Pair, str], int]
"""Pair of labels and example -> 1, -1 or 0."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two raters. same: questions on which they say the same (first, second, neither), of kappa.n."""

    one: str
    two: str
    same: int
    kappa: Estimate


def judge_agreement(
    poll: Poll, results: VoteResults, decisions: Mapping[str, Sequence[Mapping[str, Any]]]
) -> Agreement | None:
    """The judge's verdicts by its style criterion against the majority of the voters; None where they share nothing.

    decisions: by the label of a run, the rows that the judge left beside it; each names the other side as `against`.
    """
    judged = {}
    for label, rows in decisions.items():
        for row in rows:
            if row["criterion"] == _STYLE and row["score"] is not None:
                judged[(label, row["against"]), row["example"]] = int(row["score"])
    voted = {(pair, example): score for pair, own in results.scores.items() for example, score in own.items()}
    return _agreement(poll, "the judge", "the voters", judged, voted)


def voters_agreement(poll: Poll, casts: Sequence[Cast]) -> tuple[Agreement, ...]:
    """Every two voters that have voted on the same pairs."""
    voters: dict[str, dict[tuple[Pair, str], int]] = {}
    for pair in poll.pairs:
        for example, score, cast in first_votes(poll, pair, casts):
            voters.setdefault(cast.voter, {})[pair, example] = score
    found = (_agreement(poll, one, two, voters[one], voters[two]) for one, two in combinations(voters, 2))
    return tuple(one for one in found if one is not None)


def _agreement(poll: Poll, one: str, two: str, first: Rated, second: Rated) -> Agreement | None:
    shared = [key for key in second if key in first]
    if not shared:
        return None
    rated = [(_WORDS[first[key]], _WORDS[second[key]]) for key in shared]
    same, n = sum(a == b for a, b in rated), len(rated)
    clusters = [poll.answer(pair[0], example).cluster for pair, example in shared]
    if cohen_kappa(rated) is None:
        reason = "both say the same of every question"
        kappa = Estimate.unknown_because(reason, KAPPA_UNIT, n=n, clusters=len({*clusters}))
        return Agreement(one, two, same, kappa)

    def statistic(kept: npt.NDArray[Any]) -> float:
        """Where what is left has one category alone, the agreement is whole."""
        found = cohen_kappa([rated[at] for at in kept])
        return 1.0 if found is None else found

    return Agreement(
        one, two, same, jackknife(statistic, clusters, unit=KAPPA_UNIT, method=KAPPA_UNIT, bounds=(-1.0, 1.0))
    )
