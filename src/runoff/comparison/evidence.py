"""What was measured on the same held-out rows: the loss, and the measures of generated answers where there are any.

Owns: finding the test set that all runs share. Must not: decide (comparison/verdict.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from runoff.comparison.challengers import Challenge, challenges
from runoff.comparison.facts import Side, listed
from runoff.comparison.replicates import averaged, seed_differences
from runoff.comparison.selection import indistinguishable_from_best
from runoff.comparison.statistics import PairedDifference, paired_difference
from runoff.comparison.voting import Votes, gather_votes
from runoff.comparison.yardstick import SEED, Pairs, Yardstick, from_measures
from runoff.engines.scoring import HELD_OUT_UNIT, ScoredRow, cluster_of, mean_loss
from runoff.errors import RunError
from runoff.evaluation import Evaluation, held_out_loss, load_evaluations
from runoff.evaluation.evaluate import largest_in_common

__all__ = ["HELD_OUT", "Evidence", "clusters_of", "gather", "paired_rows", "validation_rows"]

HELD_OUT = "held_out_loss"


@dataclass(frozen=True)
class Evidence:
    """What all runs were measured by on the rows that they share, or why there is nothing.

    loss: the held-out loss, None if `missing` says why. measures: of generated answers, by key. by_source: source ->
    label -> held-out loss. evaluations: by label; averaged over seeds where runs were grouped. challenges: against the
    baseline, if one was named. votes: of people, blindly; on runs, so not where they were grouped. unlike: keys of
    measures that were taken in different ways, each with what differs. apart: label -> the measures of this run that
    another one lacks or that are unlike; they gate it and are held against no other run.
    """

    missing: str | None
    test: Mapping[str, Any]
    loss: Yardstick | None
    measures: Mapping[str, Yardstick]
    by_source: Mapping[str, Mapping[str, float]]
    evaluations: Mapping[str, Evaluation]
    challenges: tuple[Challenge, ...] = ()
    votes: Votes | None = None
    unlike: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    apart: Mapping[str, Mapping[str, Yardstick]] = field(default_factory=dict)


def gather(
    sides: Sequence[Side],
    margin: float,
    *,
    groups: Mapping[str, Sequence[Side]] | None = None,
    baseline: str | None = None,
) -> Evidence:
    """Read what is stored beside the runs; `margin` is that of the held-out loss.

    groups: settings, each with the runs that differ in their seed alone; by default every run stands for itself.
    baseline: the run, or its setting, that the others are held against.
    """
    try:
        stored = {side.label: {one.key: one for one in load_evaluations(side.run)} for side in sides}
    except RunError as error:
        return _nothing(f"a stored evaluation can't be read ({str(error).removesuffix('.')})")
    without = [label for label, found in stored.items() if not found]
    if without:
        return _nothing(
            f"{listed(without)} {'was' if len(without) == 1 else 'were'} never scored on a held-out test set"
        )
    chosen = largest_in_common(list(stored.values()), frozenset().union(*(side.trained_on for side in sides)))
    if chosen is None:
        return _nothing("the runs were scored on different test rows")
    found = {label: one[chosen] for label, one in stored.items()}
    broken = _broken(found)
    if broken:
        return _nothing(broken)
    unlike = _unlike(list(found.values()))
    if groups:  # what was taken in different ways has no mean
        found = {label: _without(one, unlike) for label, one in found.items()}
    members = {label: [found[side.label] for side in group] for label, group in (groups or {}).items()}
    members = members or {label: [one] for label, one in found.items()}
    if baseline is not None and baseline not in members:
        home = [label for label, group in (groups or {}).items() if baseline in [side.label for side in group]]
        baseline = home[0] if home else baseline
    evidence = _evidence(members, margin, baseline, unlike)
    return evidence if groups else replace(evidence, votes=gather_votes(sides, stored))


def _broken(found: Mapping[str, Evaluation]) -> str | None:
    """Why rows that claim to be the same can't be paired, or can't be averaged."""
    first = next(iter(found.values()))
    for label, one in found.items():
        for rows in (one.rows, one.base_rows):
            if [row.sha256 for row in rows] != [row.sha256 for row in first.rows]:
                return f"the stored test rows of {label} are not those of {first.run}; evaluate both again"
            bad = sum(1 for row in rows if not math.isfinite(row.nats) or row.target_tokens < 1)
            if bad:
                are = "loss that is not a number" if bad == 1 else "losses that are not numbers"
                return f"{label}'s evaluation holds {bad} {are}"
    return None


def _unlike(found: Sequence[Evaluation]) -> dict[str, tuple[str, ...]]:
    """Measures whose values can't be set side by side, and what differs in how they were taken, as far as is known."""
    unlike = {}
    for key in set.intersection(*(set(one.measures) for one in found)):
        taken = [one.measures[key].taken for one in found]
        names = {name for each in taken for name in each}
        differing = [name for name in names if len({each[name] for each in taken if name in each}) > 1]
        if differing:
            unlike[key] = tuple(sorted(differing))
    return unlike


def _without(one: Evaluation, unlike: Mapping[str, tuple[str, ...]]) -> Evaluation:
    return replace(one, measures={key: measure for key, measure in one.measures.items() if key not in unlike})


def validation_rows(side: Side, iteration: int) -> list[ScoredRow]:
    """The rows of one validation; none where they were not kept, or are not all finite losses."""
    try:
        rows = [ScoredRow.from_json(row) for row in side.run.validation_rows(iteration)]
    except (KeyError, TypeError, ValueError, RunError):
        return []
    return rows if all(math.isfinite(row.nats) and row.target_tokens > 0 for row in rows) else []


def paired_rows(a: Sequence[ScoredRow], b: Sequence[ScoredRow]) -> PairedDifference:
    """a - b in nats per target token, over the rows that both have, clustered by source."""
    other = {row.sha256: row for row in b}
    pairs = [(row, other[row.sha256]) for row in a if row.sha256 in other]
    return paired_difference(
        [one.nats / one.target_tokens for one, _ in pairs],
        [two.nats / two.target_tokens for _, two in pairs],
        clusters_of([one for one, _ in pairs]),
        unit=HELD_OUT_UNIT,
        seed=SEED,
        weights=[one.target_tokens for one, _ in pairs],
    )


def _evidence(
    members: Mapping[str, Sequence[Evaluation]],
    margin: float,
    baseline: str | None,
    unlike: Mapping[str, tuple[str, ...]],
) -> Evidence:
    found = {label: averaged(group) for label, group in members.items()}
    first = next(iter(found.values()))
    labels = sorted(found)
    rows = {label: found[label].rows for label in found}
    base = held_out_loss(first.base_rows)
    by_run = {label: [mean_loss(one.rows) for one in group] for label, group in members.items()}
    loss = Yardstick(
        key=HELD_OUT,
        title="Held-out loss",
        dimension="Does it predict the author's answers to new questions?",
        unit=HELD_OUT_UNIT,
        margin=margin,
        lower_is_better=True,
        values={label: held_out_loss(rows[label]) for label in found},
        base=base,
        author=None,
        pairs=Pairs(labels, lambda a, b: paired_rows(rows[a], rows[b])),
        against_base={label: paired_rows(rows[label], found[label].base_rows) for label in found},
        not_worse=_not_worse(labels, rows),
        flags={},
        cannot_see="How the model writes, whether it stops, whether what it says is so, what else it can still do.",
        seeds=seed_differences(by_run, base.value),
    )
    measures = from_measures(
        {label: one.measures for label, one in found.items()},
        {label: [one.measures for one in group] for label, group in members.items()},
    )
    common = {one.key: one for one in measures if one.key not in unlike}
    apart = {
        label: {one.key: one for one in from_measures({label: rest}, {label: [rest]})}
        for label, each in found.items()
        if (rest := {key: measure for key, measure in each.measures.items() if key not in common})
    }
    held = challenges(loss, rows, clusters_of(first.rows), baseline) if baseline is not None else ()
    by_source = _by_source(rows, first.base_rows)
    return Evidence(None, first.test, loss, common, by_source, found, held, unlike=unlike, apart=apart)


def _not_worse(labels: Sequence[str], rows: Mapping[str, Sequence[ScoredRow]]) -> tuple[str, ...]:
    tokens = np.array([row.target_tokens for row in rows[labels[0]]], dtype=np.float64)
    losses = np.array([[row.nats for row in rows[label]] for label in labels]) / tokens
    kept = indistinguishable_from_best(losses, clusters_of(rows[labels[0]]), seed=SEED, weights=tokens)
    return tuple(labels[index] for index in kept)


def clusters_of(rows: Sequence[ScoredRow]) -> list[str]:
    """The source of each row; a row without one stands for itself."""
    return [cluster_of(row) for row in rows]


def _by_source(rows: Mapping[str, Sequence[ScoredRow]], base: Sequence[ScoredRow]) -> dict[str, dict[str, float]]:
    table: dict[str, dict[str, float]] = {}
    for label, scored in {"base": base, **rows}.items():
        grouped: dict[str, list[ScoredRow]] = {}
        for row, source in zip(scored, clusters_of(scored), strict=True):
            grouped.setdefault(source, []).append(row)
        for source, own in grouped.items():
            table.setdefault(source, {})[label] = sum(row.nats for row in own) / sum(row.target_tokens for row in own)
    return table


def _nothing(reason: str) -> Evidence:
    return Evidence(reason, {}, None, {}, {}, {})
