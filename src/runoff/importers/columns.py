"""Tables of metrics: CSV, TSV and JSON lines, by a map of columns or by names that leave no doubt.

A bare `step` leaves doubt (mlx-lm's are iterations, Trainer's are updates), so it wants a map: `--column
iteration=step`. LLaMA-Factory's, torchtune's and TRL's names are known. Must not: guess a unit.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from runoff.errors import ImportFailed
from runoff.importers.effective import is_number
from runoff.importers.epochs import by_whole_epochs
from runoff.importers.facts import Clue, Facts, Importer, Reading, SourceFile, Tally, Told
from runoff.importers.lines import number, read_object, read_text
from runoff.importers.objectives import by_its_objective
from runoff.importers.separated import cells_of, separated_rows
from runoff.runs import MetricRow
from runoff.words import count_of

__all__ = [
    "COLUMNS",
    "CSV_TABLE",
    "JSON_LINES",
    "JSON_LIST",
    "JSON_LISTS",
    "check_columns",
    "losses_among",
    "position_among",
    "read_table",
    "values_of",
]

COLUMNS = (
    "iteration", "optimizer_updates", "epoch", "train_loss", "validation_loss", "learning_rate", "gradient_norm",
    "target_tokens", "tokens_per_second", "iterations_per_second", "peak_memory_bytes", "peak_memory_gb", "seconds",
)  # fmt: skip
"""What a column can be mapped to."""

_NAMES = {
    "iteration": ("iteration", "iter", "iters", "iterations"),
    "optimizer_updates": (
        "optimizer_updates",
        "global_step",
        "current_steps",
        "train/global_step",
        "optimizer_step",
        "global_step/max_steps",
    ),
    "epoch": ("epoch", "epochs", "train/epoch"),
    "train_loss": ("train_loss", "loss", "train/loss", "training_loss", "train_losses", "train_loss_step"),
    "validation_loss": (
        "validation_loss",
        "val_loss",
        "valid_loss",
        "eval_loss",
        "eval/loss",
        "val/loss",
        "valid/loss",
        "val_losses",
        "eval_losses",
    ),
    "learning_rate": ("learning_rate", "lr", "train/learning_rate"),
    "gradient_norm": ("gradient_norm", "grad_norm", "train/grad_norm"),
    "target_tokens": ("target_tokens", "trained_tokens"),
    "tokens_per_second": ("tokens_per_second", "tokens_per_sec"),
    "iterations_per_second": ("iterations_per_second",),
    "peak_memory_gb": ("peak_memory_gb", "peak_memory"),
    "seconds": ("eval_runtime", "val_time"),
}
_READ = frozenset(name for names in _NAMES.values() for name in names) | {"total_steps"}
_LISTED = frozenset(name for key in ("iteration", "optimizer_updates", "epoch") for name in _NAMES[key])
_LOSSES = ("train_loss", "validation_loss")
_TRAINERS = ("grad_norm", "eval_samples_per_second")
"""With an epoch beside it: an entry of Trainer's log_history."""
_STEPS = ("step", "steps", "_step", "batch")
"""Names that count something, which a person has to say."""
_WHOLE = ("iteration", "optimizer_updates", "target_tokens", "peak_memory_bytes")
_THOUSANDS = (*_WHOLE, "tokens_per_second")
_POSITIONS = ("iteration", "optimizer_updates", "epoch")
NAMED_ROWS = 50
"""Rows whose columns are looked through for those that nothing reads."""
LLAMA_FACTORY = Clue("llama-factory", "its rows have current_steps and total_steps, as trainer_log.jsonl has")
NOTEBOOK = Clue("transformers", "its columns are those of the table that Trainer shows in notebooks")
MAX_LINE_CHARACTERS = 1 << 20
_NEXT = re.compile(r"[\s,]*(?=\{)")
_OF_TOTAL = re.compile(r"^(\d+)/\d+$")
_TWO_WAYS = re.compile(r"[+-]?\d{1,3},\d{3}")


def check_columns(columns: Mapping[str, str]) -> None:
    """Raises ImportFailed for a name that is none of ours."""
    for ours in columns:
        if ours not in COLUMNS:
            raise ImportFailed(f"--column {ours}={columns[ours]}: can't map to {ours}; one of {', '.join(COLUMNS)}.")


def _read_jsonl(source: SourceFile) -> Reading:
    return read_table(source, _json_rows(source))


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
    return read_table(source, _list_rows(source))


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
    return read_table(source, separated_rows(source))


def _read_lists(source: SourceFile) -> Reading:
    """One object of lists, as scripts keep their curves: {"iterations": [10, 20], "train_losses": [2.1, 2.0]}."""
    body, _ = read_object(source)
    lists = {key: value for key, value in body.items() if isinstance(value, list)}
    named = [value for key, value in lists.items() if plain_name(key) in _LISTED or key in source.columns.values()]
    length = len(max(named or lists.values(), key=len, default=()))
    whole = {key: value for key, value in lists.items() if len(value) == length}
    cells = (dict(zip(whole, row, strict=True)) for row in zip(*whole.values(), strict=True))
    rows = ((1, str(row)[:200], row) for row in cells)
    reading = read_table(source, rows)
    other = ", ".join(f"{key} ({count_of(len(value), 'value')})" for key, value in lists.items() if key not in whole)
    note = f"{source.name}: not read, since the positions have {length} values: {other}."
    facts = reading.facts[0]
    return Reading((replace(facts, notes=(*facts.notes, note)),), reading.tally) if other else reading


def losses_among(names: Iterable[str], source: SourceFile) -> bool:
    """Whether one of a table's names is a loss, by itself or by the map."""
    return _are_among(_LOSSES, names, source)


def position_among(names: Iterable[str], source: SourceFile) -> bool:
    """Whether one of them counts iterations, updates or epochs."""
    return _are_among(_POSITIONS, names, source)


def _are_among(wanted: Sequence[str], names: Iterable[str], source: SourceFile) -> bool:
    known = {name for key in wanted for name in _NAMES[key]}
    mapped = {source.columns[key] for key in wanted if key in source.columns}
    return any(name in mapped or plain_name(name) in known for name in names)


def read_table(source: SourceFile, lines: Iterator[tuple[int, str, Any]]) -> Reading:
    """(line, text, cells by their names) of each row -> the rows of metrics of one run.

    Raises:
        ImportFailed: no row has a position and a loss, or the map names what is none of ours.
    """
    check_columns(source.columns)
    tally, last, segment = Tally(), -1.0, 0
    rows: list[MetricRow] = []
    reached: Mapping[str, Any] = {}
    settings: dict[str, Told] = {}
    other: dict[str, None] = {}
    llama_factory = notebook = False
    doubt, chosen = "", any(ours in source.columns for ours in _LOSSES)
    try:
        for line, text, body in lines:
            tally.read += 1
            place = f"{source.name}:{line}"
            values, unread = values_of(body, source.columns) if isinstance(body, Mapping) else ({}, {})
            position = next((values[key] for key in _POSITIONS if key in values), None)
            losses = [key for key in _LOSSES if key in values]
            if not losses and not unread and position is not None and "current_steps" in body:
                tally.skipped += 1  # LLaMA-Factory's last line, which tells how far it came
                reached = body
                continue
            if position is not None and not losses and not unread and chosen:
                tally.skipped += 1  # another curve's row
                continue
            if unread or position is None or not losses:
                doubt = doubt or _doubt(place, unread)
                tally.puzzle(place, ", ".join(f"{key} {value!r}" for key, value in unread.items()) or text)
            if position is None or not losses:
                continue
            other |= dict.fromkeys(_unknown(body, source.columns)) if len(rows) < NAMED_ROWS else {}
            segment, last = segment + (position < last), position
            rows += [by_its_objective(_row(kind, values, place, segment), body) for kind in losses]
            reached = body
            llama_factory = llama_factory or ("current_steps" in body and "total_steps" in body)
            notebook = notebook or "Training Loss" in body
            if is_number(body.get("total_steps")):
                settings.setdefault("max_steps", Told("max_steps", body["total_steps"], place))
    except OSError as error:
        raise ImportFailed(f"{source.name}: can't be read ({error.strerror}).") from None
    if not rows:
        raise ImportFailed(doubt or _nothing(source, tally))
    rows, epochs = by_whole_epochs(rows, source.name, [name for name in other if name.lower() in _STEPS])
    clues = (LLAMA_FACTORY,) if llama_factory else (NOTEBOOK,) if notebook else ()
    unread_columns = (f"{source.name}: columns not read: {', '.join(other)[:300]}.",) if other else ()
    facts = Facts(
        "log",
        (),
        tuple(settings.values()),
        tuple(_progress(reached, source.name)) if llama_factory else (),
        tuple(rows),
        clues=clues,
        notes=(*epochs, *unread_columns),
        finished=llama_factory and reached["current_steps"] == reached["total_steps"],
        whole_folder=llama_factory,
    )
    return Reading((facts,), tally)


def _progress(body: Mapping[str, Any], name: str) -> Iterator[Told]:
    for theirs, ours in (("current_steps", "optimizer_updates"), ("epoch", "epochs")):
        if is_number(body.get(theirs)):
            yield Told(ours, body[theirs], f"{name}: its last line")


def _doubt(place: str, unread: Mapping[str, str]) -> str:
    """The sentence for a number that may be read in two ways."""
    key, text = next(((key, text) for key, text in unread.items() if _TWO_WAYS.fullmatch(text)), ("", ""))
    ways = f"{text.replace(',', '.')} or {text.replace(',', '')}"
    return f"{place}: {key} {text!r} may be {ways}. Write the numbers with a decimal point." if key else ""


def _unknown(body: Mapping[str, Any], columns: Mapping[str, str]) -> Iterator[str]:
    read = _READ.union(_notebook_names("optimizer_updates", body))
    for key in body:
        if key is not None and plain_name(key) not in read and key not in columns.values():
            yield str(key)


def _nothing(source: SourceFile, tally: Tally) -> str:
    sample = f" First row: {tally.samples[0]}." if tally.samples else ""
    return (
        f"{source.name}: no row has both a position and a loss under a known name.{sample} Name the columns, e.g. "
        "--column iteration=step --column train_loss=loss (or optimizer_updates=step)."
    )


def values_of(body: Mapping[str, Any], columns: Mapping[str, str]) -> tuple[dict[str, float], dict[str, str]]:
    """Numbers by our names, and the texts that stand where a number should."""
    values, unread = {}, {}
    known = {plain_name(key): value for key, value in body.items() if value not in (None, "")}
    for ours in COLUMNS:
        if ours == "train_loss" and "train_runtime" in known:
            continue  # Trainer's mean over the whole run
        names = _NAMES.get(ours, ()) + _notebook_names(ours, body)
        found = (
            body.get(columns[ours]) if ours in columns else next((known[name] for name in names if name in known), None)
        )
        value = _as_number(ours, found)
        if value is None and isinstance(found, str) and found.strip():
            unread[ours] = found.strip()
        elif value is not None and (math.isfinite(value) or ours in _LOSSES):
            values[ours] = value
    return values, unread


@functools.lru_cache(maxsize=1024)
def plain_name(name: Any) -> str:
    """A heading as scripts write it: `Train Loss` is train_loss."""
    return re.sub(r"[\s-]+", "_", str(name).strip().lower())


def _notebook_names(ours: str, body: Mapping[str, Any]) -> tuple[str, ...]:
    """In the table that Trainer shows in notebooks, and in its own reports, steps are optimizer updates."""
    is_trainers = "Training Loss" in body or ("epoch" in body and any(key in body for key in _TRAINERS))
    return ("step",) if ours == "optimizer_updates" and is_trainers else ()


def _as_number(ours: str, value: Any) -> float | None:
    """A comma parts thousands only where thousands are to be expected: a loss of 2,345 is not known to be 2345."""
    if is_number(value):
        return float(value)
    if isinstance(value, str) and ("," not in value or ours in _THOUSANDS):
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


def _is_jsonl(source: SourceFile) -> bool:
    first = source.text_head.lstrip().partition("\n")[0].strip()
    return source.is_object and (first.endswith("}") or source.path.suffix == ".jsonl")


def _is_list(source: SourceFile) -> bool:
    return not source.is_binary and re.match(r"\s*\[\s*\{", source.text_head) is not None


def _is_lists(source: SourceFile) -> bool:
    return source.is_object and re.search(r'"[^"]*loss[^"]*"\s*:\s*\[\s*[-+\d.]', source.text_head, re.I) is not None


def _is_csv(source: SourceFile) -> bool:
    header = cells_of(source)
    if source.is_binary or len(header) < 2:
        return False
    cells = {plain_name(cell) for cell in header}
    known = _READ | {plain_name(name) for name in source.columns.values()}
    return source.path.suffix in (".csv", ".tsv") or len(cells & known) >= 2


JSON_LINES = Importer("JSON lines", _is_jsonl, _read_jsonl)
JSON_LIST = Importer("JSON list", _is_list, _read_list)
JSON_LISTS = Importer("JSON of lists", _is_lists, _read_lists)
CSV_TABLE = Importer("CSV", _is_csv, _read_csv)
