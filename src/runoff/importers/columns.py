"""Tables of metrics: CSV, TSV and JSON lines, by a map of columns or by names that leave no doubt.

A bare `step` leaves doubt (mlx-lm's are iterations, Trainer's are updates), so it wants a map: `--column
iteration=step`. LLaMA-Factory's, torchtune's and TRL's names are known. Must not: guess a unit.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from runoff.errors import ImportFailed
from runoff.importers.effective import is_number
from runoff.importers.facts import Clue, Facts, Importer, Reading, SourceFile, Tally, Told
from runoff.importers.lines import number, read_text
from runoff.runs import MetricRow

__all__ = ["COLUMNS", "CSV_TABLE", "JSON_LINES", "JSON_LIST", "check_columns"]

COLUMNS = (
    "iteration", "optimizer_updates", "epoch", "train_loss", "validation_loss", "learning_rate", "gradient_norm",
    "target_tokens", "tokens_per_second", "iterations_per_second", "peak_memory_bytes", "peak_memory_gb", "seconds",
)  # fmt: skip
"""What a column can be mapped to."""

_NAMES = {
    "iteration": ("iteration", "iter", "iters"),
    "optimizer_updates": (
        "optimizer_updates",
        "global_step",
        "current_steps",
        "train/global_step",
        "optimizer_step",
        "global_step/max_steps",
    ),
    "epoch": ("epoch", "train/epoch"),
    "train_loss": ("train_loss", "loss", "train/loss", "training_loss"),
    "validation_loss": (
        "validation_loss",
        "val_loss",
        "valid_loss",
        "eval_loss",
        "eval/loss",
        "val/loss",
        "valid/loss",
    ),
    "learning_rate": ("learning_rate", "lr", "train/learning_rate"),
    "gradient_norm": ("gradient_norm", "grad_norm", "train/grad_norm"),
    "target_tokens": ("target_tokens", "trained_tokens"),
    "tokens_per_second": ("tokens_per_second", "tokens_per_sec"),
    "iterations_per_second": ("iterations_per_second",),
    "peak_memory_gb": ("peak_memory_gb", "peak_memory"),
    "seconds": ("eval_runtime", "val_time"),
}
_NOTEBOOK = {
    "optimizer_updates": ("Step",),
    "epoch": ("Epoch",),
    "train_loss": ("Training Loss",),
    "validation_loss": ("Validation Loss",),
}
_LOSSES = ("train_loss", "validation_loss")
_WHOLE = ("iteration", "optimizer_updates", "target_tokens", "peak_memory_bytes")
_POSITIONS = ("iteration", "optimizer_updates", "epoch")
LLAMA_FACTORY = Clue("llama-factory", "its rows have current_steps and total_steps, as trainer_log.jsonl has")
NOTEBOOK = Clue("transformers", "its columns are those of the table that Trainer shows in notebooks")
MAX_LINE_CHARACTERS = 1 << 20
_NEXT = re.compile(r"[\s,]*(?=\{)")
_OF_TOTAL = re.compile(r"^(\d+)/\d+$")
_COMMA = re.compile(r"[+-]?\d+,\d+")
_DECIMAL_COMMA = re.compile(r"(?:^|;)[+-]?(?:0,\d+|\d+,(?:\d{1,2}|\d{4,}))(?=[;\r\n]|$)", re.M)
"""A cell of a table parted by semicolons whose comma can't be a thousands separator."""


def check_columns(columns: Mapping[str, str]) -> None:
    """Raises ImportFailed for a name that is none of ours."""
    for ours in columns:
        if ours not in COLUMNS:
            raise ImportFailed(f"--column {ours}={columns[ours]}: can't map to {ours}; one of {', '.join(COLUMNS)}.")


def _read_jsonl(source: SourceFile) -> Reading:
    return _table(source, _json_rows(source))


def _json_rows(source: SourceFile) -> Iterator[tuple[int, str, Any]]:
    with source.path.open("r", encoding=source.encoding, errors="replace", newline="\n") as file:
        line = 0
        while text := file.readline(MAX_LINE_CHARACTERS):
            line += 1
            if text.strip():
                try:
                    yield line, text, json.loads(text)
                except (ValueError, RecursionError):
                    yield line, text, None


def _read_list(source: SourceFile) -> Reading:
    return _table(source, _list_rows(source))


def _list_rows(source: SourceFile) -> Iterator[tuple[int, str, Any]]:
    """The records of one JSON list, each with the line on which it begins."""
    text, decoder = read_text(source), json.JSONDecoder()
    at, line, counted = text.find("[") + 1, 1, 0
    while found := _NEXT.match(text, at):
        start = found.end()
        line, counted = line + text.count("\n", counted, start), start
        try:
            body, at = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            yield line, text[start : start + 200], None
            return
        yield line, text[start : min(at, start + 200)], body


def _read_csv(source: SourceFile) -> Reading:
    return _table(source, _csv_rows(source))


def _csv_rows(source: SourceFile) -> Iterator[tuple[int, str, Any]]:
    with source.path.open("r", encoding=source.encoding, errors="replace", newline="") as file:
        delimiter, certain = _delimiter(source), _DECIMAL_COMMA.search(source.text_head) is not None
        reader = csv.DictReader(file, delimiter=delimiter, strict=False)
        try:
            for row in reader:
                yield reader.line_num, str(row), _with_points(row, certain=certain) if delimiter == ";" else row
        except csv.Error as error:
            raise ImportFailed(
                f"{source.name}:{reader.line_num}: is not a table of separated values ({error})."
            ) from None


def _with_points(row: Mapping[str, Any], *, certain: bool) -> dict[str, Any]:
    """Decimal commas as points; where `1,234` may be either, no number."""
    return {
        key: (cell.replace(",", ".") if certain else None)
        if isinstance(cell, str) and _COMMA.fullmatch(cell.strip())
        else cell
        for key, cell in row.items()
    }


def _table(source: SourceFile, lines: Iterator[tuple[int, str, Any]]) -> Reading:
    check_columns(source.columns)
    tally, rows, last, segment = Tally(), [], -1.0, 0
    settings: dict[str, Told] = {}
    llama_factory = notebook = False
    try:
        for line, text, body in lines:
            tally.read += 1
            place = f"{source.name}:{line}"
            values = _values(body, source.columns) if isinstance(body, Mapping) else {}
            position = next((values[key] for key in _POSITIONS if key in values), None)
            losses = [key for key in _LOSSES if key in values]
            if position is None or not losses:
                tally.puzzle(place, text)
                continue
            segment, last = segment + (position < last), position
            rows += [_row(kind, values, place, segment) for kind in losses]
            llama_factory = llama_factory or ("current_steps" in body and "total_steps" in body)
            notebook = notebook or "Training Loss" in body
            if is_number(body.get("total_steps")):
                settings.setdefault("max_steps", Told("max_steps", body["total_steps"], place))
    except OSError as error:
        raise ImportFailed(f"{source.name}: can't be read ({error.strerror}).") from None
    if not rows:
        raise ImportFailed(_nothing(source, tally))
    clues = (LLAMA_FACTORY,) if llama_factory else (NOTEBOOK,) if notebook else ()
    return Reading(
        (Facts("log", (), tuple(settings.values()), rows=tuple(rows), clues=clues, whole_folder=llama_factory),), tally
    )


def _nothing(source: SourceFile, tally: Tally) -> str:
    sample = f" First row: {tally.samples[0]}." if tally.samples else ""
    return (
        f"{source.name}: no row has both a position and a loss under a known name.{sample} Name the columns, e.g. "
        "--column iteration=step --column train_loss=loss (or optimizer_updates=step)."
    )


def _values(body: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, float]:
    values = {}
    for ours in COLUMNS:
        names = (columns[ours],) if ours in columns else _NAMES.get(ours, ()) + _notebook_names(ours, body)
        if ours == "train_loss" and "train_runtime" in body:
            continue  # Trainer's mean over the whole run
        found = next((body[name] for name in names if body.get(name) not in (None, "")), None)
        value = _as_number(found)
        if value is not None and (math.isfinite(value) or ours in _LOSSES):
            values[ours] = value
    return values


def _notebook_names(ours: str, body: Mapping[str, Any]) -> tuple[str, ...]:
    """The heads of the table that Trainer shows in notebooks, whose steps are optimizer updates."""
    return _NOTEBOOK.get(ours, ()) if "Training Loss" in body else ()


def _as_number(value: Any) -> float | None:
    if is_number(value):
        return float(value)
    if isinstance(value, str):
        try:
            return number(_OF_TOTAL.sub(r"\1", value.strip()))
        except ValueError:
            return None
    return None


def _row(loss: str, values: Mapping[str, float], place: str, segment: int) -> MetricRow:
    fields: dict[str, Any] = {key: round(value) if key in _WHOLE else value for key, value in values.items()}
    losses = {key: fields.pop(key, None) for key in _LOSSES}
    gigabytes = fields.pop("peak_memory_gb", None)
    if gigabytes is not None:
        fields["peak_memory_bytes"] = round(gigabytes * 1e9)
    fields.setdefault("iteration", None)
    kind = "train" if loss == "train_loss" else "validation"
    return MetricRow(kind, **fields, nats_per_target_token=losses[loss], place=place, segment=segment)  # type: ignore[arg-type]


def _delimiter(source: SourceFile) -> str:
    first = source.text_head.partition("\n")[0]
    return max(",\t;", key=first.count)


def _is_jsonl(source: SourceFile) -> bool:
    first = source.text_head.lstrip().partition("\n")[0].strip()
    return source.is_object and (first.endswith("}") or source.path.suffix == ".jsonl")


def _is_list(source: SourceFile) -> bool:
    return not source.is_binary and re.match(r"\s*\[\s*\{", source.text_head) is not None


def _is_csv(source: SourceFile) -> bool:
    first = source.text_head.partition("\n")[0].lower()
    if source.is_binary or first.count(_delimiter(source)) < 1:
        return False
    cells = {cell.strip().strip('"') for cell in first.strip().split(_delimiter(source))}
    known = {name.lower() for names in (*_NAMES.values(), *_NOTEBOOK.values()) for name in names} | {
        name.lower() for name in source.columns.values()
    }
    return source.path.suffix in (".csv", ".tsv") or len(cells & known) >= 2


JSON_LINES = Importer("JSON lines", _is_jsonl, _read_jsonl)
JSON_LIST = Importer("JSON list", _is_list, _read_list)
CSV_TABLE = Importer("CSV", _is_csv, _read_csv)
