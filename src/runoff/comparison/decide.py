"""What yardsticks come to: better, equivalent, no difference detectable, insufficient evidence.

Owns: the rules by which numbers become one of these. Must not: word them, or know gates.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from runoff.comparison.replicates import BASE
from runoff.comparison.statistics import Outcome
from runoff.comparison.yardstick import Yardstick

__all__ = ["Decision", "against_base", "decide", "decided_by"]


class Decision(StrEnum):
    """What a comparison can come to."""

    BETTER = "better"
    EQUIVALENT = "equivalent"
    NOT_DETECTABLE = "no difference detectable"
    NOT_COMPARABLE = "not comparable"
    INSUFFICIENT = "insufficient evidence"


def decide(deciding: Sequence[Yardstick]) -> tuple[Decision, str]:
    """With two yardsticks the winner has to be better by one and no worse by the other."""
    found = [_one_decision(one) for one in deciding]
    winners = {leader for decision, leader in found if decision is Decision.BETTER}
    if len(winners) == 1:
        (leader,) = winners
        if all(_beaten_by_nobody(one, leader) for one in deciding):
            return Decision.BETTER, leader
    elif not winners:
        decisions = {decision for decision, _ in found}
        return (decisions.pop() if len(decisions) == 1 else Decision.NOT_DETECTABLE), found[0][1]
    return Decision.NOT_DETECTABLE, found[0][1]


def decided_by(deciding: Sequence[Yardstick], leader: str) -> Yardstick:
    """The first yardstick by which the leader wins; the first of all where it wins by none."""
    return next((one for one in deciding if _one_decision(one) == (Decision.BETTER, leader)), deciding[0])


def against_base(one: Yardstick, label: str) -> Decision:
    """Of a run that is left alone: one of the two is better, or what else there is to say."""
    return {
        Outcome.BETTER: Decision.BETTER,
        Outcome.WORSE: Decision.BETTER,
        Outcome.EQUIVALENT: Decision.EQUIVALENT,
        Outcome.NOT_DETECTABLE: Decision.NOT_DETECTABLE,
        Outcome.INSUFFICIENT: Decision.INSUFFICIENT,
    }[one.between(label, BASE)]


def _one_decision(one: Yardstick) -> tuple[Decision, str]:
    """A winner has to beat every other run, with the p-values of all pairs adjusted for their number."""
    leader = one.leader or ""
    outcomes = {label: one.between(leader, label) for label in one.values if label != leader}
    if all(found is Outcome.BETTER and label not in one.not_worse for label, found in outcomes.items()):
        return Decision.BETTER, leader
    if all(found is Outcome.EQUIVALENT for found in outcomes.values()):
        return Decision.EQUIVALENT, leader
    if Outcome.INSUFFICIENT in outcomes.values():
        return Decision.INSUFFICIENT, leader
    return Decision.NOT_DETECTABLE, leader


def _beaten_by_nobody(one: Yardstick, leader: str) -> bool:
    return not any(one.between(leader, label) is Outcome.WORSE for label in one.values if label != leader)
