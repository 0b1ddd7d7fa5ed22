"""Why a verdict is what it is, and what would change it. Owns: these sentences. Must not: decide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from runoff.comparison.compare import Comparison
from runoff.comparison.decide import Decision, decide
from runoff.comparison.facts import Sentence, Side, both, listed
from runoff.comparison.headlines import certainty
from runoff.comparison.replicates import BASE, are_replicates, one_setting
from runoff.comparison.requirements import Required, unmeasured_of
from runoff.comparison.separation import separation
from runoff.comparison.statistics import Outcome, minimum_clusters_for, questions_needed
from runoff.comparison.voting import Votes
from runoff.comparison.yardstick import Yardstick
from runoff.evaluation.votes.sentences import pair_sentence, settling_sentence
from runoff.words import count_of, owned, signed

__all__ = [
    "base_sentences",
    "base_would_change",
    "challenge_sentences",
    "failed_would_change",
    "not_looked_at",
    "overruled",
    "pair_sentences",
    "seed_sentences",
    "setting_would_change",
    "vote_changes",
    "vote_sentences",
    "weightless",
    "would_change",
]


def weightless(sides: Sequence[Side]) -> Iterator[Sentence]:
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


def overruled(deciding: Sequence[Yardstick], voted: str | None) -> Iterator[Sentence]:
    """What the aim's measures would have said, where votes say otherwise."""
    found, leader = decide(deciding)
    if voted is not None and found is Decision.BETTER and leader != voted:
        names = listed([one.title.lower() for one in deciding])
        text = f"By {names} {leader} is better; decisive votes come before it."
        yield Sentence(text, (f"{deciding[0].key}.{leader}",))


def pair_sentences(one: Yardstick, leader: str) -> Iterator[Sentence]:
    """How often the leader is the better one, compared with each other run."""
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
                f"difference is {signed(pair.median_difference or 0.0)} {one.unit}.",
                cites,
            )


def seed_sentences(one: Yardstick, leader: str) -> Iterator[Sentence]:
    """What the runs of each setting say, apart from what the questions say."""
    for label in one.values:
        seeds = one.seeds.get((leader, label))
        if seeds is None:
            continue
        low, high = seeds.interval(0.95)
        agree = "agree" if low > 0 or high < 0 else "do not show a difference by themselves"
        yield Sentence(
            f"Over seeds, {leader} and {label} differ by {signed(seeds.value)} {one.unit} (95 % t interval "
            f"{signed(low)} to {signed(high)} from {seeds.runs[0]} and {count_of(seeds.runs[1], 'run')}; runs that "
            f"differ in their seed alone have a standard deviation of {seeds.sd:.4f}): the seeds {agree}.",
            (f"{one.key}.seeds.{leader}-{label}",),
        )


def challenge_sentences(comparison: Comparison) -> Iterator[Sentence]:
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


def base_sentences(one: Yardstick) -> Iterator[Sentence]:
    """Each run against the base."""
    name = one.title.lower()
    for label, pair in one.against_base.items():
        value = pair.difference.value
        if value is None:
            continue
        way = "lower" if value < 0 else "higher"
        word = {
            Outcome.BETTER: f"{abs(value):.4f} {one.unit} {way} than the base's",
            Outcome.WORSE: f"{abs(value):.4f} {one.unit} {way} than the base's: it made the model worse here",
            Outcome.INSUFFICIENT: f"{abs(value):.4f} {one.unit} {way} than the base's, with too few sources for a test",
        }.get(one.between(label, BASE), "not detectably different from the base's")
        yield Sentence(f"{owned(label)} {name} is {word} ({certainty(pair)}).", (f"{one.key}.{label}-base",))


def not_looked_at(comparison: Comparison) -> Iterator[Sentence]:
    """What no gate could look at."""
    left = unmeasured_of(comparison.evidence, comparison.evidence.evaluations)
    of = " in every run" if comparison.evidence.apart else " here"
    if left:
        yield Sentence(f"Not measured{of}: {listed(left)}. Held-out loss says nothing about them by itself.")


def base_would_change(one: Yardstick, leader: str, decision: Decision) -> Iterator[Sentence]:
    """Where the best of the runs is worse than the base, which of them is best no longer matters."""
    if decision is Decision.BETTER and one.between(leader, BASE) is Outcome.WORSE:
        text = f"Only a run that is better than the base by {one.title.lower()} could be shipped; none of these is."
        yield Sentence(text, (f"{one.key}.{leader}-base",))


def setting_would_change(one: Yardstick, labels: Sequence[str]) -> Iterator[Sentence]:
    """Of runs that differ in their seed alone: no further seed makes one of them the better setting."""
    known = [value for label in labels if (value := one.values[label].value) is not None]
    if known:
        yield Sentence(
            "Only runs of another setting could turn up a better one. Between these chance alone moves the "
            f"{one.title.lower()} by up to {max(known) - min(known):.4f} {one.unit}.",
            tuple(f"{label}.settings.seed" for label in labels),
        )


def failed_would_change(gates: Sequence[Required]) -> Iterator[Sentence]:
    """What the failed gates call for; which of it helps, only another training shows."""
    failed = list(dict.fromkeys(found.gate for found in gates if found.failed))
    if not failed:
        return
    cites = tuple(cite for found in gates if found.failed for cite in found.sentence.cites)
    yield Sentence(
        f"A run that passes {listed(failed)} could change the verdict. What usually keeps more of the base: fewer "
        "updates, a lower learning rate or scale, fewer adapted blocks, or general questions with the base's own "
        "answers among the training rows.",
        cites,
    )


def would_change(
    comparison: Comparison, decision: Decision, deciding: Sequence[Yardstick], leader: str, again: Sequence[Side]
) -> Iterator[Sentence]:
    """What would settle what is open, or could turn it round. again: of whom a second seed would show something."""
    for one in deciding:
        for label in one.values:
            if label != leader:
                yield from _pair_would_change(one, decision, leader, label)
    if again and {side.setting("seed").value for side in comparison.sides} != {None}:
        whole = len(again) == len(comparison.sides)
        who = both(len(again)) if whole else listed([side.label for side in again])
        yield Sentence(
            "Each run was trained once: how much of the difference is the chance of one seed is not known. A second "
            f"seed of {who} would show it.",
            tuple(f"{side.label}.settings.seed" for side in again),
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


def _pair_would_change(one: Yardstick, decision: Decision, leader: str, label: str) -> Iterator[Sentence]:
    """A settled pair calls for no more answers, and one without a winner has no lead."""
    pair, found = one.pairs[leader, label], one.between(leader, label)
    need, ends = questions_needed(pair, one.margin), pair.interval(0.95)
    cites = (f"{one.key}.{label}",)
    is_open = found is Outcome.NOT_DETECTABLE or (found is Outcome.BETTER and label in one.not_worse)
    if decision is Decision.NOT_DETECTABLE and is_open and need.questions is not None and need.questions > pair.n:
        least = pair.smallest_detectable
        seen = f" The smallest difference these rows could have shown is {least:.4f}." if least else ""
        yield Sentence(
            f"To settle a difference of {one.margin:g} {one.unit} from {label}, about {need.questions:,} questions "
            f"from {need.clusters} sources are needed; there are {pair.n} from {pair.clusters}.{seen}",
            cites,
        )
    if found is Outcome.INSUFFICIENT and pair.clusters < minimum_clusters_for():
        yield Sentence(
            f"A test against {label} takes answers from {minimum_clusters_for()} sources or more; there "
            f"{'is' if pair.clusters == 1 else 'are'} {pair.clusters}.",
            cites,
        )
    if decision is Decision.BETTER and found is Outcome.BETTER and ends:
        smallest = -ends[1] if one.lower_is_better is not False else ends[0]
        if smallest < one.margin:
            yield Sentence(
                f"The lead over {label} may be as small as {smallest:.4f} {one.unit}, less than the margin of "
                f"{one.margin:g} that was said to matter.",
                cites,
            )


def vote_sentences(votes: Votes | None) -> Iterator[Sentence]:
    """How the votes stand between every two that were voted on."""
    for one in votes.results.pairs if votes else ():
        yield Sentence(f"Blind votes: {pair_sentence(one)}", (f"votes.{one.first}-{one.second}",))


def vote_changes(votes: Votes | None, voters: Sequence[Side] = ()) -> Iterator[Sentence]:
    """What would settle those that are open. voters: those that the measures of generated answers do not tell apart."""
    if voters:
        who = listed([side.label for side in voters])
        yield Sentence(f"Nobody has voted on the answers. Blind votes may tell {who} apart where the measures do not.")
    for one in votes.results.pairs if votes else ():
        text = settling_sentence(one)
        if text:
            yield Sentence(text, (f"votes.{one.first}-{one.second}",))
