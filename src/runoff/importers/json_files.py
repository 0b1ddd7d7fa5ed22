"""Small JSON files of metrics: scripts' own (`{"final_val_loss": ...}`), Trainer's all_results.json.

Must not: apply rules.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from runoff.errors import ImportFailed
from runoff.importers.effective import is_number
from runoff.importers.facts import Facts, Importer, Reading, SourceFile, Tally, Told
from runoff.importers.lines import json_line, read_object
from runoff.importers.log_hf import is_time
from runoff.importers.objectives import by_its_objective
from runoff.importers.trainer_speed import state_speed
from runoff.runs import MetricRow

__all__ = ["METRICS_JSON", "summary_rows"]

_SUMMARY = {
    "train_loss": ("train", "nats_per_target_token", 1.0),
    "training_loss": ("train", "nats_per_target_token", 1.0),
    "loss": ("train", "nats_per_target_token", 1.0),
    "val_loss": ("validation", "nats_per_target_token", 1.0),
    "valid_loss": ("validation", "nats_per_target_token", 1.0),
    "validation_loss": ("validation", "nats_per_target_token", 1.0),
    "eval_loss": ("validation", "nats_per_target_token", 1.0),
    "learning_rate": ("train", "learning_rate", 1.0),
    "tokens_per_sec": ("train", "tokens_per_second", 1.0),
    "tokens_per_second": ("train", "tokens_per_second", 1.0),
    "iterations_per_sec": ("train", "iterations_per_second", 1.0),
    "iterations_per_second": ("train", "iterations_per_second", 1.0),
    "trained_tokens": ("train", "target_tokens", 1.0),
    "peak_memory_gb": ("train", "peak_memory_bytes", 1e9),
    "peak_mem_gb": ("train", "peak_memory_bytes", 1e9),
    "val_time_sec": ("validation", "seconds", 1.0),
    "val_time": ("validation", "seconds", 1.0),
    "eval_runtime": ("validation", "seconds", 1.0),
}
"""A script's name without `final_`, `last_` or `total_` -> kind of row, our field, factor."""
_POSITIONS = {
    "iteration": "iteration",
    "iterations": "iteration",
    "iters": "iteration",
    "global_step": "optimizer_updates",
    "optimizer_updates": "optimizer_updates",
    "updates": "optimizer_updates",
    "epoch": "epoch",
}
_SAMPLES = {"train_samples": "train_rows", "eval_samples": "valid_rows"}
"""What the scripts of Hugging Face's examples add to Trainer's metrics -> a count of ours."""
_WHOLE = ("target_tokens", "peak_memory_bytes", "iteration", "optimizer_updates")


def summary_rows(body: Mapping[str, Any], place: str) -> tuple[list[MetricRow], list[str]]:
    """Final values by their names -> one row of each kind, and the keys that say nothing to us."""
    rows: dict[str, dict[str, Any]] = {}
    position: dict[str, Any] = {}
    unknown = []
    for key, value in body.items():
        name = str(key).lower()
        for prefix in ("final_", "last_", "total_"):
            name = name.removeprefix(prefix)
        number = _metric_number(value)
        if number is None or name not in (*_SUMMARY, *_POSITIONS):
            unknown.append(str(key))
        elif name in _POSITIONS:
            position[_POSITIONS[name]] = _fit(_POSITIONS[name], number)
        else:
            kind, field, factor = _SUMMARY[name]
            rows.setdefault(kind, {})[field] = _fit(field, number * factor)
    position = {"iteration": None, **position}
    made = [MetricRow(kind, **position, **values, place=place) for kind, values in rows.items()]  # type: ignore[arg-type]
    return made, unknown


def _metric_number(value: Any) -> float | None:
    """A number, be it in quotes; "nan" and "inf" too. A comma may be a decimal point, so a text with one is none."""
    try:
        return float(value) if is_number(value) or isinstance(value, str) else None
    except ValueError:
        return None


def _fit(field: str, number: float) -> Any:
    return round(number) if field in _WHOLE and math.isfinite(number) else None if field in _WHOLE else number


def _of_the_end(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Beside train_runtime Trainer's train_loss is the mean over the whole run, and no loss of its end."""
    return {key: value for key, value in body.items() if key != "train_loss" or "train_runtime" not in body}


def _read_metrics(source: SourceFile) -> Reading:
    body, text = read_object(source)
    parts = [(label, inner) for label, inner in body.items() if isinstance(inner, Mapping)] or [("", body)]
    parts = [(label, _of_the_end(inner)) for label, inner in parts]
    tally, facts = Tally(), []
    for label, inner in parts:
        place = f"{source.name}:{json_line(text, label) if label else 1}"
        rows, unknown = summary_rows(inner, place)
        tally.read += len(inner)
        for key in unknown:
            if is_time(key):
                tally.skipped += 1
            elif key not in _SAMPLES:
                tally.puzzle(place, f"{key}: {inner[key]!r}"[:200])
        counts = tuple(_counts_beside(inner, source.name, text))
        if rows or counts:
            labels = (label,) if label else ()
            facts.append(
                Facts("summary", labels, counts=counts, rows=tuple(by_its_objective(row, inner) for row in rows))
            )
    if not facts:
        raise ImportFailed(f"{source.name}: holds no metric that is known by name (final_train_loss, eval_loss, ...).")
    return Reading(tuple(facts), tally)


def _counts_beside(body: Mapping[str, Any], name: str, text: str) -> Iterator[Told]:
    """How many rows and passes Trainer's own files of metrics tell."""
    for theirs, ours in _SAMPLES.items():
        if isinstance(body.get(theirs), int):
            yield Told(ours, body[theirs], f"{name}:{json_line(text, theirs)}")
    yield from state_speed(body, f"{name}:1")
    if is_number(body.get("epoch")) and "train_runtime" in body:
        yield Told("epochs", body["epoch"], f"{name}:{json_line(text, 'epoch')}")


def _is_metrics(source: SourceFile) -> bool:
    """A document, not JSON lines: those end their first object on the first line."""
    head = source.text_head.strip()
    lines = [line for line in head.splitlines() if line.strip()]
    return source.is_object and (len(lines) < 2 or not lines[0].rstrip().endswith("}")) and "loss" in head


METRICS_JSON = Importer("metrics JSON", _is_metrics, _read_metrics)
