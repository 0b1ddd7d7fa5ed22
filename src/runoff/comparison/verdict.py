"""Which run to ship, and why; or that it can't be said, and what would settle it.

Owns: the rules. Five outcomes, no more: better, equivalent, no difference detectable, not comparable, insufficient
evidence. First the gates (comparison/requirements.py), then decisive blind votes, then the yardsticks of the aim. Must
not: compute statistics.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

from runoff.comparison.aims import Aim, yardsticks
from runoff.comparison.commands import next_commands
from runoff.comparison.compare import Comparison
from runoff.comparison.cost import cheaper
from runoff.comparison.facts import Sentence, Side, both, listed
from runoff.comparison.replicates import BASE, are_replicates, one_setting
from runoff.comparison.requirements import Required, required, unmeasured
from runoff.comparison.separation import separation
from runoff.comparison.statistics import Outcome, PairedDifference, questions_needed
from runoff.comparison.voting import Votes, preferred, vote_changes, vote_headline, vote_sentences
from runoff.comparison.yardstick import Yardstick
from runoff.words import count_of

__all__ = ["Decision", "Verdict", "verdict"]


class Decision(StrEnum):
    """What a comparison can come to."""

    BETTER = "better"
    EQUIVALENT = "equivalent"
    NOT_DETECTABLE = "no difference detectable"
    NOT_COMPARABLE = "not comparable"
    INSUFFICIENT = "insufficient evidence"


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
    blocking = [check for check in comparison.checks if check.level == "blocking" and "held-out loss" in check.blocks]
    if comparison.evidence.missing:
        return _insufficient(comparison, aim, comparison.evidence.missing)
    if blocking:
        headline = Sentence("These runs can't be compared by what was measured, so none is recommended.")
        because = tuple(check.sentence for check in blocking)
        commands = tuple(next_commands(comparison, aim))
        return Verdict(aim, Decision.NOT_COMPARABLE, None, headline, because, (), commands)
    deciding = yardsticks(aim, comparison.evidence)
    if deciding is None or any(one.leader is None or not one.pairs for one in deciding):
        return _insufficient(
            comparison, aim, f"what the aim {aim.value} is decided by was not measured on the same answers"
        )
    return _measured(comparison, aim, deciding)


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
    change += _weightless(comparison.sides)
    separated = separation(comparison)
    if separated is not None:
        change.append(separated.sentence)
    commands = tuple(next_commands(comparison, aim))
    return Verdict(aim, Decision.INSUFFICIENT, None, headline, tuple(because), tuple(change), commands)


def _weightless(sides: Sequence[Side]) -> Iterator[Sentence]:
    """What can't be measured, and why: a file that was not imported, or a run that ended before it had one."""
    for imported, why in (
        (True, "the adapter's weights are not among the files. Import them with the rest, or train again."),
        (False, "no adapter was kept before the training ended. Train again, or compare the others without."),
    ):
        found = [
            side.label
            for side in sides
            if not side.run.folder.has_adapter and (side.run.identity.imported is not None) is imported
        ]
        if found:
            text = f"{listed(found)} can't be measured as {'it is' if len(found) == 1 else 'they are'}: {why}"
            yield Sentence(text, tuple(f"{label}.adapter" for label in found))


def _measured(comparison: Comparison, aim: Aim, deciding: Sequence[Yardstick]) -> Verdict:
    gates = required(comparison.evidence)
    failed = {found.label for found in gates if found.status == "failed"}
    survivors = [label for label in deciding[0].values if label not in failed]
    if failed and survivors:  # where none survives, all are compared, and none is shipped
        deciding = [one.among(survivors) for one in deciding]
    if failed and len(survivors) == 1:
        return _sole_survivor(comparison, aim, deciding, gates)
    votes = comparison.evidence.votes
    voted = None if one_setting(comparison.sides) else preferred(votes, list(deciding[0].values))
    decision, leader = (Decision.BETTER, voted) if voted else _decision(deciding)
    seeds_alone = decision is Decision.BETTER and one_setting(comparison.sides)
    if seeds_alone:
        decision = Decision.NOT_DETECTABLE
    ship = leader if decision is Decision.BETTER and _may_ship(leader, deciding, gates, votes) else None
    separated = separation(comparison)
    advice = cheaper([comparison.side(label) for label in deciding[0].values])
    own_gates = [found for found in gates if found.label == leader]
    if seeds_alone:
        headline = _seeds_headline(deciding[0], leader)
    elif voted and votes:
        start = _start(deciding[0], leader, ship, own_gates)
        headline = vote_headline(votes, leader, list(deciding[0].values), start)
    else:
        headline = _headline(decision, deciding, leader, ship, own_gates, advice)
    because = [
        *(found.sentence for found in gates),
        *vote_sentences(votes),
        *_overruled(deciding, voted),
        *(sentence for one in deciding for sentence in _pair_sentences(one, leader)),
        *(sentence for one in deciding for sentence in _seed_sentences(one, leader)),
        *(sentence for one in deciding for sentence in _base_sentences(one)),
        *_challenge_sentences(comparison),
        *_not_looked_at(comparison),
    ]
    return Verdict(
        aim,
        decision,
        ship,
        headline,
        tuple(because),
        (
            *_failed_would_change(gates),
            *_would_change(comparison, decision, () if voted else deciding, leader),
            *vote_changes(votes, comparison.sides, tied=_tied(comparison, decision)),
        ),
        (*next_commands(comparison, aim, failed=bool(failed)), *(separated.commands if separated else ())),
        gates,
    )


def _sole_survivor(
    comparison: Comparison, aim: Aim, deciding: Sequence[Yardstick], gates: Sequence[Required]
) -> Verdict:
    """The one run that may be shipped, if it is better than the base."""
    one = deciding[0]
    (label,) = one.values
    out = {found.label: found.gate for found in gates if found.status == "failed"}
    why = listed([f"{other} ({gate})" for other, gate in out.items()])
    pair, ship = one.against_base[label], one.between(label, BASE) is Outcome.BETTER
    text = f"{why} must not be shipped; "
    if ship:
        word = "lower" if one.lower_is_better is not False else "higher"
        value = f"{one.advantage(pair):.4f} {one.unit}"
        text = f"Ship {label}: {text}its {one.title.lower()} is {value} {word} than the base's ({_certainty(pair)})."
    else:
        text += f"{label} remains, but is not shown to be better than the base ({_certainty(pair)})."
    because = (
        *(found.sentence for found in gates),
        *(sentence for each in deciding for sentence in _base_sentences(each)),
        *_not_looked_at(comparison),
    )
    change = (*_failed_would_change(gates), *_would_change(comparison, Decision.BETTER, deciding, label))
    commands = tuple(next_commands(comparison, aim, failed=True))
    headline = Sentence(text, (f"{one.key}.{label}-base",))
    return Verdict(aim, Decision.BETTER, label if ship else None, headline, because, change, commands, tuple(gates))


def _decision(deciding: Sequence[Yardstick]) -> tuple[Decision, str]:
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


def _one_decision(one: Yardstick) -> tuple[Decision, str]:
    """A winner has to beat every other run, with the p-values of all pairs adjusted for their number."""
    leader = one.leader or ""
    outcomes = {label: one.between(leader, label) for label in one.values if label != leader}
    if all(found is Outcome.BETTER and label not in one.not_worse for label, found in outcomes.items()):
        return Decision.BETTER, leader
    if all(found is Outcome.EQUIVALENT for found in outcomes.values()):
        return Decision.EQUIVALENT, leader
    if all(found is Outcome.INSUFFICIENT for found in outcomes.values()):
        return Decision.INSUFFICIENT, leader
    return Decision.NOT_DETECTABLE, leader


def _beaten_by_nobody(one: Yardstick, leader: str) -> bool:
    return not any(one.between(leader, label) is Outcome.WORSE for label in one.values if label != leader)


def _overruled(deciding: Sequence[Yardstick], voted: str | None) -> Iterator[Sentence]:
    """What the aim's measures would have said, where votes say otherwise."""
    found, leader = _decision(deciding)
    if voted is not None and found is Decision.BETTER and leader != voted:
        names = listed([one.title.lower() for one in deciding])
        text = f"By {names} {leader} is better; decisive votes come before it."
        yield Sentence(text, (f"{deciding[0].key}.{leader}",))


def _tied(comparison: Comparison, decision: Decision) -> bool:
    """Whether there are generated answers, of runs and not of settings, and the measures name no winner."""
    generated = "broken" in comparison.evidence.measures and not comparison.groups
    alike = decision in (Decision.NOT_DETECTABLE, Decision.EQUIVALENT)
    return generated and alike and not one_setting(comparison.sides)


def _may_ship(leader: str, deciding: Sequence[Yardstick], gates: Sequence[Required], votes: Votes | None) -> bool:
    """Better than the base by the first yardstick or by decisive votes, and through every gate that was measured."""
    helps = deciding[0].between(leader, BASE) is Outcome.BETTER or (votes is not None and votes.prefers(leader, BASE))
    return helps and not any(found.status == "failed" and found.label == leader for found in gates)


def _headline(
    decision: Decision,
    deciding: Sequence[Yardstick],
    leader: str,
    ship: str | None,
    gates: Sequence[Required],
    advice: str,
) -> Sentence:
    one = deciding[0]
    labels = listed(list(one.values))
    others = {label: one.pairs[leader, label] for label in one.values if label != leader}
    nearest = min(others, key=lambda label: one.advantage(others[label]))
    pair, cites = others[nearest], (f"{one.key}.{leader}-{nearest}",)
    name = one.title.lower()
    if decision is Decision.BETTER:
        start = _start(one, leader, ship, gates)
        word = "lower" if one.lower_is_better is not False else "higher"
        if len(others) == 1:
            than = f"{word} than that of {nearest}"
        else:
            than = f"{word} than that of the next best run, {nearest}"
        value = f"{one.advantage(pair):.4f} {one.unit}"
        return Sentence(f"{start}: its {name} is {value} {than} ({_certainty(pair)}).", cites)
    if decision is Decision.EQUIVALENT:
        return Sentence(
            f"{labels} are equivalent by {name}: they differ by less than {one.margin:g} {one.unit} "
            f"({_certainty(pair)}). {advice}",
            cites,
        )
    if decision is Decision.INSUFFICIENT:
        text = (
            f"Insufficient evidence: {count_of(pair.n, 'test row')} of {count_of(pair.clusters, 'source')} can't tell "
            f"{labels} apart."
        )
        return Sentence(text, cites)
    if len(others) > 1 and len(one.not_worse) > 1:
        tied = listed([label for label in one.values if label in one.not_worse])
        alone = pair.p_value is not None and pair.p_value <= 0.05  # which the choice of a leader among many explains
        allowed = f", with {len(one.values)} runs compared at once" if alone else ""
        return Sentence(f"No winner: {tied} can't be told apart by {name}{allowed} ({_certainty(pair)}).", cites)
    if len(deciding) > 1:
        return Sentence(
            f"No winner: {listed([two.title.lower() for two in deciding])} do not agree on one of {labels}.", cites
        )
    return Sentence(f"No difference detectable between {labels} by {name} ({_certainty(pair)}).", cites)


def _seeds_headline(one: Yardstick, leader: str) -> Sentence:
    """Better as an adapter, but not as a setting: another seed may turn it round."""
    others = [label for label in one.values if label != leader]
    pair = one.pairs[leader, min(others, key=lambda label: one.advantage(one.pairs[leader, label]))]
    return Sentence(
        f"No winner: {listed(list(one.values))} differ in nothing but their seed. That {leader} has the better "
        f"{one.title.lower()} is the draw of a seed ({_certainty(pair)}).",
        (f"{one.key}.{leader}", *(f"{label}.settings.seed" for label in one.values)),
    )


def _start(one: Yardstick, leader: str, ship: str | None, gates: Sequence[Required]) -> str:
    return f"Ship {leader}" if ship else _not_shipped(one, leader, gates)


def _not_shipped(one: Yardstick, leader: str, gates: Sequence[Required]) -> str:
    failed = [found.gate for found in gates if found.status == "failed"]
    if failed:
        return f"{leader} is the best of the runs, but must not be shipped ({listed(failed)})"
    return f"{leader} is the best of the runs, but is not shown to be better than the base"


def _certainty(pair: PairedDifference) -> str:
    ends = pair.interval(0.95)
    interval = f"difference {pair.difference.value:+.4f}, " if pair.difference.value is not None else ""
    interval += f"95 % interval {ends[0]:+.4f} to {ends[1]:+.4f}; " if ends else "no interval; "
    p = (
        "no p-value"
        if pair.p_value is None
        else f"p {'< 0.0001' if pair.p_value < 0.0001 else f'= {pair.p_value:.2g}'}"
    )
    return f"{interval}{p}; {count_of(pair.n, 'answer')} from {count_of(pair.clusters, 'source')}"


def _pair_sentences(one: Yardstick, leader: str) -> Iterator[Sentence]:
    for label in one.values:
        pair = one.pairs.get((leader, label))
        if pair is None:
            continue
        cites = (f"{one.key}.{leader}-{label}",)
        name = one.title.lower()
        if pair.exact_zero:
            yield Sentence(f"{leader} and {label} have exactly the same {name} on every answer.", cites)
        elif pair.share_lower is not None and one.lower_is_better:
            share = f"{pair.share_lower:.0%}".replace("%", " %")
            yield Sentence(
                f"{leader} has the lower {name} on {share} of the answers, compared with {label}; the median "
                f"difference is {pair.median_difference:+.4f} {one.unit}.",
                cites,
            )


def _seed_sentences(one: Yardstick, leader: str) -> Iterator[Sentence]:
    """What the runs of each setting say, apart from what the questions say."""
    for label in one.values:
        seeds = one.seeds.get((leader, label))
        if seeds is None:
            continue
        low, high = seeds.interval(0.95)
        agree = "agree" if low > 0 or high < 0 else "do not show a difference by themselves"
        yield Sentence(
            f"Over seeds, {leader} and {label} differ by {seeds.value:+.4f} {one.unit} (95 % t interval {low:+.4f} to "
            f"{high:+.4f} from {seeds.runs[0]} and {count_of(seeds.runs[1], 'run')}; runs that differ in their seed "
            f"alone have a standard deviation of {seeds.sd:.4f}): the seeds {agree}.",
            (f"{one.key}.seeds.{leader}-{label}",),
        )


def _challenge_sentences(comparison: Comparison) -> Iterator[Sentence]:
    """What became of the challengers of a named baseline."""
    found = comparison.evidence.challenges
    if not found:
        return
    words = {
        Outcome.BETTER: "better", Outcome.WORSE: "worse", Outcome.EQUIVALENT: "equivalent",
        Outcome.NOT_DETECTABLE: "not detectably different", Outcome.INSUFFICIENT: "not told apart by so few sources",
    }  # fmt: skip
    told = listed([f"{one.label} is {words[one.outcome]}" for one in found])
    adjusted = f", p adjusted for {len(found)} challengers" if len(found) > 1 else ""
    cites = tuple(f"held_out_loss.{one.label}-{one.baseline}" for one in found)
    yield Sentence(f"Against the baseline {found[0].baseline}, by held-out loss: {told}{adjusted}.", cites)


def _base_sentences(one: Yardstick) -> Iterator[Sentence]:
    name = one.title.lower()
    for label, pair in one.against_base.items():
        value = pair.difference.value
        if value is None:
            continue
        way = "lower" if value < 0 else "higher"
        word = {
            Outcome.BETTER: f"{abs(value):.4f} {one.unit} {way} than the base's",
            Outcome.WORSE: f"{abs(value):.4f} {one.unit} {way} than the base's: it made the model worse here",
        }.get(one.between(label, BASE), "not detectably different from the base's")
        yield Sentence(f"{label}'s {name} is {word} ({_certainty(pair)}).", (f"{one.key}.{label}-base",))


def _not_looked_at(comparison: Comparison) -> Iterator[Sentence]:
    left = unmeasured(comparison.evidence.measures)
    if left:
        yield Sentence(f"Not measured here: {listed(left)}. Held-out loss says nothing about them by itself.")


def _failed_would_change(gates: Sequence[Required]) -> Iterator[Sentence]:
    """What the failed gates call for; which of it helps, only another training shows."""
    failed = list(dict.fromkeys(found.gate for found in gates if found.status == "failed"))
    if not failed:
        return
    cites = tuple(cite for found in gates if found.status == "failed" for cite in found.sentence.cites)
    yield Sentence(
        f"A run that passes {listed(failed)} would. What usually keeps more of the base: fewer updates, a lower "
        "learning rate or scale, fewer adapted blocks, or general questions with the base's own answers among the "
        "training rows.",
        cites,
    )


def _would_change(
    comparison: Comparison, decision: Decision, deciding: Sequence[Yardstick], leader: str
) -> Iterator[Sentence]:
    for one in deciding:
        for label in one.values:
            if label != leader:
                yield from _pair_would_change(one, decision, one.pairs[leader, label], label)
    if not comparison.groups and {side.setting("seed").value for side in comparison.sides} != {None}:
        yield Sentence(
            "Each run was trained once: how much of the difference is the chance of one seed is not known. A second "
            f"seed of {both(len(comparison.sides))} would show it.",
            tuple(f"{side.label}.settings.seed" for side in comparison.sides),
        )
    separated = separation(comparison)
    if separated is not None:
        yield separated.sentence
    twins = [
        f"{one.label} and {two.label}" for one, two in combinations(comparison.sides, 2) if are_replicates(one, two)
    ]
    if twins and not comparison.groups and not one_setting(comparison.sides):
        text = f"{twins[0]} differ in their seed alone: with --replicates such runs are taken as one setting."
        yield Sentence(text, ("settings.seed",))


def _pair_would_change(one: Yardstick, decision: Decision, pair: PairedDifference, label: str) -> Iterator[Sentence]:
    need, ends = questions_needed(pair, one.margin), pair.interval(0.95)
    cites = (f"{one.key}.{label}",)
    if decision is Decision.NOT_DETECTABLE and need.questions is not None and need.questions > pair.n:
        least = pair.smallest_detectable
        seen = f" The smallest difference these rows could have shown is {least:.4f}." if least else ""
        yield Sentence(
            f"To settle a difference of {one.margin:g} {one.unit} from {label}, about {need.questions:,} questions "
            f"from {need.clusters} sources are needed; there are {pair.n} from {pair.clusters}.{seen}",
            cites,
        )
    if decision is Decision.BETTER and ends:
        smallest = -ends[1] if one.lower_is_better is not False else ends[0]
        if smallest < one.margin:
            yield Sentence(
                f"The lead over {label} may be as small as {smallest:.4f} {one.unit}, less than the margin of "
                f"{one.margin:g} that was said to matter.",
                cites,
            )
