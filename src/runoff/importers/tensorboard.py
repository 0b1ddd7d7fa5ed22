"""TensorBoard event files: the scalars in them and Trainer's arguments, read from the wire format by hand.

A file is a chain of records (length, its checksum, an Event, its checksum); of an Event only step, simple scalars and
short texts matter. Source: tensorflow/core/lib/io/record_writer.h, event.proto, summary.proto, tensor.proto. Must not:
need TensorFlow, or guess whether a step is an iteration or an update: Hugging Face's tags say so, others want
`--column`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from runoff.errors import ImportFailed
from runoff.importers.columns import check_columns
from runoff.importers.facts import Clue, Facts, Importer, Reading, SourceFile, Tally, Told
from runoff.importers.log_hf import OTHERS
from runoff.importers.objectives import by_its_objective
from runoff.importers.rules_hf import is_read
from runoff.importers.trainer_speed import KEYS, RATE, SECONDS, speed_counts
from runoff.importers.training_arguments import in_force, is_trainers
from runoff.runs import MetricRow

__all__ = ["TENSORBOARD"]

MAX_RECORD_BYTES = 16 << 20
_TAGS = {
    "train/loss": ("train", "nats_per_target_token"),
    "eval/loss": ("validation", "nats_per_target_token"),
    "train/learning_rate": ("train", "learning_rate"),
    "train/grad_norm": ("train", "gradient_norm"),
    "train/epoch": ("train", "epoch"),
    "eval/runtime": ("validation", "seconds"),
}
_MAPPED = {"train_loss": ("train", "nats_per_target_token"), "validation_loss": ("validation", "nats_per_target_token"),
           "learning_rate": ("train", "learning_rate"), "gradient_norm": ("train", "gradient_norm")}  # fmt: skip
TRAINER = Clue("transformers", "its tags are train/... and eval/..., as Hugging Face's Trainer writes them")


_ARGUMENTS = "args/text_summary"
"""Where Trainer writes its arguments, as JSON."""
_FLOAT_32 = 1e-7
"""Scalars are single floats."""


def _read(source: SourceFile) -> Reading:
    check_columns(source.columns)
    mapped = {tag: _MAPPED[ours] for ours, tag in source.columns.items() if ours in _MAPPED}
    tags = mapped or _TAGS
    tally = Tally()
    found: dict[tuple[str, int], dict[str, float]] = {}
    beside: dict[tuple[str, int], dict[str, float]] = {}
    arguments = ""
    try:
        with source.path.open("rb") as file:
            for step, tag, value in _scalars(file, tally):
                kind, field = tags.get(tag, ("", ""))
                if isinstance(value, str):
                    arguments = value if tag == _ARGUMENTS else arguments
                elif field:
                    found.setdefault((kind, step), {})[field] = value
                else:
                    tally.skipped += 1
                    beside.setdefault((_kind_of(tag), step), {})[tag] = value
    except OSError as error:
        raise ImportFailed(f"{source.name}: can't be read ({error.strerror}).") from None
    unread = dict.fromkeys(tag for values in beside.values() for tag in values)
    rows = tuple(
        by_its_objective(_row(kind, step, values, _others(beside.get((kind, step), {})), source), unread)
        for (kind, step), values in found.items()
        if "nats_per_target_token" in values
    )
    if not rows:
        raise ImportFailed(
            f"{source.name}: has {tally.read} records, but no loss under a known tag. Name the tags, e.g. "
            "--column train_loss=Loss/train --column iteration=step."
        )
    facts = Facts(
        "log",
        settings=tuple(_settings(arguments, source)),
        counts=() if mapped else tuple(_counts(found, beside, source)),
        rows=rows,
        clues=() if mapped else (TRAINER,),
        finished="train/train_runtime" in unread,
        whole_folder=True,
    )
    return Reading((facts,), tally)


def _kind_of(tag: str) -> str:
    return {"train": "train", "eval": "validation"}.get(tag.partition("/")[0], "")


def _others(beside: Mapping[str, float]) -> dict[str, float]:
    """TRL's measures by the names that its reports have."""
    names = {f"train/{name}": new for name, new in OTHERS.items()} | {
        f"eval/{name}": new for name, new in OTHERS.items()
    }
    return {names[tag]: value for tag, value in beside.items() if tag in names}


def _settings(text: str, source: SourceFile) -> Iterator[Told]:
    try:
        arguments = json.loads(text) if text else {}
    except ValueError:
        return
    if isinstance(arguments, Mapping) and is_trainers(arguments):
        for key, value in in_force(arguments).items():
            if is_read(key):
                yield Told(key, value, f"{source.name}: {_ARGUMENTS}")


def _counts(
    found: Mapping[tuple[str, int], Mapping[str, float]],
    beside: Mapping[tuple[str, int], Mapping[str, float]],
    source: SourceFile,
) -> Iterator[Told]:
    """The rates that Trainer reports, by the names in its other files."""
    for (kind, step), values in beside.items():
        rates = {tag.replace("eval/", "eval_").removeprefix("train/"): value for tag, value in values.items()}
        if seconds := found.get((kind, step), {}).get("seconds"):
            rates["eval_runtime"] = seconds
        widths = {
            key: (SECONDS if key.endswith("runtime") else RATE) + value * _FLOAT_32 for key, value in rates.items()
        }
        rounded = {key: (value, widths[key]) for key, value in rates.items() if key in KEYS}
        yield from speed_counts(rounded, f"{source.name}: step {step}")


def _row(
    kind: str, step: int, values: Mapping[str, float], others: Mapping[str, float], source: SourceFile
) -> MetricRow:
    position: dict[str, Any] = {"iteration": None, "optimizer_updates": step}
    if "iteration" in source.columns:
        position = {"iteration": step}
    place = f"{source.name}: step {step}"
    rounding = {field: abs(value) * _FLOAT_32 for field, value in values.items()}
    return MetricRow(kind, **position, **values, others=others, place=place, rounding=rounding)  # type: ignore[arg-type]


def _scalars(file: BinaryIO, tally: Tally) -> Iterator[tuple[int, str, float | str]]:
    """(step, tag, value); a record that is cut or broken ends the file."""
    while len(header := file.read(12)) == 12:
        (length,) = struct.unpack_from("<Q", header)
        if not 0 < length <= MAX_RECORD_BYTES:
            tally.puzzle("record", f"record {tally.read + 1} claims {length} bytes; the rest of the file is not read")
            return
        body = file.read(length + 4)
        if len(body) < length + 4:
            tally.puzzle("record", f"record {tally.read + 1} is cut short")
            return
        tally.read += 1
        try:
            yield from _event(body[:length])
        except (ValueError, IndexError, struct.error):
            tally.puzzle("record", f"record {tally.read} is not an Event")


def _event(body: bytes) -> Iterator[tuple[int, str, float | str]]:
    step, summaries = 0, []
    for field, value in _fields(body):
        if field == 2 and isinstance(value, int):
            step = value
        elif field == 5 and isinstance(value, bytes):
            summaries.append(value)
    for summary in summaries:
        for field, value in _fields(summary):
            if field == 1 and isinstance(value, bytes):
                tag, scalar = _value(value)
                if scalar is not None:
                    yield step, tag, scalar


def _value(body: bytes) -> tuple[str, float | str | None]:
    tag, scalar = "", None  # type: str, float | str | None
    for field, value in _fields(body):
        if field == 1 and isinstance(value, bytes):
            tag = value.decode("utf-8", "replace")
        elif field == 2 and isinstance(value, float):
            scalar = value
        elif field == 8 and isinstance(value, bytes):
            scalar = _tensor(value)
    return tag, scalar


def _tensor(body: bytes) -> float | str | None:
    """A tensor of one number, as TensorFlow 2 and torch's add_scalar(new_style=True) write scalars, or of one text."""
    for field, value in _fields(body):
        if field == 8 and isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        if field == 4 and isinstance(value, bytes) and len(value) == 4:
            return float(struct.unpack("<f", value)[0])
        if field == 5 and isinstance(value, float):
            return value
        if field == 5 and isinstance(value, bytes) and len(value) == 4:
            return float(struct.unpack("<f", value)[0])
    return None


def _fields(body: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """Protobuf's wire format: field number and value; doubles are passed over as bytes."""
    at = 0
    while at < len(body):
        key, at = _varint(body, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(body, at)
            yield key >> 3, value
        elif kind == 5:
            yield key >> 3, float(struct.unpack_from("<f", body, at)[0])
            at += 4
        elif kind in (1, 2):
            length, at = (8, at) if kind == 1 else _varint(body, at)
            if at + length > len(body):
                raise ValueError("a field is cut short")
            yield key >> 3, body[at : at + length]
            at += length
        else:
            raise ValueError("no such wire type")


def _varint(body: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number is too long")


def _is_events(source: SourceFile) -> bool:
    return "tfevents" in source.path.name or (len(source.head) > 40 and b"brain.Event:" in source.head[:64])


TENSORBOARD = Importer("TensorBoard events", _is_events, _read)
