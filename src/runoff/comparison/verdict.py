"""Which run to ship, and why; or that it can't be said, and what would settle it.

Owns: the rules. Five outcomes, no more: better, equivalent, no difference detectable, not comparable, insufficient
evidence. First the gates (comparison/requirements.py), then decisive blind votes, then the yardsticks of the aim. Must
not: compute statistics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runoff.comparison.aims import Aim, yardsticks
from runoff.comparison.commands import next_commands, rescoring
from runoff.comparison.compare import Comparison
from runoff.comparison.cost import cheaper
from runoff.comparison.decide import Decision, against_base, decide, decided_by
from runoff.comparison.facts import Sentence, Side, listed
from runoff.comparison.headlines import (
    failed_headline,
    headline,
    left_out,
    opening,
    seeds_headline,
    sole_headline,
    vote_headline,
)
from runoff.comparison.reasons import (
    base_sentences,
    base_would_change,
    challenge_sentences,
    failed_would_change,
    not_looked_at,
    overruled,
    pair_sentences,
    seed_sentences,
    setting_would_change,
    vote_changes,
    vote_sentences,
    weightless,
    would_change,
)
from runoff.comparison.replicates import BASE, one_setting
from runoff.comparison.requirements import Required, required
from runoff.comparison.separation import separation
from runoff.comparison.statistics import Outcome
from runoff.comparison.voting import Votes, preferred
from runoff.comparison.yardstick import Yardstick

__all__ = ["Decision", "Verdict", "verdict"]


@dataclass(frozen=True)
class Verdict:
    """The decision. `ship` is None where nothing can be recommended; `headline` is the one sentence to read."""

    aim: Aim
    decision: Decision
    ship: str | None
    headline: Sentence
    because: tuple[Sentence, ...]
    would_change: tuple[Sentence, ...]
    commands: tuple[str, ...]
    requirements: tuple[Required, ...] = ()


def verdict(comparison: Comparison, aim: Aim = Aim.GENERALIZATION) -> Verdict:
    """Apply the rules to a comparison."""
    if comparison.evidence.missing:
        return _insufficient(comparison, aim, comparison.evidence.missing)
    if comparison.blocked:
        return _not_comparable(comparison, aim)
    deciding = yardsticks(aim, comparison.evidence)
    if deciding is None or any(one.leader is None or not one.pairs for one in deciding):
        return _insufficient(
            comparison, aim, f"what the aim {aim.value} is decided by was not measured on the same answers"
        )
    return _measured(comparison, aim, deciding)


def _not_comparable(comparison: Comparison, aim: Aim) -> Verdict:
    topics = listed(list(dict.fromkeys(check.topic for check in comparison.blocked)))
    told = Sentence(f"These runs can't be compared by what was measured ({topics}), so none is recommended.")
    because = tuple(check.sentence for check in comparison.blocked)
    commands = tuple(rescoring(comparison, aim))
    change = (
        "Scoring all runs anew would give a first answer: rows that one of them was trained on are left out."
        if commands
        else "No further measurement of these runs can change that: it takes runs on one base and with one tokenizer."
    )
    return Verdict(aim, Decision.NOT_COMPARABLE, None, told, because, (Sentence(change),), commands)


def _insufficient(comparison: Comparison, aim: Aim, missing: str) -> Verdict:
    headline = Sentence(f"Insufficient evidence: {missing}, so none is recommended.")
    because = [
        Sentence("A training log's own losses are shown but decide nothing: each tool averages them its own way.")
    ]
    without = [side.label for side in comparison.sides if not side.run.metrics]
    if without:
        because.insert(
            0, Sentence(f"{listed(without)} {'has' if len(without) == 1 else 'have'} no recorded metrics at all.")
        )
    change = [Sentence("Measuring all runs on the same held-out rows would give a first answer.")]
    change += weightless(comparison.sides)
    separated = separation(comparison)
    if separated is not None:
        change.append(separated.sentence)
    commands = tuple(next_commands(comparison, aim))
    return Verdict(aim, Decision.INSUFFICIENT, None, headline, tuple(because), tuple(change), commands)


def _measured(comparison: Comparison, aim: Aim, deciding: Sequence[Yardstick]) -> Verdict:
    gates = required(comparison.evidence)
    failed = {found.label for found in gates if found.failed}
    survivors = [label for label in deciding[0].values if label not in failed]
    if failed and survivors:  # where none survives, all are compared, and none is shipped
        deciding = [one.among(survivors) for one in deciding]
    if failed and len(survivors) == 1:
        return _sole_survivor(comparison, aim, deciding, gates)
    votes = comparison.evidence.votes
    voted = None if one_setting(comparison.sides) else preferred(votes, list(deciding[0].values))
    decision, leader = (Decision.BETTER, voted) if voted else decide(deciding)
    seeds_alone = decision is Decision.BETTER and one_setting(comparison.sides)
    if seeds_alone:
        decision = Decision.NOT_DETECTABLE
    ship = leader if decision is Decision.BETTER and _may_ship(leader, deciding, gates, votes) else None
    separated = separation(comparison)
    nobody = not survivors
    again = () if nobody else _again(comparison, decision, deciding[0], leader)
    voters = again if votes is None and _tied(comparison, decision) else ()
    start = f"{leader} is the best of those that failed" if nobody else opening(deciding[0], leader, ship)
    advice = "" if nobody else cheaper([comparison.side(label) for label in deciding[0].values])
    if seeds_alone:
        told = seeds_headline(decided_by(deciding, leader), leader)
    elif voted and votes:
        told = vote_headline(votes, leader, list(deciding[0].values), start)
    else:
        told = headline(decision, deciding, leader, start, advice)
    because = [
        *(found.sentence for found in gates),
        *((told,) if nobody else ()),
        *vote_sentences(votes),
        *overruled(deciding, voted),
        *(sentence for one in deciding for sentence in pair_sentences(one, leader)),
        *(sentence for one in deciding for sentence in seed_sentences(one, leader)),
        *(sentence for one in deciding for sentence in base_sentences(one)),
        *challenge_sentences(comparison),
        *not_looked_at(comparison),
    ]
    return Verdict(
        aim,
        decision,
        ship,
        failed_headline(gates) if nobody else told,
        tuple(because),
        (
            *(failed_would_change(gates) if nobody else ()),
            *base_would_change(deciding[0], leader, decision),
            *would_change(comparison, decision, () if voted else deciding, leader, again),
            *(setting_would_change(deciding[0], list(deciding[0].values)) if one_setting(comparison.sides) else ()),
            *vote_changes(votes, voters),
            *(() if nobody else failed_would_change(gates)),
        ),
        (
            *next_commands(comparison, aim, failed=bool(failed), voters=voters, again=again),
            *(separated.commands if separated else ()),
        ),
        gates,
    )


def _sole_survivor(
    comparison: Comparison, aim: Aim, deciding: Sequence[Yardstick], gates: Sequence[Required]
) -> Verdict:
    """The one run that may be shipped, if it is better than the base."""
    one, votes = deciding[0], comparison.evidence.votes
    (label,) = one.values
    if votes is not None and votes.prefers(label, BASE):
        decision = Decision.BETTER
        told = vote_headline(votes, label, [label, BASE], f"{left_out(gates)}. Ship {label}")
    else:
        decision, told = against_base(one, label), sole_headline(one, label, gates)
    because = (
        *(found.sentence for found in gates),
        *vote_sentences(votes),
        *(sentence for each in deciding for sentence in base_sentences(each)),
        *challenge_sentences(comparison),
        *not_looked_at(comparison),
    )
    change = (
        *failed_would_change(gates),
        *would_change(comparison, decision, deciding, label, ()),
        *vote_changes(votes),
    )
    commands = tuple(next_commands(comparison, aim, failed=True))
    ship = _may_ship(label, deciding, gates, votes)
    return Verdict(aim, decision, label if ship else None, told, because, change, commands, tuple(gates))


def _again(comparison: Comparison, decision: Decision, one: Yardstick, leader: str) -> tuple[Side, ...]:
    """Whose second seed would show something: of those that may be the best one, or of it and the next."""
    if comparison.groups or decision is Decision.INSUFFICIENT or one_setting(comparison.sides):
        return ()
    if decision is Decision.BETTER and one.between(leader, BASE) is Outcome.WORSE:
        return ()
    others = [label for label in one.values if label != leader]
    close = [label for label in others if label in one.not_worse]
    nearest = min(others, key=lambda label: one.advantage(one.pairs[leader, label]))
    wanted = {leader, *(close or [nearest])}
    return tuple(side for side in comparison.sides if side.label in wanted)


def _tied(comparison: Comparison, decision: Decision) -> bool:
    """Whether there are generated answers, of runs and not of settings, and the measures name no winner."""
    generated = "broken" in comparison.evidence.measures and not comparison.groups
    alike = decision in (Decision.NOT_DETECTABLE, Decision.EQUIVALENT)
    return generated and alike and not one_setting(comparison.sides)


def _may_ship(leader: str, deciding: Sequence[Yardstick], gates: Sequence[Required], votes: Votes | None) -> bool:
    """Better than the base by the first yardstick or by decisive votes, and through every gate that was measured."""
    helps = deciding[0].between(leader, BASE) is Outcome.BETTER or (votes is not None and votes.prefers(leader, BASE))
    return helps and not any(found.failed and found.label == leader for found in gates)
