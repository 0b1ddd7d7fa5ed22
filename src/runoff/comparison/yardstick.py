"""What runs are ranked by: the held-out loss, or a measure of generated answers, in one shape.

Owns: `Yardstick`, and building one from what was stored. Must not: decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import permutations

import numpy as np

from runoff.comparison.replicates import BASE, SeedDifference, seed_differences
from runoff.comparison.selection import indistinguishable_from_best
from runoff.comparison.statistics import Outcome, PairedDifference, outcome, paired_difference
from runoff.evaluation import Estimate
from runoff.evaluation.stored import StoredMeasure

__all__ = ["SEED", "Pairs", "Yardstick", "from_measures"]

SEED = 0
"""Of the random sign flips; the same for every comparison, so that it repeats to the last digit."""


@dataclass(frozen=True)
class Pairs(Mapping[tuple[str, str], PairedDifference]):
    """(a, b) -> a - b for every two labels in both orders, each computed when it is first asked for.

    Of 50 runs there are 2,450 pairs, and a verdict looks at the 49 with the leader.
    """

    labels: Sequence[str]
    difference: Callable[[str, str], PairedDifference]
    _known: dict[tuple[str, str], PairedDifference] = field(default_factory=dict)

    def __getitem__(self, pair: tuple[str, str]) -> PairedDifference:
        """Raises KeyError for labels that are not here, or equal."""
        if pair not in self._known:
            if pair[0] == pair[1] or not {*pair} <= {*self.labels}:
                raise KeyError(pair)
            self._known[pair] = self.difference(*pair)
        return self._known[pair]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Every pair, in the order of the labels."""
        return permutations(self.labels, 2)

    def __len__(self) -> int:
        """Ordered pairs."""
        return len(self.labels) * (len(self.labels) - 1)


@dataclass(frozen=True)
class Yardstick:
    """One measure of every run on the same examples.

    margin: the smallest difference that matters, in the unit. lower_is_better: None where neither is (the author's own
    value is the best); then it is shown and never ranked by. pairs: (a, b) -> a - b for every two labels in both
    orders; empty where the measure is not a mean over examples. not_worse: labels that the data can't tell from the
    best one. flags, remarks: by label, sentences that warn of the number, or explain it. seeds: (a, b) -> a - b over
    runs that differ in their seed, where runs were grouped into settings; b may be the base.
    """

    key: str
    title: str
    dimension: str
    unit: str
    margin: float
    lower_is_better: bool | None
    values: Mapping[str, Estimate]
    base: Estimate
    author: Estimate | None
    pairs: Mapping[tuple[str, str], PairedDifference]
    against_base: Mapping[str, PairedDifference]
    not_worse: tuple[str, ...]
    flags: Mapping[str, tuple[str, ...]]
    cannot_see: str
    remarks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    seeds: Mapping[tuple[str, str], SeedDifference] = field(default_factory=dict)

    @property
    def leader(self) -> str | None:
        """The label with the best value; None where nothing can be ranked."""
        known = {label: value.value for label, value in self.values.items() if value.value is not None}
        if self.lower_is_better is None or not known:
            return None
        sign = 1 if self.lower_is_better else -1
        return min(sorted(known), key=lambda label: sign * known[label])

    def among(self, labels: Sequence[str]) -> Yardstick:
        """The same for some of the runs."""
        kept = set(labels)
        return replace(
            self,
            values={label: value for label, value in self.values.items() if label in kept},
            pairs={pair: found for pair, found in self.pairs.items() if kept.issuperset(pair)},
            against_base={label: found for label, found in self.against_base.items() if label in kept},
            not_worse=tuple(label for label in self.not_worse if label in kept),
        )

    def outcome(self, pair: PairedDifference) -> Outcome:
        """Better or worse as this measure has it."""
        return outcome(pair, self.margin, lower_is_better=self.lower_is_better is not False)

    def between(self, a: str, b: str) -> Outcome:
        """a against b, or against the base. With seeds, what the questions show has to hold over the seeds as well."""
        found = self.outcome(self.against_base[a] if b == BASE else self.pairs[a, b])
        seeds = self.seeds.get((a, b))
        if seeds is None or found not in (Outcome.BETTER, Outcome.WORSE, Outcome.EQUIVALENT):
            return found
        if found is Outcome.EQUIVALENT:
            low, high = seeds.interval(0.90)
            holds = -self.margin < low and high < self.margin
        else:
            low, high = seeds.interval(0.95)
            negative = (found is Outcome.BETTER) == (self.lower_is_better is not False)
            holds = high < 0 if negative else low > 0
        return found if holds else Outcome.NOT_DETECTABLE

    def advantage(self, pair: PairedDifference) -> float:
        """How much better the first is; negative if it is worse."""
        value = pair.difference.value or 0.0
        return -value if self.lower_is_better is not False else value


def from_measures(
    found: Mapping[str, Mapping[str, StoredMeasure]], runs: Mapping[str, Sequence[Mapping[str, StoredMeasure]]]
) -> tuple[Yardstick, ...]:
    """A yardstick for each measure that every run has; found: label -> key -> measure. runs: the same of each seed."""
    if not found or not all(found.values()):
        return ()
    first = next(iter(found.values()))
    keys = [key for key in first if all(key in measures for measures in found.values())]
    made = []
    for key in keys:
        one = _yardstick({label: measures[key] for label, measures in found.items()})
        values = {label: [each[key].run.value for each in seeds] for label, seeds in runs.items()}
        known = {label: [value for value in seeds if value is not None] for label, seeds in values.items()}
        if all(known.values()):
            bounds = next(iter(found.values()))[key].bounds
            one = replace(one, seeds=seed_differences(known, one.base.value, bounds))
        made.append(one)
    return tuple(made)


def _yardstick(measures: Mapping[str, StoredMeasure]) -> Yardstick:
    one = next(iter(measures.values()))
    labels = sorted(measures)
    examples = sorted(set.intersection(*(set(measure.per_example) for measure in measures.values())))
    clusters = [one.clusters.get(example, example) for example in examples]
    lower = None if one.higher_is_better is None else not one.higher_is_better
    values = {label: [measures[label].per_example[example] for example in examples] for label in labels}
    pairs: Mapping[tuple[str, str], PairedDifference] = {}
    against_base = {}
    if examples:
        own = {label: [pair[0] for pair in values[label]] for label in labels}
        pairs = Pairs(labels, lambda a, b: _paired(own[a], own[b], clusters, one))
        against_base = {
            label: _paired(own[label], [pair[1] for pair in values[label]], clusters, one) for label in labels
        }
    return Yardstick(
        key=one.key,
        title=one.title,
        dimension=one.dimension,
        unit=one.unit,
        margin=one.matters,
        lower_is_better=lower,
        values={label: measures[label].run for label in measures},
        base=one.base,
        author=one.author,
        pairs=pairs,
        against_base=against_base,
        not_worse=_not_worse(labels, values, clusters, lower) if examples and lower is not None else tuple(labels),
        flags={label: measures[label].flags for label in measures},
        cannot_see=one.cannot_see,
        remarks={label: measures[label].remarks for label in measures},
    )


def _paired(a: Sequence[float], b: Sequence[float], clusters: Sequence[str], one: StoredMeasure) -> PairedDifference:
    return paired_difference(a, b, clusters, unit=one.unit, seed=SEED, bounds=one.bounds)


def _not_worse(
    labels: Sequence[str], values: Mapping[str, Sequence[tuple[float, float]]], clusters: Sequence[str], lower: bool
) -> tuple[str, ...]:
    matrix = np.array([[pair[0] for pair in values[label]] for label in labels])
    kept = indistinguishable_from_best(matrix, clusters, seed=SEED, lower_is_better=lower)
    return tuple(labels[index] for index in kept)
