"""What a training writes and tells while it runs: metric rows, and where it is.

Owns: appending to metrics.jsonl, the clock of a run, the time that is left. Must not: decide what is worth a row.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from runoff.errors import disk_error
from runoff.files import jsonl
from runoff.plan import Plan
from runoff.runs import MetricRow, RunFolder
from runoff.training.state import Progress

__all__ = ["Listener", "Recorder", "Tick"]


@dataclass(frozen=True, slots=True)
class Tick:
    """Where a run is, after each iteration: for a progress bar."""

    iteration: int
    iterations: int
    epoch: float
    seconds_left: float | None
    optimizer_updates: int = 0


Listener = Callable[[MetricRow | Tick], None]


@dataclass
class Recorder:
    """Seconds are those of the monotonic clock, which no change of the time of day moves."""

    plan: Plan
    folder: RunFolder
    listen: Listener
    _started: float = field(default_factory=time.monotonic)
    _seconds_per_validation: float = 0.0

    def start(self, progress: Progress) -> None:
        """Set the clock, so that a resumed run's seconds go on."""
        self._started = time.monotonic() - progress.seconds

    def seconds(self) -> float:
        """Of the run, with those before it was resumed."""
        return time.monotonic() - self._started

    def validated(self, seconds: float) -> None:
        """A validation took so long."""
        self._seconds_per_validation = seconds

    def record(self, row: MetricRow, progress: Progress, *, durable: bool = False) -> None:
        """Append one row, with what every row carries, and tell the listener. `durable`: it is on the disk then."""
        row = replace(
            row,
            iteration=progress.iteration,
            optimizer_updates=progress.optimizer_updates,
            epoch=progress.iteration / self.plan.counts.iterations_per_epoch,
            target_tokens=progress.target_tokens,
            seconds=round(self.seconds(), 3),
        )
        line = jsonl([row.to_json()])
        try:
            with self.folder.metrics.open("ab") as metrics:
                metrics.write(line)
                if durable:
                    metrics.flush()
                    os.fsync(metrics.fileno())
        except OSError as error:
            raise disk_error(error, self.folder.metrics, "the metrics") from None
        progress.metrics_bytes += len(line)
        self.listen(row)

    def tick(self, progress: Progress) -> None:
        """Tell where the run is."""
        settings = self.plan.settings
        epoch = progress.iteration / self.plan.counts.iterations_per_epoch
        left = self._seconds_left(progress)
        self.listen(Tick(progress.iteration, settings.iters, epoch, left, progress.optimizer_updates))

    def _seconds_left(self, progress: Progress) -> float | None:
        """Iterations and validations that are still to come, each at the pace seen so far."""
        settings, done = self.plan.settings, progress.iteration
        left = settings.iters - done
        if not done or not left:
            return 0.0 if done else None
        validated = (done // settings.steps_per_eval + 1) * self._seconds_per_validation
        each = max(self.seconds() - validated, 0.0) / done
        validations = -(-settings.iters // settings.steps_per_eval) - done // settings.steps_per_eval
        return left * each + validations * self._seconds_per_validation
