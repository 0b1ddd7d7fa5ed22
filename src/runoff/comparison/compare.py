"""Two or more runs side by side: what differs, whether they may be compared, what was measured.

Owns: the Comparison. Must not: decide (comparison/verdict.py) or print (report/).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from runoff.comparison.comparability import HELD_OUT as HELD_OUT_LOSS
from runoff.comparison.comparability import Check, check_all
from runoff.comparison.curves import CurveFacts, curve_facts
from runoff.comparison.differences import Difference, setting_differences, several_at_once
from runoff.comparison.evidence import Evidence, gather
from runoff.comparison.examples import Told, examples
from runoff.comparison.facts import Sentence, Side, label_runs
from runoff.comparison.replicates import replicate_groups
from runoff.errors import RunError
from runoff.runs import Run

__all__ = ["Comparison", "compare"]

DEFAULT_MARGIN = 0.02
"""Nats per target token below which a difference is said not to matter."""


@dataclass(frozen=True)
class Comparison:
    """Everything that a verdict and a report are computed from.

    groups: setting -> its runs, where runs that differ in their seed alone were taken as one. baseline: the run that
    the others are held against, if one was named. examples: where the leader does best and worst against the next run.
    """

    sides: tuple[Side, ...]
    checks: tuple[Check, ...]
    differences: tuple[Difference, ...]
    several_at_once: Sentence | None
    curve_facts: tuple[CurveFacts, ...]
    evidence: Evidence
    margin: float
    groups: Mapping[str, tuple[Side, ...]] = field(default_factory=dict)
    baseline: str | None = None
    examples: tuple[Told, ...] = ()

    @property
    def blocked(self) -> tuple[Check, ...]:
        """The checks that forbid to rank by the held-out loss."""
        return tuple(check for check in self.checks if HELD_OUT_LOSS in check.blocks)

    def side(self, label: str) -> Side:
        """The run of this label; for a setting the first of its runs, under the setting's name."""
        if label in self.groups:
            return replace(self.groups[label][0], label=label)
        return next(side for side in self.sides if side.label == label)


def compare(
    runs: Sequence[Run], *, margin: float = DEFAULT_MARGIN, replicates: bool = False, baseline: str | None = None
) -> Comparison:
    """Compare two or more runs.

    replicates: take runs that differ in nothing but their seed as one setting. baseline: label of the run that every
    other one is held against.

    Raises:
        RunError: fewer than two runs, a margin that is not above 0, a baseline that is none of them, or no replicates.
    """
    if len(runs) < 2:
        raise RunError("a comparison needs two runs or more. Name another one; `runoff runs` lists them.")
    if not margin > 0:
        raise RunError(f"the margin must be above 0, not {margin:g}.")
    sides = label_runs(runs)
    labels = [side.label for side in sides]
    if baseline is not None and baseline not in labels:
        raise RunError(f"--baseline {baseline}: is not one of the compared runs ({', '.join(labels)}).")
    groups = replicate_groups(sides) if replicates else {}
    evidence = gather(sides, margin, groups=groups, baseline=baseline)
    differences = setting_differences(sides)
    return Comparison(
        sides=sides,
        checks=check_all(sides, evidence),
        differences=differences,
        several_at_once=several_at_once(sides, differences),
        curve_facts=tuple(curve_facts(side) for side in sides),
        evidence=evidence,
        margin=margin,
        groups=groups,
        baseline=baseline,
        examples=examples(
            evidence, {side.label: side for side in sides} | {name: own[0] for name, own in groups.items()}
        ),
    )
