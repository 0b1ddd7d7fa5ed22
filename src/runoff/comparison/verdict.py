"""Which run to ship, and why; or that it can't be said, and what would settle it.

Owns: the rules. Five outcomes, no more: better, equivalent, no difference detectable, not comparable, insufficient
evidence. Every sentence cites the facts it was computed from. Must not: compute statistics or print.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from runoff.comparison.compare import Comparison
from runoff.comparison.facts import Sentence, Side, both, listed
from runoff.comparison.statistics import Outcome, PairedDifference, outcome, questions_needed

__all__ = ["Decision", "Verdict", "verdict"]

UNMEASURED = ("style", "factual accuracy", "what was forgotten", "broken output")


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

    decision: Decision
    ship: str | None
    headline: Sentence
    because: tuple[Sentence, ...]
    would_change: tuple[Sentence, ...]
    commands: tuple[str, ...]


def verdict(comparison: Comparison) -> Verdict:
    """Apply the rules to a comparison."""
    evidence = comparison.evidence
    blocking = [check for check in comparison.checks if check.level == "blocking" and "held-out loss" in check.blocks]
    if evidence.missing or evidence.leader is None:
        return _insufficient(comparison)
    if blocking:
        headline = Sentence("These runs can't be compared by their held-out loss, so none is recommended.")
        because = tuple(check.sentence for check in blocking)
        return Verdict(Decision.NOT_COMPARABLE, None, headline, because, (), tuple(_commands(comparison)))
    return _measured(comparison, evidence.leader)


def _insufficient(comparison: Comparison) -> Verdict:
    missing = comparison.evidence.missing or "no held-out loss is known"
    headline = Sentence(f"Insufficient evidence: {missing}, so none is recommended.")
    because = [
        Sentence("A training log's own losses are shown but decide nothing: each tool averages them its own way.")
    ]
    without = [side.label for side in comparison.sides if not side.run.metrics]
    if without:
        because.insert(
            0, Sentence(f"{listed(without)} {'has' if len(without) == 1 else 'have'} no recorded metrics at all.")
        )
    change = (Sentence("Scoring all runs on the same held-out rows would give a first answer."),)
    return Verdict(Decision.INSUFFICIENT, None, headline, tuple(because), change, tuple(_commands(comparison)))


def _measured(comparison: Comparison, leader: str) -> Verdict:
    evidence, margin = comparison.evidence, comparison.margin
    others = [side.label for side in comparison.sides if side.label != leader]
    pairs = {label: evidence.pairs[leader, label] for label in others}
    outcomes = {label: outcome(pair, margin) for label, pair in pairs.items()}
    decision = _decision(outcomes, beaten=[label for label in others if label not in evidence.not_worse])
    helps = {side.label: outcome(evidence.against_base[side.label], margin) for side in comparison.sides}
    ship = leader if decision is Decision.BETTER and helps[leader] is Outcome.BETTER else None
    because = [*_pair_sentences(leader, pairs), *_base_sentences(comparison, helps), _unmeasured()]
    change = tuple(_would_change(comparison, decision, pairs))
    return Verdict(
        decision,
        ship,
        _headline(comparison, decision, leader, pairs, ship),
        tuple(because),
        change,
        tuple(_commands(comparison)),
    )


def _decision(outcomes: dict[str, Outcome], beaten: Sequence[str]) -> Decision:
    """A winner has to beat every other run, with the p-values of all pairs adjusted for their number."""
    if all(label in beaten and found is Outcome.BETTER for label, found in outcomes.items()):
        return Decision.BETTER
    if all(found is Outcome.EQUIVALENT for found in outcomes.values()):
        return Decision.EQUIVALENT
    if all(found is Outcome.INSUFFICIENT for found in outcomes.values()):
        return Decision.INSUFFICIENT
    return Decision.NOT_DETECTABLE


def _headline(
    comparison: Comparison, decision: Decision, leader: str, pairs: dict[str, PairedDifference], ship: str | None
) -> Sentence:
    nearest = min(pairs, key=lambda label: -(pairs[label].difference.value or 0.0))
    pair, cites = pairs[nearest], (f"held_out.{leader}-{nearest}",)
    if decision is Decision.BETTER:
        start = (
            f"Ship {leader}"
            if ship
            else f"{leader} is the best of the runs, but is not shown to be better than the base"
        )
        close = "" if len(pairs) == 1 else f" (the next best, {nearest})"
        return Sentence(
            f"{start}: its held-out loss is {_loss(-(pair.difference.value or 0.0))} nats per target token lower than "
            f"{'that of ' + nearest if len(pairs) == 1 else 'that of any other run'}{close} ({_certainty(pair)}).",
            cites,
        )
    labels = listed([side.label for side in comparison.sides])
    if decision is Decision.EQUIVALENT:
        return Sentence(
            f"{labels} are equivalent on held-out loss: they differ by less than {comparison.margin:g} nats per target "
            f"token ({_certainty(pair)}). Keep the cheaper one.",
            cites,
        )
    if decision is Decision.INSUFFICIENT:
        return Sentence(
            f"Insufficient evidence: {pair.n} test rows of {pair.clusters} source can't tell {labels} apart.", cites
        )
    tied = listed([side.label for side in comparison.sides if side.label in comparison.evidence.not_worse])
    if len(pairs) > 1 and len(comparison.evidence.not_worse) > 1:
        return Sentence(f"No winner: {tied} can't be told apart on held-out loss ({_certainty(pair)}).", cites)
    return Sentence(f"No difference detectable between {labels} on held-out loss ({_certainty(pair)}).", cites)


def _certainty(pair: PairedDifference) -> str:
    ends = pair.interval(0.95)
    interval = f"difference {pair.difference.value:+.4f}, " if pair.difference.value is not None else ""
    interval += f"95 % interval {ends[0]:+.4f} to {ends[1]:+.4f}; " if ends else "no interval; "
    p = (
        "no p-value"
        if pair.p_value is None
        else f"p {'< 0.0001' if pair.p_value < 0.0001 else f'= {pair.p_value:.2g}'}"
    )
    return f"{interval}{p}; {pair.n} answers from {pair.clusters} sources"


def _pair_sentences(leader: str, pairs: dict[str, PairedDifference]) -> Iterator[Sentence]:
    for label, pair in pairs.items():
        if pair.exact_zero:
            yield Sentence(
                f"{leader} and {label} give every answer exactly the same loss.", (f"held_out.{leader}-{label}",)
            )
        elif pair.share_lower is not None:
            yield Sentence(
                f"{leader} gives {pair.share_lower:.0%} of the answers a lower loss than {label} does; the median "
                f"difference is {pair.median_difference:+.4f} nats per target token.".replace("%", " %"),
                (f"held_out.{leader}-{label}",),
            )


def _base_sentences(comparison: Comparison, helps: dict[str, Outcome]) -> Iterator[Sentence]:
    for side in comparison.sides:
        pair = comparison.evidence.against_base[side.label]
        value = pair.difference.value
        if value is None:
            continue
        word = {
            Outcome.BETTER: f"{_loss(-value)} nats per target token lower than the base's",
            Outcome.WORSE: f"{_loss(value)} nats per target token higher than the base's: it made the model worse here",
        }.get(helps[side.label], "not detectably different from the base's")
        yield Sentence(
            f"{side.label}'s held-out loss is {word} ({_certainty(pair)}).", (f"held_out.{side.label}-base",)
        )


def _unmeasured() -> Sentence:
    return Sentence(f"Not measured here: {listed(UNMEASURED)}. Held-out loss says nothing about them by itself.")


def _would_change(comparison: Comparison, decision: Decision, pairs: dict[str, PairedDifference]) -> Iterator[Sentence]:
    margin = comparison.margin
    for label, pair in pairs.items():
        need = questions_needed(pair, margin)
        if decision is Decision.NOT_DETECTABLE and need.questions is not None and need.questions > pair.n:
            seen = (
                f" The smallest difference these rows could have shown is {pair.smallest_detectable:.4f}."
                if pair.smallest_detectable
                else ""
            )
            yield Sentence(
                f"To settle a difference of {margin:g} nats per target token from {label}, about {need.questions:,} "
                f"questions from {need.clusters} sources are needed; there are {pair.n} from {pair.clusters}.{seen}",
                (f"held_out.{label}",),
            )
        ends = pair.interval(0.95)
        if decision is Decision.BETTER and ends and ends[1] > -margin:
            yield Sentence(
                f"The lead over {label} may be as small as {_loss(-ends[1])} nats per target token, less than the "
                f"margin of {margin:g} that was said to matter.",
                (f"held_out.{label}",),
            )
    seeds = {side.setting("seed").value for side in comparison.sides}
    if seeds != {None}:
        yield Sentence(
            "Each run was trained once: how much of the difference is the chance of one seed is not known. A second "
            f"seed of {both(len(comparison.sides))} would show it.",
            tuple(f"{side.label}.settings.seed" for side in comparison.sides),
        )
    cause = comparison.several_at_once
    if cause is not None:
        yield Sentence("Runs that change one of the settings at a time would show which one matters.", cause.cites)


def _commands(comparison: Comparison) -> Iterator[str]:
    """Commands that run as printed from the folder in which the comparison was made."""
    references = " ".join(shlex.quote(side.reference) for side in comparison.sides)
    if comparison.evidence.missing:
        if all(side.run.folder.adapter.is_dir() for side in comparison.sides):
            yield f"runoff evaluate {references}"
        return
    for side in comparison.sides:
        command = _retrain(side)
        if command:
            yield command


def _retrain(side: Side) -> str | None:
    """The same run with the next seed."""
    seed = side.setting("seed").value
    if side.run.identity.imported or not side.run.folder.config.exists() or not isinstance(seed, int):
        return None
    options = [
        f"{key}={value.value}"
        for key, value in side.run.plan.settings.items()
        if value.origin.kind == "option" and key != "seed"
    ]
    given = "".join(f" --set {shlex.quote(option)}" for option in [*options, f"seed={seed + 1}"])
    path, name = shlex.quote(str(side.run.folder.config)), shlex.quote(f"{side.run.name}-seed{seed + 1}")
    return f"runoff train {path} --name {name}{given}"


def _loss(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else "unknown"
