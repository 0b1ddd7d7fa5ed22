"""Alarms: what is going wrong in a training while there is time to stop it, each with what to do.

Owns: the tuple of alarms, what they look at, and the trend of the validations. Pure. Must not: stop anything.

A validation is compared with another one row by row, clustered by source, so that the noise is that of the difference;
the training loss has no such rows, and is judged by how much its reports scatter from one to the next. An alarm looks
again and again, so it asks for more than a single test at 5 % would: two validations in a row, each at 1 %.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from runoff.engines.scoring import HELD_OUT_UNIT, ScoredRow, cluster_of, mean_loss
from runoff.estimates.estimate import Estimate, ratio_mean

__all__ = ["ALARMS", "Alarm", "Lookout", "Validation", "look", "trend"]

_FOUR_DIGITS = 0.00005
STRICT = 0.99
LEAST = 0.001
"""Nats per target token. Rows that all move alike tell the least change from none; below this it means nothing."""

FEWEST_REPORTS = 8
MOST_REPORTS = 500
"""Looked back on, with the first three, so that a look costs the same in a run of any length."""

FEWEST_UPDATES = 50
"""Before so many updates it is too early to say that nothing was learnt."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """A code, what is seen, and what to do."""

    code: str
    text: str
    advice: str

    def __str__(self) -> str:
        """Two sentences."""
        return f"{self.code} {self.text} {self.advice}"


@dataclass(frozen=True)
class Validation:
    """The scored rows of one validation."""

    iteration: int
    rows: tuple[ScoredRow, ...]

    @property
    def loss(self) -> float:
        """Nats per target token."""
        return mean_loss(self.rows)

    def above(self, other: Validation, level: float = 0.95) -> Estimate:
        """How far this loss lies above another one, over the rows of both; negative: it is lower."""
        before = {row.row: row.nats for row in other.rows}
        sources = [cluster_of(row) for row in self.rows]
        differences = [row.nats - before[row.row] for row in self.rows]
        tokens = [row.target_tokens for row in self.rows]
        return ratio_mean(differences, tokens, sources, unit=HELD_OUT_UNIT, level=level)


@dataclass
class Lookout:
    """What has been seen so far: the reported training losses, and the validations that alarms compare."""

    learning_rate: float
    optimizer_updates: int = 0
    training: list[float] = field(default_factory=list)
    first: Validation | None = None
    best: Validation | None = None
    previous: Validation | None = None
    last: Validation | None = None

    def report(self, nats_per_target_token: float | None, optimizer_updates: int) -> None:
        """A training loss was reported."""
        self.optimizer_updates = optimizer_updates
        if nats_per_target_token is not None:
            self.training.append(nats_per_target_token)
            if len(self.training) > MOST_REPORTS:
                del self.training[3]

    def validate(self, validation: Validation, optimizer_updates: int) -> None:
        """A validation was made."""
        self.optimizer_updates = optimizer_updates
        self.previous, self.last = self.last, validation
        if validation.iteration == 0:
            self.first = validation
        elif self.best is None or validation.loss < self.best.loss:
            self.best = validation


def trend(seen: Lookout) -> str | None:
    """The last validation against the one before; None without two."""
    if seen.last is None or seen.previous is None:
        return None
    change = seen.last.above(seen.previous)
    if change.value is None or change.low is None or change.high is None:
        return None
    if max(abs(change.low), abs(change.high)) < _FOUR_DIGITS:
        return "the same as the one before, to four digits"
    if change.low <= 0 <= change.high:
        return f"not to be told from the one before ({change.low:+.4f} to {change.high:+.4f})"
    word = "lower" if change.value < 0 else "higher"
    ends = sorted((abs(change.low), abs(change.high)))
    return f"{abs(change.value):.4f} {word} than the one before ({ends[0]:.4f} to {ends[1]:.4f})"


def look(seen: Lookout) -> Iterator[Alarm]:
    """Every alarm that is due."""
    for alarm in ALARMS:
        yield from alarm(seen)


def overfitting(seen: Lookout) -> Iterator[Alarm]:
    """A601: the validation loss has risen above its best, beyond its noise, two validations in a row; no divergence."""
    best, previous, last = seen.best, seen.previous, seen.last
    if best is None or previous is None or last is None or not best.iteration < previous.iteration:
        return
    now = last.above(best, STRICT)
    if _positive(now) and _positive(previous.above(best, STRICT)) and not any(divergence(seen)):
        yield Alarm(
            "A601",
            f"Overfitting: the validation loss is {now.value:.4f} ({now.low:.4f} to {now.high:.4f}) above that after "
            f"iteration {best.iteration}, beyond the noise of its {now.n} rows, for the second time in a row.",
            "Going on won't help (Ctrl-C ends it; the best adapter is kept). Next time: early_stopping: true, fewer "
            "epochs, a lower learning_rate or some lora_parameters.dropout.",
        )


def divergence(seen: Lookout) -> Iterator[Alarm]:
    """A602: the training loss has risen for good, or training has made the validation worse than no training."""
    cure = f"Train again with a lower learning_rate (it is {seen.learning_rate:g}) or max_grad_norm: 1.0."
    if _rose(seen.training):
        lowest, recent = min(_middles(seen.training[:-3])), min(seen.training[-3:])
        text = (
            f"Divergence: the last three reported training losses are {recent:.3f} or more; the loss was {lowest:.3f}."
        )
        yield Alarm("A602", text, cure)
        return
    if seen.first is None or seen.last is None or seen.last is seen.first or _seems_to_fall(seen.training):
        return
    worse = seen.last.above(seen.first, STRICT)
    if _positive(worse):
        text = (
            f"Divergence: the validation loss is {worse.value:.4f} ({worse.low:.4f} to {worse.high:.4f}) above that of "
            f"the untrained model."
        )
        yield Alarm("A602", text, cure)


def no_learning(seen: Lookout) -> Iterator[Alarm]:
    """A603: after FEWEST_UPDATES updates neither loss has fallen."""
    if seen.optimizer_updates < FEWEST_UPDATES or _fell(seen.training) or _rose(seen.training):
        return
    advice = (
        f"Raise learning_rate (it is {seen.learning_rate:g}) or lora_parameters.scale, or look at whether the rows "
        "hold what should be learnt."
    )
    start = f"No learning: after {seen.optimizer_updates} optimizer updates"
    if seen.first is not None and seen.last is not None:
        change = seen.last.above(seen.first)
        if seen.last is not seen.first and change.low is not None and change.high is not None:
            if change.low <= 0 <= change.high:
                text = (
                    f"{start} the validation loss is {seen.last.loss:.4f}, which its {change.n} rows can't tell from "
                    f"the {seen.first.loss:.4f} of the untrained model."
                )
                yield Alarm("A603", text, advice)
            elif abs(seen.last.loss - seen.first.loss) < LEAST:
                text = (
                    f"{start} the validation loss is {seen.last.loss:.4f}, within {LEAST:g} of the "
                    f"{seen.first.loss:.4f} of the untrained model."
                )
                yield Alarm("A603", text, advice)
            return
    if len(seen.training) >= FEWEST_REPORTS:
        text = f"{start} the training loss is {seen.training[-1]:.3f}, no lower than its reports scatter."
        yield Alarm("A603", text, advice)


ALARMS: tuple[Callable[[Lookout], Iterator[Alarm]], ...] = (overfitting, divergence, no_learning)


def _positive(estimate: Estimate) -> bool:
    return estimate.low is not None and estimate.low > 0 and estimate.value is not None and estimate.value >= LEAST


def _middles(losses: Sequence[float]) -> list[float]:
    """Medians of three neighbours."""
    return [statistics.median(losses[at : at + 3]) for at in range(len(losses) - 2)]


def _scatter(losses: Sequence[float]) -> float:
    """Standard deviation of one report, from the differences of neighbours (by their median: a fall is no scatter)."""
    steps = [after - before for before, after in itertools.pairwise(losses)]
    middle = statistics.median(steps)
    return 1.4826 * statistics.median([abs(step - middle) for step in steps]) / 2**0.5


def _fell(training: Sequence[float]) -> bool:
    if len(training) < FEWEST_REPORTS:
        return False
    middles = _middles(training)
    return middles[0] - middles[-1] > 3 * _scatter(training)


def _seems_to_fall(training: Sequence[float]) -> bool:
    """As `_fell`; of too few reports for that, whether the last is lower than the first."""
    few = 0 < len(training) < FEWEST_REPORTS
    return _fell(training) or (few and training[-1] < training[0])


def _rose(training: Sequence[float]) -> bool:
    """The last three reports all lie a tenth, and six times the scatter, above the lowest that there was."""
    if len(training) < FEWEST_REPORTS:
        return False
    before = training[:-3]
    lowest = min(_middles(before))
    return min(training[-3:]) > lowest + max(6 * _scatter(before), 0.1 * lowest)
