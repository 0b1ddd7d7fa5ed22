"""Row counts that Hugging Face's Trainer does not write, drawn from the rates that it does.

An evaluation's rows are its runtime times its rows per second; the rows of an update are rows per second by updates per
second, over the whole run. Both rates are rounded, so each count is one only where the rounding leaves one number.
Source: transformers/trainer_utils.py speed_metrics; trainer.py set_initial_training_values. Must not: read files.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from runoff.config import Origin
from runoff.importers.effective import is_number
from runoff.importers.facts import Told
from runoff.runs import Value

__all__ = ["KEYS", "RATE", "RATIO", "SECONDS", "batch_by_speed", "rows_between", "speed_counts", "state_speed"]

SECONDS, RATE = 5e-5, 5e-4
"""Trainer rounds a runtime to 4 decimals and a rate to 3."""
Rounded = tuple[float, float]
"""A value and its half-width."""
KEYS = ("eval_runtime", "eval_samples_per_second", "train_samples_per_second", "train_steps_per_second")
RATIO = "rows_per_update"


def state_speed(entry: Mapping[str, Any], place: str) -> Iterator[Told]:
    """Of an entry in Trainer's own files, which hold what it rounded and no less."""
    widths = {key: SECONDS if key.endswith("runtime") else RATE for key in KEYS}
    return speed_counts({key: (float(entry[key]), widths[key]) for key in KEYS if is_number(entry.get(key))}, place)


def speed_counts(numbers: Mapping[str, Rounded], place: str) -> Iterator[Told]:
    """What one report tells: valid_rows of an evaluation, the mean rows of an update at the end of the training."""
    seconds, rate = numbers.get("eval_runtime"), numbers.get("eval_samples_per_second")
    if seconds and rate:
        low = math.ceil((seconds[0] - seconds[1]) * (rate[0] - rate[1]) - 1e-9)
        high = math.floor((seconds[0] + seconds[1]) * (rate[0] + rate[1]) + 1e-9)
        if low == high > 0:
            yield Told("valid_rows", low, f"{place} (its seconds x its rows per second)")
    rows, updates = numbers.get("train_samples_per_second"), numbers.get("train_steps_per_second")
    if rows and updates and updates[0] > updates[1] and rows[0] > rows[1]:
        least = (rows[0] - rows[1]) / (updates[0] + updates[1])
        most = (rows[0] + rows[1]) / (updates[0] - updates[1])
        yield Told(RATIO, (least + most) / 2, place, (most - least) / 2)


def batch_by_speed(told: Told | None, batch: int | None, updates: float | None, epochs: float | None) -> Value | None:
    """The rows of one update, where whole micro-batches of `batch` rows leave one number.

    An epoch's last update may be short, so the mean is at most one update's share below it.
    """
    if told is None or told.rounding is None or not batch or not updates or not epochs:
        return None
    low, high, in_an_epoch = told.value - told.rounding, told.value + told.rounding, _in_an_epoch(updates, epochs)
    if in_an_epoch <= high / batch + 2:
        return None
    first, last = math.ceil(low / batch - 1e-9), math.ceil(high * in_an_epoch / (in_an_epoch - 1) / batch - 1e-9) - 1
    if first != last:
        return None
    why = f"{told.value:.4g} rows an update in the mean, by the rates in {told.place}; whole micro-batches of {batch}"
    return Value(first * batch, Origin("derived", why=why))


def rows_between(batch: int, updates: float, epochs: float) -> str:
    """Why the training rows are unknown, and how many they can be."""
    whole = _in_an_epoch(updates, epochs)
    least, most = batch * (whole - 1) + 1, batch * whole
    return f"{least} to {most} by {whole} updates of {batch} rows an epoch; add --set train_rows=NUMBER"


def _in_an_epoch(updates: float, epochs: float) -> int:
    return math.ceil(updates / epochs - 1e-6)
