"""Which of a run's checkpoints is the best, by the validation rows that were kept.

Owns: the checkpoints that the rows can't tell from the best one, and whether a choice made on half of the sources holds
on the other half. Must not: rank runs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from runoff.comparison.evidence import clusters_of, validation_rows
from runoff.comparison.facts import Side
from runoff.comparison.selection import Selection, indistinguishable_from_best, select_and_confirm
from runoff.comparison.statistics import minimum_clusters_for
from runoff.comparison.yardstick import SEED
from runoff.engines.scoring import HELD_OUT_UNIT

__all__ = ["Checkpoints", "checkpoints"]


MOST = 40
"""Checkpoints looked at; of more, these many evenly spread ones, the last among them."""


@dataclass(frozen=True)
class Checkpoints:
    """The iterations after which a validation kept its rows, and what those rows say.

    equals: iterations that can't be told from the best one, which is among them. chosen: the iteration that half of the
    sources choose. selection: how it does on the other half, against the last one; None where the sources are too few
    to show anything there.
    """

    iterations: tuple[int, ...]
    best: int
    equals: tuple[int, ...]
    sources: int
    chosen: int | None
    selection: Selection | None


def checkpoints(side: Side, iterations: tuple[int, ...]) -> Checkpoints | None:
    """Of the validations after these iterations, in order; None where fewer than two kept the same rows."""
    kept = {at: rows for at in _thinned(iterations) if (rows := validation_rows(side, at))}
    if len(kept) < 2:
        return None
    first, *others = kept.values()
    if any([row.sha256 for row in rows] != [row.sha256 for row in first] for rows in others):
        return None
    tokens = np.array([row.target_tokens for row in first], dtype=np.float64)
    losses = np.array([[row.nats for row in rows] for rows in kept.values()]) / tokens
    clusters, places = clusters_of(first), tuple(kept)
    equals = indistinguishable_from_best(losses, clusters, seed=SEED, weights=tokens)
    best = min(range(len(places)), key=lambda at: float((losses[at] * tokens).sum()))
    chosen, selection, sources = None, None, len(set(clusters))
    if sources // 2 >= minimum_clusters_for() - 1 and sources - sources // 2 >= minimum_clusters_for():
        selection = select_and_confirm(
            losses, clusters, unit=HELD_OUT_UNIT, seed=SEED, baseline=losses[-1], weights=tokens
        )
        chosen = None if selection.chosen is None else places[selection.chosen]
    return Checkpoints(places, places[best], tuple(places[at] for at in equals), sources, chosen, selection)


def _thinned(iterations: tuple[int, ...]) -> tuple[int, ...]:
    if len(iterations) <= MOST:
        return iterations
    last = len(iterations) - 1
    return tuple(iterations[round(at * last / (MOST - 1))] for at in range(MOST))
