"""What can be read off a run's training and validation losses.

Owns: the best and the last validation, and whether they can be told apart by the rows kept. Must not: smooth, thin or
rank, or make the points of a chart (report/curves.py does).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from runoff.comparison.checkpoints import Checkpoints, checkpoints
from runoff.comparison.evidence import paired_rows, validation_rows
from runoff.comparison.facts import Side
from runoff.comparison.stability import Shape, shape
from runoff.comparison.statistics import Outcome, PairedDifference, outcome
from runoff.runs import MetricRow

__all__ = ["CurveFacts", "curve_facts"]


@dataclass(frozen=True)
class CurveFacts:
    """What a run's curves say, of its last start.

    rise: last minus best validation over the kept rows; checkpoints: all of them. None where no rows were kept.
    training: the shape of the reported training losses, None for too few. alarms: what the training said of itself
    while it ran, at any start. kept_iteration: that of the adapter that ships. ended: whether it is known to have come
    to its end, and not by a failure.
    """

    label: str
    first_validation: float | None
    best_validation: float | None
    best_iteration: int | None
    last_validation: float | None
    last_iteration: int | None
    last_training: float | None
    validations: int
    planned_validations: int | None
    not_finite: int
    rise: PairedDifference | None
    checkpoints: Checkpoints | None
    training: Shape | None
    alarms: tuple[MetricRow, ...]
    kept_iteration: int | None
    ended: bool

    @property
    def gap(self) -> float | None:
        """The last validation loss minus the last training loss; None where one is missing."""
        if self.last_validation is None or self.last_training is None:
            return None
        return self.last_validation - self.last_training

    @property
    def ends_worse_than_best(self) -> bool:
        """Whether the rows show that the last checkpoint is worse than the best."""
        return self.rise is not None and outcome(self.rise, margin=1e-9) is Outcome.WORSE


def curve_facts(side: Side) -> CurveFacts:
    """Best, last and the difference between them."""
    rows, planned = _last_segment(side.run.metrics), side.number("validations")
    losses = [row for row in rows if row.kind in ("train", "validation") and row.nats_per_target_token is not None]
    finite = [row for row in losses if math.isfinite(row.nats_per_target_token or 0.0)]
    validations = [row for row in finite if row.kind == "validation"]
    training = [row for row in finite if row.kind == "train"]
    untrained = _untrained(side)
    trained = [row for row in validations if (row.iteration or 0) > untrained]
    best = min(trained, key=lambda row: row.nats_per_target_token or 0.0, default=None)
    last = trained[-1] if trained else None
    return CurveFacts(
        label=side.label,
        first_validation=validations[0].nats_per_target_token
        if validations and validations[0].iteration is not None and validations[0].iteration <= untrained
        else None,
        best_validation=best.nats_per_target_token if best else None,
        best_iteration=best.iteration if best else None,
        last_validation=last.nats_per_target_token if last else None,
        last_iteration=last.iteration if last else None,
        last_training=training[-1].nats_per_target_token if training else None,
        validations=len(validations),
        planned_validations=int(planned) if planned is not None else None,
        not_finite=len(losses) - len(finite),
        rise=_rise(side, best, last),
        checkpoints=checkpoints(side, tuple(row.iteration for row in trained if row.iteration is not None)),
        training=shape([row.nats_per_target_token or 0.0 for row in training]),
        alarms=tuple(row for row in side.run.metrics if row.kind == "alarm" and row.text),
        kept_iteration=side.run.identity.result.get("adapter_iteration"),
        ended=side.run.identity.status in ("finished", "imported"),
    )


def _untrained(side: Side) -> int:
    """The last iteration whose validation is of the untouched adapter: mlx-lm's first comes before its update."""
    tool = str((side.run.identity.imported or {}).get("tool") or "")
    return 1 if tool == "mlx-lm" else 0


def _rise(side: Side, best: MetricRow | None, last: MetricRow | None) -> PairedDifference | None:
    if best is None or last is None or best.iteration is None or last.iteration is None or best is last:
        return None
    later, earlier = validation_rows(side, last.iteration), validation_rows(side, best.iteration)
    return paired_rows(later, earlier) if later and earlier else None


def _last_segment(rows: Sequence[MetricRow]) -> list[MetricRow]:
    last = max((row.segment for row in rows), default=0)
    return [row for row in rows if row.segment == last]
