"""Runs that differ in nothing but their seed, taken as one setting.

Owns: which runs are replicates of each other, their averaged rows, and the difference of two settings over seeds. Must
not: decide.

Two settings trained once each differ by the draw of a seed too, which no number of test questions shows. With
replicates the mean over a setting's runs is compared, and its uncertainty comes from the runs: Student's t, since they
are few. The spread between runs of one setting is pooled over all settings, so it is taken to be the same in each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from runoff.comparison.differences import other_rows, setting_differences
from runoff.comparison.facts import Side
from runoff.errors import RunError
from runoff.estimates.bounded import Bounds, clipped, of_difference
from runoff.estimates.estimate import mean
from runoff.estimates.quantiles import t_quantile
from runoff.evaluation import Evaluation
from runoff.evaluation.stored import StoredMeasure

__all__ = [
    "BASE",
    "SeedDifference",
    "are_replicates",
    "averaged",
    "one_setting",
    "replicate_groups",
    "seed_differences",
]

BASE = "base"


@dataclass(frozen=True, slots=True)
class SeedDifference:
    """Mean over one setting's runs minus that of another, or of the base, which has no seed.

    standard_error: from the pooled spread `sd` of runs that differ in their seed alone, with `freedom` degrees. runs:
    of either setting; 0 for the base. bounds: of the difference, where it has such.
    """

    value: float
    standard_error: float
    sd: float
    freedom: int
    runs: tuple[int, int]
    bounds: Bounds | None = None

    def interval(self, level: float) -> tuple[float, float]:
        """The two-sided t interval."""
        half = t_quantile((1 + level) / 2, self.freedom) * self.standard_error
        return clipped((self.value - half, self.value + half), self.bounds)


def replicate_groups(sides: Sequence[Side]) -> dict[str, tuple[Side, ...]]:
    """Sides by setting, under a name made of the first run's.

    Raises:
        RunError: no two of them differ in nothing but their seed.
    """
    groups: list[list[Side]] = []
    for side in sides:
        home = next((group for group in groups if are_replicates(group[0], side)), None)
        if home is None:
            groups.append([side])
        else:
            home.append(side)
    if all(len(group) == 1 for group in groups):
        raise RunError(
            "--replicates: no two of these runs differ in nothing but their seed. Train one of them again with another "
            "seed: runoff train CONFIG --name NAME --set seed=1."
        )
    if len(groups) == 1:
        raise RunError("--replicates: all these runs have one setting, so there are no two settings to compare.")
    return {f"{group[0].label}'s settings": tuple(group) for group in groups}


def are_replicates(one: Side, other: Side) -> bool:
    """Two runs of different seeds that share settings, rows and base; a run is no replicate of itself."""
    pair = (one, other)
    return (
        {found.key for found in setting_differences(pair)} == {"seed"}
        and not other_rows(pair)
        and len({side.run.identity.model.get("sha256") for side in pair}) == 1
    )


def one_setting(sides: Sequence[Side]) -> bool:
    """Whether all runs are replicates of each other."""
    return all(are_replicates(one, other) for one, other in combinations(sides, 2))


def averaged(found: Sequence[Evaluation]) -> Evaluation:
    """One evaluation that stands for several: each row's loss is the mean over the runs."""
    if len(found) == 1:
        return found[0]
    rows = tuple(
        replace(
            same[0],
            nats=math.fsum(row.nats for row in same) / len(same),
            end_nats=math.fsum(row.end_nats for row in same) / len(same),
        )
        for same in zip(*(one.rows for one in found), strict=True)
    )
    shared = [key for key in found[0].measures if all(key in one.measures for one in found)]
    measures = {key: one for key in shared if (one := _measure([each.measures[key] for each in found])) is not None}
    edited = tuple(dict.fromkeys(name for one in found for name in one.edited))
    return replace(found[0], rows=rows, measures=measures, edited=edited)


def _measure(found: Sequence[StoredMeasure]) -> StoredMeasure | None:
    """None where the measure is not a mean over examples: there is nothing to average by example."""
    examples = [example for example in found[0].per_example if all(example in one.per_example for one in found)]
    if not examples:
        return None
    first = found[0]
    values = {
        example: (math.fsum(one.per_example[example][0] for one in found) / len(found), first.per_example[example][1])
        for example in examples
    }
    clusters = [first.clusters.get(example, example) for example in examples]
    run = mean([values[example][0] for example in examples], clusters, unit=first.unit)
    flags, remarks = (
        tuple(dict.fromkeys(text for one in found for text in getattr(one, name))) for name in ("flags", "remarks")
    )
    return replace(first, run=run, per_example=values, flags=flags, remarks=remarks)


def seed_differences(
    values: Mapping[str, Sequence[float]], base: float | None, bounds: Bounds | None = None
) -> dict[tuple[str, str], SeedDifference]:
    """Of every two settings in both orders, and of each against the base; empty without two runs of any setting.

    values: setting -> one number for each of its runs, in the same unit as `base`. bounds: of these numbers.
    """
    freedom = sum(len(runs) - 1 for runs in values.values())
    if freedom < 1:
        return {}
    means = {label: math.fsum(runs) / len(runs) for label, runs in values.items()}
    squares = [(value - means[label]) ** 2 for label, runs in values.items() for value in runs]
    sd = math.sqrt(math.fsum(squares) / freedom)
    ends = of_difference(bounds)
    found = {
        (a, b): SeedDifference(
            means[a] - means[b], sd * math.sqrt(1 / len(values[a]) + 1 / len(values[b])), sd, freedom,
            (len(values[a]), len(values[b])), ends,
        )
        for a in values for b in values if a != b
    }  # fmt: skip
    if base is not None:
        for label, runs in values.items():
            error = sd / math.sqrt(len(runs))
            found[label, BASE] = SeedDifference(means[label] - base, error, sd, freedom, (len(runs), 0), ends)
    return found
