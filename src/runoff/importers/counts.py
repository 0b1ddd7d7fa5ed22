"""Counts of an imported run: what follows from the settings in force, or from what the files print.

Owns: the arithmetic and, for each count, its origin or why it is unknown. Must not: read files or apply a tool's rules
to settings.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from runoff.config import LrSchedule, Origin, Settings
from runoff.errors import ConfigError
from runoff.importers.effective import Effective
from runoff.importers.facts import AdapterTensors, Told
from runoff.importers.rows import last_trained
from runoff.importers.rules_mlx_lm import around_the_update, mlx_validations
from runoff.importers.trainer_speed import RATIO, batch_by_speed, rows_between
from runoff.importers.versions import Range
from runoff.plan.schedule import check_schedule, learning_rate
from runoff.runs import MetricRow, Value

__all__ = ["Evidence", "derived", "hugging_face_counts", "missing", "mlx_counts"]


MAX_UPDATES = 10_000_000


@dataclass(frozen=True)
class Evidence:
    """What counts are drawn from."""

    effective: Effective
    versions: Range
    told: Mapping[str, Told]
    tensors: AdapterTensors | None
    rows: tuple[MetricRow, ...]
    finished: bool

    def setting(self, key: str) -> Any:
        """A known setting's value, else None."""
        value = self.effective.settings.get(key)
        return value.value if value is not None and value.known else None

    def whole(self, key: str) -> int | None:
        """The same as a whole number."""
        value = self.setting(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def given(self, key: str) -> Value | None:
        """A count that a file or a person tells."""
        told = self.told.get(key)
        if told is None:
            return None
        why = (
            "given by hand"
            if told.place == "--set"
            else f"printed rounded, +-{told.rounding:g}"
            if told.rounding
            else None
        )
        return Value(told.value, Origin("imported", told.place, why))


def derived(value: Any, why: str) -> Value:
    """What follows from other values."""
    return Value(value, Origin("derived", why=why))


def missing(wanted: Mapping[str, Any]) -> Value:
    """Unknown, naming what is missing."""
    names = [key for key, value in wanted.items() if value is None]
    return Value.unknown(f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} unknown")


def mlx_counts(evidence: Evidence) -> dict[str, Value]:
    """mlx-lm counts iterations: micro-batches of batch_size rows."""
    iters, batch = evidence.whole("iters"), evidence.whole("batch_size")
    each, reached = evidence.whole("grad_accumulation_steps"), _reached(evidence)
    counts = {
        key: value for key in ("train_rows", "valid_rows", "longest_row_tokens") if (value := evidence.given(key))
    }
    for key in ("train_rows", "valid_rows"):
        counts.setdefault(key, Value.unknown(f"no file says it; add --set {key}=NUMBER"))
    counts["iterations"] = iterations = _iterations(evidence, iters, reached)
    counts["effective_batch_rows"] = (
        derived(batch * each, f"batch_size {batch} x grad_accumulation_steps {each}")
        if batch is not None and each is not None
        else missing({"batch_size": batch, "grad_accumulation_steps": each})
    )
    done = iterations.value
    counts["optimizer_updates"] = (
        derived(done // each, f"{done} iterations / {each}" + (", the rest dropped" if done % each else ""))
        if done is not None and each
        else missing({"iterations": done, "grad_accumulation_steps": each})
    )
    counts |= _passes(done, batch, counts["train_rows"].value)
    counts |= _validations(evidence, done, batch, counts["valid_rows"].value)
    counts |= _rates(evidence, counts["optimizer_updates"].value)
    save = evidence.whole("save_every")
    counts["checkpoints"] = (
        derived(done // save, f"one every {save} iterations")
        if done is not None and save
        else missing({"iterations": done, "save_every": save})
    )
    return counts


def _reached(evidence: Evidence) -> int | None:
    last = last_trained(evidence.rows)
    return last.iteration if last is not None else None


def _iterations(evidence: Evidence, planned: int | None, reached: int | None) -> Value:
    if reached is None:
        if planned is None:
            return Value.unknown("neither a configuration nor a log is among the files")
        return derived(planned, "as planned; no file tells how far the run came")
    if planned is None:
        if evidence.finished:
            return derived(reached, "the last one in the log, which is whole")
        return Value.unknown(f"the files end at iteration {reached} and do not say how many were planned")
    if reached == planned or (reached < planned and evidence.finished):
        return derived(reached, f"reached in {_last_place(evidence)}, of {planned} planned")
    ends = f"reach {reached}: they are of two runs" if reached > planned else f"end at iteration {reached}"
    return Value.unknown(f"{planned} were planned, but the files {ends}", planned)


def _last_place(evidence: Evidence) -> str:
    last = last_trained(evidence.rows)
    return (last.place or "") if last is not None else ""


def _passes(done: int | None, batch: int | None, rows: Any) -> dict[str, Value]:
    seen = done * batch if done is not None and batch is not None else None
    lacking = missing({"iterations": done, "batch_size": batch})
    counts = {"rows_seen": derived(seen, f"{done} iterations x {batch} rows") if seen is not None else lacking}
    if seen is None or batch is None or not isinstance(rows, int) or rows < batch:
        unknown = (
            lacking
            if seen is None
            else Value.unknown("the number of training rows is unknown; add --set train_rows=NUMBER")
        )
        return counts | {"epochs": unknown, "iterations_per_epoch": unknown}
    full = rows // batch
    spare = f", {rows % batch} of the rows is never used" if rows % batch else ""
    why = f"{seen} rows seen / {rows}; by full batches {(done or 0) / full:.2f} ({full} iterations an epoch{spare})"
    return counts | {
        "epochs": derived(seen / rows, why),
        "iterations_per_epoch": derived(full, f"{rows} rows in full batches of {batch}{spare}"),
    }


def _validations(evidence: Evidence, done: int | None, batch: int | None, rows: Any) -> dict[str, Value]:
    every, batches = evidence.whole("steps_per_eval"), evidence.whole("val_batches")
    at_last = any(row.kind == "validation" and row.iteration == done for row in evidence.rows)
    versions = Range((0, 4, 0)) if at_last else evidence.versions
    count = mlx_validations(done, every, versions) if done is not None and every is not None else None
    if count is not None:
        first = derived(count, f"at iteration 1, at every multiple of {every} and at the last of {done}")
    else:
        first = missing({"iterations": done, "steps_per_eval": every})
        if done is not None and every is not None:
            first = Value.unknown(
                f"whether the last iteration is validated depends on the version ({evidence.versions})"
            )
    if _validations_are_missing(evidence):
        why = "the files hold training reports and no validation: there was none, or its lines are missing"
        unknown = Value.unknown(why, count)
        return {"validations": unknown, "validation_rows": Value.unknown(why)}
    return {"validations": first, "validation_rows": _validation_rows(evidence, batch, batches, rows)}


def _validations_are_missing(evidence: Evidence) -> bool:
    """From the first report on, where a validation at iteration 1 goes before it."""
    first = min(
        (row.iteration for row in evidence.rows if row.kind == "train" and row.iteration is not None), default=None
    )
    every = evidence.whole("steps_per_report")
    seen = any(row.kind == "validation" for row in evidence.rows)
    return not seen and first is not None and every is not None and first <= every


def _validation_rows(evidence: Evidence, batch: int | None, batches: int | None, rows: Any) -> Value:
    if batch is None or batches is None or batch < 1:
        return missing({"batch_size": batch, "val_batches": batches})
    known = isinstance(rows, int)
    if batches < 0:
        held = rows // batch * batch if known else None
        return (
            derived(held, f"all full batches of {batch} of the {rows} rows")
            if held is not None
            else Value.unknown("all rows are used, but their number is unknown")
        )
    drawn = f"{batches} batches of {batch} rows"
    anew = f"drawn anew at each validation, {around_the_update(evidence.versions)}"
    if not known:
        return Value.unknown(f"at most {batches * batch} ({drawn}, {anew}): valid_rows is unknown")
    held = min(batches * batch, rows // batch * batch)
    if held == rows // batch * batch:
        return derived(held, f"all full batches of {batch} of the {rows} rows")
    return derived(held, f"{drawn} of {rows}, {anew}")


def _rates(evidence: Evidence, updates: int | None) -> dict[str, Value]:
    keys = ("first_learning_rate", "last_learning_rate", "learning_rate_sum")
    rate = evidence.setting("learning_rate")
    parts = [key for key in evidence.effective.settings if key.startswith("lr_schedule.")]
    schedule = evidence.effective.settings.get("lr_schedule")
    if schedule is not None and not schedule.known:
        return dict.fromkeys(keys, Value.unknown(f"lr_schedule: {schedule.origin.why}"))
    if updates is None or rate is None:
        return dict.fromkeys(keys, missing({"optimizer_updates": updates, "learning_rate": rate}))
    if not 1 <= updates <= MAX_UPDATES:
        return dict.fromkeys(keys, Value.unknown(f"{updates} optimizer updates"))
    try:
        given = {key.partition(".")[2]: evidence.setting(key) for key in parts}
        wanted = LrSchedule.model_validate(given) if given else None
        if wanted is not None:
            check_schedule(wanted)
        settings = Settings(learning_rate=float(rate), lr_schedule=wanted)
        rates = [learning_rate(settings, done) for done in range(updates)] if wanted else [float(rate)] * updates
    except (ValidationError, ConfigError, TypeError, ValueError, ArithmeticError):
        return dict.fromkeys(keys, Value.unknown("the learning rate or its schedule can't be read"))
    why = f"lr_schedule over {updates} updates" if wanted else f"constant over {updates} updates"
    return dict(zip(keys, (derived(value, why) for value in (rates[0], rates[-1], math.fsum(rates))), strict=True))


def hugging_face_counts(evidence: Evidence) -> dict[str, Value]:
    """Trainer counts optimizer updates; iterations follow only where the accumulation is known."""
    counts = {
        key: value
        for key in ("train_rows", "valid_rows", "longest_row_tokens", "effective_batch_rows", "epochs")
        if (value := evidence.given(key))
    }
    for key in ("train_rows", "valid_rows"):
        counts.setdefault(key, Value.unknown(f"no file says it; add --set {key}=NUMBER"))
    updates = evidence.given("optimizer_updates")
    last = max((row.optimizer_updates for row in evidence.rows if row.optimizer_updates is not None), default=None)
    if updates is None and last is not None:
        updates = derived(last, "the last one that a row of metrics names")
    if evidence.finished and (updates is None or updates.origin.kind == "derived"):
        updates = _as_planned(evidence) or updates
    counts["optimizer_updates"] = updates or Value.unknown("no file counts the optimizer updates")
    each, batch = evidence.whole("grad_accumulation_steps"), evidence.whole("batch_size")
    made, passed = counts["optimizer_updates"].value, evidence.given("epochs")
    measured = batch_by_speed(evidence.told.get(RATIO), batch, made, passed.value if passed else None)
    if "effective_batch_rows" not in counts:
        counts["effective_batch_rows"] = measured or (
            derived(batch * each, f"{batch} rows a device x {each}, on one device")
            if batch is not None and each is not None
            else missing({"batch_size": batch, "grad_accumulation_steps": each})
        )
    if measured and passed and not counts["train_rows"].known:
        counts["train_rows"] = Value.unknown(rows_between(measured.value, made, passed.value))
    done = counts["optimizer_updates"].value
    counts["iterations"] = (
        derived(done * each, f"{done} optimizer updates x {each} iterations") if done is not None and each
        else missing({"optimizer_updates": done, "grad_accumulation_steps": each})
    )  # fmt: skip
    epoch = max((row.epoch for row in evidence.rows if row.epoch is not None), default=None)
    if "epochs" not in counts:
        counts["epochs"] = (
            derived(epoch, "of the last row of metrics") if epoch is not None else Value.unknown("no file says it")
        )
    seen = sum(1 for row in evidence.rows if row.kind == "validation")
    counts["validations"] = (
        derived(seen, "rows of metrics") if seen else Value.unknown("no validation is among the files")
    )
    counts["validation_rows"] = counts["valid_rows"]
    return counts


def _as_planned(evidence: Evidence) -> Value | None:
    """A log that ends after all of its epochs made all of its updates."""
    planned, epochs, passed = evidence.told.get("planned_updates"), evidence.setting("epochs"), evidence.given("epochs")
    if planned is None or epochs is None or passed is None:
        return None
    slack = (evidence.told["epochs"].rounding or 0.0) * 1.001
    return derived(planned.value, f"all of {planned.place}") if abs(passed.value - epochs) <= slack else None
