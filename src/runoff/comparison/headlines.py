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
from runoff.words import count_of, owned, p_words, signed

__all__ = [
    "certainty",
    "failed_headline",
    "failures",
    "headline",
    "left_out",
    "opening",
    "seeds_headline",
    "sole_headline",
    "vote_headline",
]


def failed_headline(gates: Sequence[Required]) -> Sentence:
    """Nobody is left: whatever the yardsticks say of the runs comes after that."""
    cites = tuple(cite for found in gates if found.failed for cite in found.sentence.cites)
    return Sentence(f"None of these runs is to be shipped: each failed a gate, {failures(gates)}.", cites)


def headline(decision: Decision, deciding: Sequence[Yardstick], leader: str, start: str, advice: str = "") -> Sentence:
    """What was decided by the yardsticks. start: what follows for a winner. advice: for where nothing differs."""
    one = decided_by(deciding, leader)
    labels = listed(list(one.values))
    others = {label: one.pairs[leader, label] for label in one.values if label != leader}
    nearest = min(others, key=lambda label: one.advantage(others[label]))
    pair, cites = others[nearest], (f"{one.key}.{leader}-{nearest}",)
    name = one.title.lower()
    if decision is Decision.BETTER:
        than = nearest if len(others) == 1 else f"the next best run, {nearest}"
        return Sentence(f"{start}: its {name} is {_lead(one, pair)} than that of {than} ({certainty(pair)}).", cites)
    minus = f"{leader} minus {nearest}:"
    told = certainty(pair, minus)
    if decision is Decision.EQUIVALENT:
        return Sentence(
            f"{labels} are equivalent by {name}: they differ by less than {one.margin:g} {one.unit} "
            f"({told}). {advice}".rstrip(),
            cites,
        )
    if decision is Decision.INSUFFICIENT:
        return _untested(one, leader)
    if len(others) > 1 and len(one.not_worse) > 1:
        tied = listed([label for label in one.values if label in one.not_worse])
        p_values = [others[label].p_value for label in one.not_worse if label in others]
        alone = any(p is not None and p <= 0.05 for p in p_values)  # which the choice of a leader among many explains
        allowed = f", with {len(one.values)} runs compared at once" if alone else ""
        return Sentence(f"No winner: {tied} can't be told apart by {name}{allowed} ({told}).", cites)
    if any(decide([each])[0] is Decision.BETTER for each in deciding):
        return Sentence(
            f"No winner: {listed([two.title.lower() for two in deciding])} do not agree on one of {labels}.", cites
        )
    by = listed([f"{each.title.lower()} ({certainty(each.pairs[leader, nearest], minus)})" for each in deciding])
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
    text = f"Ship {label}: {ruled_out}; {owned(label)} {one.title.lower()} is {_lead(one, pair)} than the base's"
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
    seen = f"{owned(leader)} {one.title.lower()} is {_lead(one, pair)} than {owned(nearest)}"
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
    return f"{failures(gates)} must not be shipped"


def failures(gates: Sequence[Required]) -> str:
    """`a (broken output) and b (persona and facts)`."""
    failed: dict[str, list[str]] = {}
    for found in gates:
        if found.failed:
            failed.setdefault(found.label, []).append(found.gate)
    return listed([f"{label} ({listed(names)})" for label, names in failed.items()])


def opening(one: Yardstick, leader: str, ship: str | None) -> str:
    """What follows for the leader, which failed no gate."""
    if ship:
        return f"Ship {leader}"
    worse = one.between(leader, BASE) is Outcome.WORSE
    how = f"is worse than the base by {one.title.lower()}" if worse else "is not shown to be better than the base"
    return f"None of these runs is to be shipped. {leader} is the best of them, but {how}"


def certainty(pair: PairedDifference, what: str = "difference") -> str:
    """The difference with its interval, p-value and numbers of answers and sources; what: who minus whom, if open."""
    ends = pair.interval(0.95)
    interval = f"{what} {signed(pair.difference.value)}, " if pair.difference.value is not None else ""
    interval += f"95 % interval {signed(ends[0])} to {signed(ends[1])}; " if ends else "no interval; "
    return f"{interval}{p_words(pair.p_value)}; {count_of(pair.n, 'answer')} from {count_of(pair.clusters, 'source')}"
