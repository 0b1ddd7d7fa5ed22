"""Hugging Face Trainer's trainer_state.json: the exact history of a run, in optimizer updates.

Source: transformers/trainer_callback.py TrainerState; trainer.py set_initial_training_values. Must not: apply rules.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from runoff.errors import ImportFailed
from runoff.importers.effective import is_number
from runoff.importers.facts import Clue, Facts, Importer, Reading, SourceFile, Tally, Told
from runoff.importers.lines import json_line, read_object
from runoff.importers.log_hf import FIELDS, TRL, other_measures
from runoff.importers.objectives import by_its_objective
from runoff.importers.trainer_speed import state_speed
from runoff.runs import MetricRow

__all__ = ["TRAINER_STATE"]

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
    counts = [Told(names[key], body[key], f"{source.name}:{json_line(text, key)}") for key in done]
    for index, entry in enumerate(history):
        counts += state_speed(entry, f"{source.name}:log_history[{index}]") if isinstance(entry, Mapping) else ()
    clue = Clue("transformers", "trainer_state.json is Hugging Face Trainer's")
    trl = any(isinstance(entry, Mapping) and "mean_token_accuracy" in entry for entry in history)
    facts = Facts(
        "log",
        (),
        settings,
        tuple(counts),
        tuple(rows),
        clues=(clue, TRL) if trl else (clue,),
        notes=tuple(_how_it_ended(body, source)),
        finished=_is_whole(body, history),
        whole_folder=True,
    )
    return Reading((facts,), tally)


def _is_whole(body: Mapping[str, Any], history: list[Any]) -> bool:
    """As many updates as planned, or the line that Trainer writes when its loop ends, however early."""
    step = body.get("global_step")
    ended = any(
        isinstance(entry, Mapping) and "train_runtime" in entry and entry.get("step") == step for entry in history
    )
    return is_number(step) and (step == body.get("max_steps") or ended)


def _how_it_ended(body: Mapping[str, Any], source: SourceFile) -> Iterator[str]:
    step, planned, best = (_number(body, key) for key in ("global_step", "max_steps", "best_global_step"))
    patience, waited = (_number(body, *path) for path in _PATIENCE)
    if step < planned and waited >= patience:
        at = f"optimizer update {step:g} of {planned:g} (patience {patience:g})"
        yield f"{source.name}: early stopping ended it at {at}."
    if best == best and best != step and isinstance(body.get("best_model_checkpoint"), str):
        yield (
            f"{source.name}: its best validation was at optimizer update {best:g} of {step:g}; with "
            "load_best_model_at_end the adapter in the folder is of that one."
        )


_CALLBACK = ("stateful_callbacks", "EarlyStoppingCallback")
_PATIENCE = (
    (*_CALLBACK, "args", "early_stopping_patience"),
    (*_CALLBACK, "attributes", "early_stopping_patience_counter"),
)


def _number(body: Any, *path: str) -> float:
    """A number deep in the document; nan, which compares as false, where it is not there."""
    for key in path:
        body = body.get(key) if isinstance(body, Mapping) else None
    return float(body) if is_number(body) else math.nan


def _was_used(key: str, body: Mapping[str, Any], history: list[Any], source: SourceFile) -> bool:
    """Trainer writes its default intervals also where it goes by epochs; what was reported or saved tells which."""
    if key == "num_train_epochs":
        return _is_exact(body)
    if key not in _INTERVALS or body[key] < 1:
        return key not in _INTERVALS
    every, name = body[key], _INTERVALS[key]
    checkpoint = re.fullmatch(r"checkpoint-(\d+)", source.folder)
    if name is None:
        return checkpoint is not None and int(checkpoint[1]) % every == 0
    steps = {entry.get("step") for entry in history if isinstance(entry, Mapping) and name in entry}
    last = body.get("global_step")
    due = {at for at in steps if isinstance(at, int) and at > 0 and at % every == 0}
    return bool(due) and isinstance(last, int) and len(due) == last // every


def _is_exact(body: Mapping[str, Any]) -> bool:
    """Trainer rounds the epochs up to a whole number, and makes them up where it goes by max_steps."""
    numbers: list[Any] = [body.get(key) for key in ("num_train_epochs", "max_steps", "global_step", "epoch")]
    if not all(is_number(number) and number > 0 for number in numbers):
        return True
    wanted, planned, done, epoch = map(float, numbers)
    if done == planned:
        return math.isclose(epoch, wanted, rel_tol=1e-6)
    in_an_epoch = done / epoch
    return abs(planned / in_an_epoch - wanted) * in_an_epoch < 1


def _state_row(entry: Any, place: str) -> MetricRow | None:
    if not isinstance(entry, Mapping):
        return None
    kind = "train" if is_number(entry.get("loss")) else "validation" if is_number(entry.get("eval_loss")) else None
    step = entry.get("step")
    if kind is None or not isinstance(step, int):
        return None
    values: dict[str, Any] = {name: float(entry[key]) for key, name in FIELDS.items() if is_number(entry.get(key))}
    besides = {key: float(value) for key, value in entry.items() if key != "step" and is_number(value)}
    row = MetricRow(
        "train" if kind == "train" else "validation",
        None,
        optimizer_updates=step,
        **values,
        place=place,
        others=other_measures(besides),
    )
    return by_its_objective(row, entry)


def _is_state(source: SourceFile) -> bool:
    return source.is_object and ('"log_history"' in source.text_head or source.path.name == "trainer_state.json")


TRAINER_STATE = Importer("trainer_state.json", _is_state, _read_state)
