"""JSON documents: Trainer's trainer_state.json, and scripts' small metrics files (`{"final_val_loss": ...}`).

Source: transformers/trainer_callback.py TrainerState; LLaMA-Factory's all_results.json. Must not: apply rules.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from runoff.errors import ImportFailed
from runoff.importers.effective import is_number
from runoff.importers.facts import Clue, Facts, Importer, Reading, SourceFile, Tally, Told
from runoff.importers.lines import json_line, read_object
from runoff.importers.log_hf import FIELDS, TRL, other_measures
from runoff.runs import MetricRow

__all__ = ["METRICS_JSON", "TRAINER_STATE", "summary_rows"]

_STATE_SETTINGS = ("max_steps", "num_train_epochs", "logging_steps", "eval_steps", "save_steps", "train_batch_size")

_INTERVALS = {"logging_steps": "loss", "eval_steps": "eval_loss", "save_steps": None}
"""Setting in optimizer updates -> what an entry of the history holds where it was due (a save leaves its folder)."""


def _read_state(source: SourceFile) -> Reading:
    body, text = read_object(source)
    history = body.get("log_history")
    if not isinstance(history, list):
        raise ImportFailed(f"{source.name}: looks like a trainer_state.json, but its log_history is no list.")
    tally, rows = Tally(len(history)), []
    for index, entry in enumerate(history):
        row = _state_row(entry, f"{source.name}:log_history[{index}]")
        if row is not None:
            rows.append(row)
        elif isinstance(entry, Mapping) and ("train_runtime" in entry or "step" in entry):
            tally.skipped += 1
        else:
            tally.puzzle(source.name, str(entry)[:200])
    told = [key for key in _STATE_SETTINGS if is_number(body.get(key)) and _was_used(key, body, history, source)]
    settings = tuple(Told(key, body[key], f"{source.name}:{json_line(text, key)}") for key in told)
    done = [key for key in ("global_step", "epoch") if is_number(body.get(key))]
    names = {"global_step": "optimizer_updates", "epoch": "epochs"}
    counts = tuple(Told(names[key], body[key], f"{source.name}:{json_line(text, key)}") for key in done)
    clue = Clue("transformers", "trainer_state.json is Hugging Face Trainer's")
    finished = is_number(body.get("max_steps")) and body.get("max_steps") == body.get("global_step")
    trl = any(isinstance(entry, Mapping) and "mean_token_accuracy" in entry for entry in history)
    clues = (clue, TRL) if trl else (clue,)
    facts = Facts("log", (), settings, counts, tuple(rows), clues=clues, finished=finished, whole_folder=True)
    return Reading((facts,), tally)


def _was_used(key: str, body: Mapping[str, Any], history: list[Any], source: SourceFile) -> bool:
    """Trainer writes its default intervals also where it goes by epochs; what was reported or saved tells which."""
    if key not in _INTERVALS or body[key] < 1:
        return key not in _INTERVALS
    checkpoint = re.fullmatch(r"checkpoint-(\d+)", source.folder)
    steps: list[Any] = [int(checkpoint[1])] if key == "save_steps" and checkpoint else []
    name = _INTERVALS[key]
    steps += [entry.get("step") for entry in history if name and isinstance(entry, Mapping) and name in entry]
    return any(isinstance(step, int) and step > 0 and step % body[key] == 0 for step in steps)


def _state_row(entry: Any, place: str) -> MetricRow | None:
    if not isinstance(entry, Mapping):
        return None
    kind = "train" if is_number(entry.get("loss")) else "validation" if is_number(entry.get("eval_loss")) else None
    step = entry.get("step")
    if kind is None or not isinstance(step, int):
        return None
    values: dict[str, Any] = {name: float(entry[key]) for key, name in FIELDS.items() if is_number(entry.get(key))}
    besides = {key: float(value) for key, value in entry.items() if key != "step" and is_number(value)}
    return MetricRow(
        "train" if kind == "train" else "validation",
        None,
        optimizer_updates=step,
        **values,
        place=place,
        others=other_measures(besides),
    )


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
            tally.puzzle(place, f"{key}: {inner[key]!r}"[:200])
        if rows:
            facts.append(Facts("summary", (label,) if label else (), rows=tuple(rows)))
    if not facts:
        raise ImportFailed(f"{source.name}: holds no metric that is known by name (final_train_loss, eval_loss, ...).")
    return Reading(tuple(facts), tally)


def _is_state(source: SourceFile) -> bool:
    return source.is_object and ('"log_history"' in source.text_head or source.path.name == "trainer_state.json")


def _is_metrics(source: SourceFile) -> bool:
    """A document, not JSON lines: those end their first object on the first line."""
    head = source.text_head.strip()
    lines = [line for line in head.splitlines() if line.strip()]
    return source.is_object and (len(lines) < 2 or not lines[0].rstrip().endswith("}")) and "loss" in head


TRAINER_STATE = Importer("trainer_state.json", _is_state, _read_state)
METRICS_JSON = Importer("metrics JSON", _is_metrics, _read_metrics)
