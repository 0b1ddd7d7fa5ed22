"""What teacher-forced passes leave behind. Owns: the nouns. Must not: score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from runoff.engines.scoring import ScoredRow, cluster_of

__all__ = ["Drift", "Scored", "ScoredPair"]


@dataclass(frozen=True, slots=True)
class ScoredPair:
    """Nats per token of both sentences of a contrast pair. key: names the pair; cluster: its source."""

    key: str
    cluster: str
    true: float
    false: float


@dataclass(frozen=True, slots=True)
class Drift:
    """How far one model is from the base on one of the base's own answers.

    example: the prompt's id; cluster: its category. nats: the model's minus the base's, summed over the answer's
    tokens. kl_nats: KL(base || model) over the whole vocabulary, summed over the answer's tokens.
    """

    example: str
    cluster: str
    tokens: int
    nats: float
    kl_nats: float

    def to_json(self) -> dict[str, Any]:
        """As stored."""
        return asdict(self)

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Drift:
        """The inverse of `to_json`; what was stored by its name is a number again."""
        return cls(**{**body, "nats": float(body["nats"]), "kl_nats": float(body["kl_nats"])})


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores by label ("base", or a run's name).

    held_out, training: the test rows, and as many training rows. nearness: by row, 0 to 1, how near its question comes
    to a training question. ended: rows whose last target is the end token. pairs: contrast pairs. training_rows_cut:
    by run, training rows that lost their end. Rows are named by the first 16 digits of their hash.
    """

    held_out: Mapping[str, tuple[ScoredRow, ...]] = field(default_factory=dict)
    training: Mapping[str, tuple[ScoredRow, ...]] = field(default_factory=dict)
    nearness: Mapping[str, float] = field(default_factory=dict)
    ended: frozenset[str] = frozenset()
    pairs: Mapping[str, tuple[ScoredPair, ...]] = field(default_factory=dict)
    training_rows_cut: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def clusters(self) -> Mapping[str, str]:
        """The cluster of each held-out row and each pair."""
        rows = {row.sha256[:16]: cluster_of(row) for some in self.held_out.values() for row in some}
        return rows | {pair.key: pair.cluster for some in self.pairs.values() for pair in some}
