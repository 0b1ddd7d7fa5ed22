"""The one sentence of a verdict. Owns: its wording. Must not: decide."""

from __future__ import annotations

from collections.abc import Sequence

from runoff.comparison.decide import Decision, decide, decided_by
from runoff.comparison.facts import Sentence, listed
from runoff.comparison.replicates import BASE
from runoff.comparison.requirements import Required
from runoff.comparison.statistics import Outcome, PairedDifference, minimum_clusters_for
from runoff.comparison.voting import Votes
from runoff.comparison.yardstick import Yardstick
from runoff.evaluation.votes import PairResult
from runoff.evaluation.votes.sentences import shares_words
from runoff.words import count_of

__all__ = ["certainty", "headline", "left_out", "opening", "seeds_headline", "sole_headline", "vote_headline"]


def headline(
    decision: Decision,
    deciding: Sequence[Yardstick],
    leader: str,
    ship: str | None,
    gates: Sequence[Required],
    advice: str,
) -> Sentence:
    """What was decided by the yardsticks. gates: the leader's. advice: for where nothing differs."""
    one = decided_by(deciding, leader)
    labels = listed(list(one.values))
    others = {label: one.pairs[leader, label] for label in one.values if label != leader}
    nearest = min(others, key=lambda label: one.advantage(others[label]))
    pair, cites = others[nearest], (f"{one.key}.{leader}-{nearest}",)
    name = one.title.lower()
    if decision is Decision.BETTER:
        begin = opening(one, leader, ship, gates)
        than = nearest if len(others) == 1 else f"the next best run, {nearest}"
        return Sentence(f"{begin}: its {name} is {_lead(one, pair)} than that of {than} ({certainty(pair)}).", cites)
    if decision is Decision.EQUIVALENT:
        return Sentence(
            f"{labels} are equivalent by {name}: they differ by less than {one.margin:g} {one.unit} "
            f"({certainty(pair)}). {advice}",
            cites,
        )
    if decision is Decision.INSUFFICIENT:
        return _untested(one, leader)
    if len(others) > 1 and len(one.not_worse) > 1:
        tied = listed([label for label in one.values if label in one.not_worse])
        alone = pair.p_value is not None and pair.p_value <= 0.05  # which the choice of a leader among many explains
        allowed = f", with {len(one.values)} runs compared at once" if alone else ""
        return Sentence(f"No winner: {tied} can't be told apart by {name}{allowed} ({certainty(pair)}).", cites)
    if any(decide([each])[0] is Decision.BETTER for each in deciding):
        return Sentence(
            f"No winner: {listed([two.title.lower() for two in deciding])} do not agree on one of {labels}.", cites
        )
    by = listed([f"{each.title.lower()} ({certainty(each.pairs[leader, nearest])})" for each in deciding])
    return Sentence(f"No difference detectable between {labels} by {by}.", cites)


def seeds_headline(one: Yardstick, leader: str) -> Sentence:
    """Better as an adapter, but not as a setting: another seed may turn it round."""
    others = [label for label in one.values if label != leader]
    pair = one.pairs[leader, min(others, key=lambda label: one.advantage(one.pairs[leader, label]))]
    return Sentence(
        f"No winner: {listed(list(one.values))} differ in nothing but their seed. That {leader} has the better "
        f"{one.title.lower()} is the draw of a seed ({certainty(pair)}).",
        (f"{one.key}.{leader}", *(f"{label}.settings.seed" for label in one.values)),
    )


def sole_headline(one: Yardstick, label: str, gates: Sequence[Required]) -> Sentence:
    """The one run that failed no gate, against the base."""
    pair, ruled_out = one.against_base[label], left_out(gates)
    cites = (f"{one.key}.{label}-base",)
    outcome = one.between(label, BASE)
    if outcome is not Outcome.BETTER:
        how = "is worse than the base" if outcome is Outcome.WORSE else "is not shown to be better than the base"
        text = f"{ruled_out}; {label} remains, but {how}"
        return Sentence(f"{text} ({certainty(pair)}).", cites)
    text = f"Ship {label}: {ruled_out}; {label}'s {one.title.lower()} is {_lead(one, pair)} than the base's"
    return Sentence(f"{text} ({certainty(pair)}).", cites)


def _untested(one: Yardstick, leader: str) -> Sentence:
    """Too few sources for a test: what was seen is told all the same."""
    others = [label for label in one.values if label != leader and one.between(leader, label) is Outcome.INSUFFICIENT]
    nearest = min(others, key=lambda label: one.advantage(one.pairs[leader, label]))
    pair, cites = one.pairs[leader, nearest], (f"{one.key}.{leader}-{nearest}",)
    few = f"{count_of(pair.clusters, 'source')} {'allows' if pair.clusters == 1 else 'allow'} no test"
    begin = f"Insufficient evidence: {few}, which takes {minimum_clusters_for()}."
    if pair.difference.value is None:
        return Sentence(begin, cites)
    seen = f"{leader}'s {one.title.lower()} is {_lead(one, pair)} than {nearest}'s"
    return Sentence(f"{begin} On these answers {seen} ({certainty(pair)}).", cites)


def vote_headline(votes: Votes, leader: str, labels: Sequence[str], start: str) -> Sentence:
    """Why the preferred run is the one; start: what follows for it."""
    others = {other: found for other in labels if other != leader and (found := votes.between(leader, other))}
    nearest = min(others, key=lambda label: _share(others[label], leader))
    than = nearest if len(others) == 1 else f"any other run (the next best, {nearest})"
    words = shares_words(others[nearest], leader)
    text = f"{start}: in blind votes it sounds more like the author than {than}, on {words}."
    return Sentence(text, (f"votes.{leader}-{nearest}",))


def _share(found: PairResult, leader: str) -> float:
    value = found.share.value or 0.0
    return value if found.first == leader else 1 - value


def _lead(one: Yardstick, pair: PairedDifference) -> str:
    """By how much the better one is better, and which way."""
    return f"{one.advantage(pair):.4f} {one.unit} {'lower' if one.lower_is_better is not False else 'higher'}"


def left_out(gates: Sequence[Required]) -> str:
    """Who must not be shipped, and by which gates."""
    failed: dict[str, list[str]] = {}
    for found in gates:
        if found.failed:
            failed.setdefault(found.label, []).append(found.gate)
    return f"{listed([f'{label} ({listed(names)})' for label, names in failed.items()])} must not be shipped"


def opening(one: Yardstick, leader: str, ship: str | None, gates: Sequence[Required]) -> str:
    """What follows for the leader."""
    return f"Ship {leader}" if ship else _not_shipped(one, leader, gates)


def _not_shipped(one: Yardstick, leader: str, gates: Sequence[Required]) -> str:
    failed = [found.gate for found in gates if found.failed]
    if failed:
        return f"{leader} is the best of the runs, but must not be shipped ({listed(failed)})"
    return f"{leader} is the best of the runs, but is not shown to be better than the base"


def certainty(pair: PairedDifference) -> str:
    """The difference with its interval, p-value and numbers of answers and sources."""
    ends = pair.interval(0.95)
    interval = f"difference {pair.difference.value:+.4f}, " if pair.difference.value is not None else ""
    interval += f"95 % interval {ends[0]:+.4f} to {ends[1]:+.4f}; " if ends else "no interval; "
    p = (
        "no p-value"
        if pair.p_value is None
        else f"p {'< 0.0001' if pair.p_value < 0.0001 else f'= {pair.p_value:.2g}'}"
    )
    return f"{interval}{p}; {count_of(pair.n, 'answer')} from {count_of(pair.clusters, 'source')}"
