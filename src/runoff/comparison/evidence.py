"""What was measured on the same held-out rows: losses, and paired differences by source.

Owns: finding the test set that all runs share, and the statistics over it. Must not: decide (comparison/verdict.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from runoff.comparison.facts import Side, listed
from runoff.comparison.selection import indistinguishable_from_best
from runoff.comparison.statistics import PairedDifference, paired_difference
from runoff.engines.scoring import ScoredRow
from runoff.evaluation import Estimate, Evaluation, held_out_loss, load_evaluations
from runoff.evaluation.evaluate import HELD_OUT_UNIT

__all__ = ["Evidence", "gather", "paired_rows"]

SEED = 0
"""Of the random sign flips; the same for every comparison, so that it repeats to the last digit."""


@dataclass(frozen=True)
class Evidence:
    """Held-out losses on the rows that all runs share, or why there are none.

    losses, against_base: by label. pairs: (a, b) -> a - b, for every two labels in both orders. not_worse: labels that
    the data can't tell from the one with the lowest loss, which is among them. by_source: source -> label -> loss.
    """

    missing: str | None
    test: Mapping[str, Any]
    base: Estimate
    losses: Mapping[str, Estimate]
    against_base: Mapping[str, PairedDifference]
    pairs: Mapping[tuple[str, str], PairedDifference]
    not_worse: tuple[str, ...]
    by_source: Mapping[str, Mapping[str, float]]
    engines: Mapping[str, Mapping[str, Any]]

    @property
    def leader(self) -> str | None:
        """The label with the lowest held-out loss."""
        known = {label: loss.value for label, loss in self.losses.items() if loss.value is not None}
        return min(sorted(known), key=lambda label: known[label]) if known else None


def gather(sides: Sequence[Side]) -> Evidence:
    """Read what is stored beside the runs."""
    stored = {side.label: {one.key: one for one in load_evaluations(side.run)} for side in sides}
    without = [label for label, found in stored.items() if not found]
    if without:
        return _nothing(
            f"{listed(without)} {'was' if len(without) == 1 else 'were'} never scored on a held-out test set"
        )
    shared = set.intersection(*(set(found) for found in stored.values()))
    if not shared:
        return _nothing("the runs were scored on different test rows")
    chosen = max(shared, key=lambda key: (len(next(iter(stored.values()))[key].rows), key))
    return _evidence({label: found[chosen] for label, found in stored.items()})


def paired_rows(a: Sequence[ScoredRow], b: Sequence[ScoredRow]) -> PairedDifference:
    """a - b in nats per target token, over the rows that both have, clustered by source."""
    other = {row.sha256: row for row in b}
    pairs = [(row, other[row.sha256]) for row in a if row.sha256 in other]
    return paired_difference(
        [one.nats / one.target_tokens for one, _ in pairs],
        [two.nats / two.target_tokens for _, two in pairs],
        _clusters([one for one, _ in pairs]),
        unit=HELD_OUT_UNIT,
        seed=SEED,
        weights=[one.target_tokens for one, _ in pairs],
    )


def _evidence(found: Mapping[str, Evaluation]) -> Evidence:
    first = next(iter(found.values()))
    labels = sorted(found)
    rows = {label: found[label].rows for label in found}
    pairs = {}
    for a, b in combinations(labels, 2):
        pairs[a, b] = paired_rows(rows[a], rows[b])
        pairs[b, a] = paired_rows(rows[b], rows[a])
    return Evidence(
        missing=None,
        test=first.test,
        base=held_out_loss(first.base_rows),
        losses={label: held_out_loss(rows[label]) for label in found},
        against_base={label: paired_rows(rows[label], found[label].base_rows) for label in found},
        pairs=pairs,
        not_worse=_not_worse(labels, rows),
        by_source=_by_source(rows, first.base_rows),
        engines={label: one.engine for label, one in found.items()},
    )


def _not_worse(labels: Sequence[str], rows: Mapping[str, Sequence[ScoredRow]]) -> tuple[str, ...]:
    tokens = np.array([row.target_tokens for row in rows[labels[0]]], dtype=np.float64)
    losses = np.array([[row.nats for row in rows[label]] for label in labels]) / tokens
    kept = indistinguishable_from_best(losses, _clusters(rows[labels[0]]), seed=SEED, weights=tokens)
    return tuple(labels[index] for index in kept)


def _clusters(rows: Sequence[ScoredRow]) -> list[str]:
    return [row.source if row.source is not None else f"row {row.row}" for row in rows]


def _by_source(rows: Mapping[str, Sequence[ScoredRow]], base: Sequence[ScoredRow]) -> dict[str, dict[str, float]]:
    table: dict[str, dict[str, float]] = {}
    for label, scored in {"base": base, **rows}.items():
        for source in dict.fromkeys(_clusters(scored)):
            own = [row for row, cluster in zip(scored, _clusters(scored), strict=True) if cluster == source]
            table.setdefault(source, {})[label] = sum(row.nats for row in own) / sum(row.target_tokens for row in own)
    return table


def _nothing(reason: str) -> Evidence:
    unknown = Estimate.unknown_because(reason, HELD_OUT_UNIT)
    return Evidence(reason, {}, unknown, {}, {}, {}, (), {}, {})
