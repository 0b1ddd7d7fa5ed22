"""Scoring held-out rows under one adapter: the same batches for every run, a value per example.

Owns: the scored row, the order of scoring and the held-out loss. Must not: know which rows or why.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

from runoff.data import Batch, Encoded, Forked, fixed_order, make_batch
from runoff.engines.base import Engine
from runoff.estimates.estimate import Estimate, ratio_mean

__all__ = [
    "HELD_OUT_UNIT",
    "SCORING_BATCH_ROWS",
    "ScoredForked",
    "ScoredRow",
    "cluster_of",
    "held_out_loss",
    "mean_loss",
    "score_alone",
    "score_batches",
    "scoring_batches",
]

HELD_OUT_UNIT = "nats per target token"

SCORING_BATCH_ROWS = 8


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """One held-out example under one adapter.

    nats: summed over its target tokens (the answer and its end token). end_nats: the end token's share of it.
    end_rank: the end token's place among all tokens, 1 for the likeliest; None where nobody looked. sha256: the row's.
    row: its line in the file.
    """

    row: int
    source: str | None
    sha256: str
    nats: float
    target_tokens: int
    end_nats: float
    end_rank: int | None = None

    def to_json(self) -> dict[str, Any]:
        """As stored."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Self:
        """The inverse of `to_json`; a nan that was stored by its name is a nan again. Older rows have no rank."""
        fields: dict[str, Any] = {name: body[name] for name in cls.__slots__ if name != "end_rank"}
        fields |= {key: float(body[key]) for key in ("nats", "end_nats")}
        return cls(**fields, end_rank=body.get("end_rank"))


@dataclass(frozen=True, slots=True)
class ScoredForked:
    """A row and its forks under one adapter. forks: nats per target token of each, whether shared or its own."""

    row: ScoredRow
    forks: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As kept until an evaluation is whole."""
        return self.row.to_json() | {"forks": list(self.forks)}

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(ScoredRow.from_json(body), tuple(float(nats) for nats in body["forks"]))


def scoring_batches(examples: Sequence[Encoded], rows: int = SCORING_BATCH_ROWS) -> tuple[Batch, ...]:
    """Batches of near lengths, the same for every run."""
    order = fixed_order([len(example.ids) for example in examples], rows)
    return tuple(make_batch([examples[index] for index in rows]) for rows in order)


def score_batches(engine: Engine, batches: Sequence[Batch]) -> list[ScoredRow]:
    """Every row, in row order."""
    return sorted((row for batch in batches for row in _score(engine, batch)), key=lambda scored: scored.row)


def score_alone(engine: Engine, rows: Sequence[Forked]) -> list[ScoredForked]:
    """Each row by itself with its forks, in the order given.

    So a score is a function of the base, the adapter and the row's own ids (its forks' among them) alone, to the bit:
    sums in a larger product may come out differently in the last place, and so would a run's score by the company it is
    loaded in.
    """
    return [_forked(engine, forked) for forked in rows]


def _forked(engine: Engine, forked: Forked) -> ScoredForked:
    found, example = engine.score_alone(forked), forked.row
    row = example.row
    start, nats = example.target_start, found.nats.tolist()
    scored = ScoredRow(row.number, row.source, row.sha256, math.fsum(nats), len(nats), nats[-1], found.end_rank)
    shared = (nats[fork.start - start : fork.at - start] if fork.start < fork.at else [] for fork in forked.forks)
    both = zip(forked.forks, shared, found.forks, strict=True)
    return ScoredForked(scored, tuple(math.fsum([*before, *own]) / fork.target_tokens for fork, before, own in both))


def mean_loss(rows: Sequence[ScoredRow]) -> float:
    """Nats per target token over all rows."""
    return math.fsum(row.nats for row in rows) / sum(row.target_tokens for row in rows)


def cluster_of(row: ScoredRow) -> str:
    """The row's source, or the row itself where none is given."""
    return row.source if row.source is not None else f"row {row.row}"


def held_out_loss(rows: Sequence[ScoredRow]) -> Estimate:
    """Nats per target token over all answers, with its interval over sources."""
    if not rows:
        return Estimate.unknown_because("no held-out row was scored", HELD_OUT_UNIT)
    clusters = [cluster_of(row) for row in rows]
    return ratio_mean([row.nats for row in rows], [row.target_tokens for row in rows], clusters, unit=HELD_OUT_UNIT)


def _score(engine: Engine, batch: Batch) -> Iterator[ScoredRow]:
    for example, nats in zip(batch.examples, engine.score(batch), strict=True):
        row = example.row
        yield ScoredRow(row.number, row.source, row.sha256, math.fsum(nats), len(nats), float(nats[-1]))
