"""How a training looks while it runs: a bar on a terminal, plain lines elsewhere; here or in another terminal.

Owns: the lines and the bar. Must not: compute a number or read a file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from runoff.cli.output import console
from runoff.report.numbers import bytes_text, duration_text, interval_text, loss_text
from runoff.runs import MetricRow
from runoff.training import Tick

__all__ = ["Standing", "TrainingView", "metric_line"]


@dataclass
class Standing:
    """Where a training is: its last rows, and what is still to come."""

    total: int | None = None
    in_updates: bool = False
    """The total counts optimizer updates, as tools do that know no iterations."""

    train: MetricRow | None = None
    validation: MetricRow | None = None
    done: int = 0
    epoch: float | None = None
    optimizer_updates: int | None = None
    seconds_left: float | None = None

    def take(self, event: MetricRow | Tick) -> None:
        """Learn from an event."""
        if isinstance(event, Tick):
            self.total, self.seconds_left = event.iterations, event.seconds_left
            self.done = event.iteration
        else:
            if event.kind == "train":
                self.train = event
            elif event.kind == "validation":
                self.validation = event
            self.done = (event.optimizer_updates if self.in_updates else event.iteration) or self.done
            self._estimate(event)
        self.epoch = event.epoch if event.epoch is not None else self.epoch
        self.optimizer_updates = event.optimizer_updates or self.optimizer_updates

    def _estimate(self, row: MetricRow) -> None:
        """From the run's own pace, validations and all, where no tick tells better."""
        if self.total and self.done and row.seconds is not None:
            self.seconds_left = row.seconds / self.done * max(self.total - self.done, 0)

    @property
    def text(self) -> str:
        """All of it on one line; what is not known is left out."""
        return self.within(None)

    def within(self, width: int | None) -> str:
        """As much of it as fits into a line of this many characters: what matters least is left out first."""
        parts = {part: text for part, text in self._parts() if text}
        for part in _LEFT_OUT_FIRST:
            if width is None or len("  ".join(parts.values())) <= width:
                break
            parts.pop(part, None)
        return "  ".join(parts.values())

    def _parts(self) -> Iterator[tuple[str, str | None]]:
        name = "update" if self.in_updates else "iteration"
        yield "done", f"{name} {self.done:,}" + (f"/{self.total:,}" if self.total else "")
        yield "epoch", f"epoch {self.epoch:.2f}" if self.epoch is not None else None
        updates = None if self.in_updates else self.optimizer_updates
        yield "update", f"update {updates:,}" if updates is not None else None
        train, validation = self.train, self.validation
        yield "loss", f"loss {_loss(train)}" if train else None
        yield "validation", f"validation {_loss(validation)}" if validation else None
        yield "speed", f"{train.tokens_per_second:,.0f} tokens/s" if train and train.tokens_per_second else None
        yield "memory", bytes_text(train.peak_memory_bytes) if train and train.peak_memory_bytes else None
        yield "left", f"{duration_text(self.seconds_left)} left" if self.seconds_left is not None else None


_LEFT_OUT_FIRST = ("memory", "update", "speed", "epoch", "loss", "validation")
_BAR_COLUMNS = 21


@dataclass
class TrainingView:
    """A `runoff.training.Listener` that shows what it hears."""

    standing: Standing = field(default_factory=Standing)
    shown: list[MetricRow] = field(default_factory=list)
    """The rows that were shown, for a view that reads them anew each time."""

    _progress: Progress | None = None
    _task: TaskID | None = None
    _lines: Console = field(default_factory=console)

    def __enter__(self) -> Self:
        """Start the bar."""
        if self._lines.is_terminal:
            columns = (BarColumn(bar_width=_BAR_COLUMNS - 1), TextColumn("{task.fields[text]}"))
            self._progress = Progress(*columns, console=self._lines, transient=True)
            self._progress.start()
            self._task = self._progress.add_task("", total=None, text="")
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the bar."""
        if self._progress:
            self._progress.stop()

    def say(self, text: str) -> None:
        """One sentence above the bar."""
        self._lines.print(Text(text), soft_wrap=True)

    def listen(self, event: MetricRow | Tick) -> None:
        """Show an event of the loop."""
        self.standing.take(event)
        if isinstance(event, MetricRow):
            self.shown.append(event)
            if line := metric_line(event):
                self._lines.print(Text(line, style="bold yellow" if event.kind == "alarm" else ""), soft_wrap=True)
        if self._progress and self._task is not None:
            standing = self.standing
            text = standing.within(self._lines.width - _BAR_COLUMNS)
            self._progress.update(self._task, total=standing.total, completed=standing.done, text=text)


def metric_line(row: MetricRow) -> str:
    """One metric row as a line; a checkpoint is none."""
    counts = (("iteration", row.iteration, 5), ("update", row.optimizer_updates, 4))
    at = "  ".join(f"{name} {value:>{width}}" for name, value, width in counts if value is not None)
    at += f"  epoch {row.epoch:>5.2f}" if row.epoch is not None else ""
    if row.kind == "validation":
        interval = f" ({interval_text(row.low, row.high)})" if row.low is not None else ""
        rows = f" over {row.rows} rows" if row.rows is not None else ""
        return f"{at}  validation loss {_loss(row)}{interval}{rows}" + (f", {row.text}" if row.text else "")
    if row.kind == "train":
        rate = f"  rate {row.learning_rate:.2e}" if row.learning_rate is not None else ""
        speed = f"  {row.tokens_per_second:,.0f} target tokens/s" if row.tokens_per_second else ""
        memory = f"  peak {bytes_text(row.peak_memory_bytes)}" if row.peak_memory_bytes else ""
        return f"{at}  training loss   {_loss(row)}{rate}{speed}{memory}"
    if row.kind in ("alarm", "event"):
        return f"{at}  {'ALARM ' if row.kind == 'alarm' else ''}{row.text}"
    return ""


def _loss(row: MetricRow) -> str:
    value = row.nats_per_target_token
    return str(value) if value is not None and not math.isfinite(value) else loss_text(value)
