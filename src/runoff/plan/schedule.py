"""The learning rate of each optimizer update: mlx.optimizers.schedulers in plain Python.

Owns: the formulas (mlx/optimizers/schedulers.py; warm-up: mlx_lm/tuner/utils.py build_schedule). A test holds them
equal to mlx's own. Must not: know iterations.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from runoff.config import LrSchedule, Settings, has_own_rate
from runoff.errors import ConfigError

__all__ = ["check_schedule", "learning_rate"]

Schedule = Callable[[int], float]


def _cosine(initial: float, decay_updates: float, end: float = 0.0) -> Schedule:
    def rate(done: int) -> float:
        share = min(done, decay_updates) / decay_updates
        return end + 0.5 * (1.0 + math.cos(math.pi * share)) * (initial - end)

    return rate


def _linear(initial: float, end: float, updates: float) -> Schedule:
    return lambda done: initial + min(done, updates) * (end - initial) / updates


def _exponential(initial: float, decay_rate: float) -> Schedule:
    return lambda done: initial * _power(decay_rate, done)


def _step(initial: float, decay_rate: float, size: float) -> Schedule:
    return lambda done: initial * _power(decay_rate, done // size)


def _power(base: float, exponent: float) -> float:
    """Infinity where Python raises OverflowError; the plan refuses such a rate."""
    try:
        return float(base**exponent)
    except (OverflowError, ZeroDivisionError):
        return math.inf


SCHEDULES: dict[str, tuple[Callable[..., Schedule], int, int]] = {
    "cosine_decay": (_cosine, 2, 3),
    "linear_schedule": (_linear, 3, 3),
    "exponential_decay": (_exponential, 2, 2),
    "step_decay": (_step, 3, 3),
}
"""name -> (maker, fewest arguments, most arguments)."""


def check_schedule(schedule: LrSchedule, place: str = "") -> None:
    """Refuse arguments that the schedule does not take.

    Raises:
        ConfigError: too few or too many arguments, or a length below 1.
    """
    _, fewest, most = SCHEDULES[schedule.name]
    count = len(schedule.arguments)
    if not fewest <= count <= most:
        wanted = str(most) if fewest == most else f"{fewest} or {most}"
        raise ConfigError(
            [f"{place}lr_schedule.arguments: {schedule.name} takes {wanted} numbers, but {count} are given."]
        )
    length = {"cosine_decay": 1, "linear_schedule": 2, "step_decay": 2}.get(schedule.name)
    if length is not None and schedule.arguments[length] < 1:
        raise ConfigError(
            [f"{place}lr_schedule.arguments: a length of {schedule.arguments[length]:g} updates must be at least 1."]
        )


def learning_rate(settings: Settings, updates_done: int) -> float:
    """Rate of the update that comes after `updates_done` ones (0 for the first)."""
    given = settings.optimizer_config.get(settings.optimizer) or {}
    if has_own_rate(settings.optimizer, given):  # mlx.optimizers.Adafactor, relative_step
        return min(1e-6 * (updates_done + 1) if given.get("warmup_init") else 1e-2, 1 / math.sqrt(updates_done + 1))
    schedule = settings.lr_schedule
    if schedule is None:
        return settings.learning_rate
    decay = SCHEDULES[schedule.name][0](*schedule.arguments)
    if schedule.warmup == 0:
        return decay(updates_done)
    if updates_done < schedule.warmup + 1:
        return _linear(schedule.warmup_init, schedule.arguments[0], schedule.warmup)(updates_done)
    return decay(updates_done - schedule.warmup - 1)
