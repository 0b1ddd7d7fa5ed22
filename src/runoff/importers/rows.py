"""Metric rows of several files as one curve: agreeing doubles once, restarts numbered, disagreements aloud.

Must not: average, smooth or choose between losses.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from runoff.importers.objectives import told_by
from runoff.plan import Finding
from runoff.runs import MetricRow

__all__ = ["Curve", "last_trained", "merge_rows", "row_findings"]

_NUMBERS = ("nats_per_target_token", "target_tokens", "learning_rate", "gradient_norm", "tokens_per_second",
            "iterations_per_second", "peak_memory_bytes", "seconds", "epoch")  # fmt: skip
Index = dict[tuple[object, ...], list[int]]


@dataclass(frozen=True, slots=True)
class Curve:
    """The rows of one stretch of one file. `final`: a few last values (a summary, or by hand), no curve of its own."""

    file: str
    rows: tuple[MetricRow, ...]
    final: bool = False


def merge_rows(curves: Sequence[Curve]) -> tuple[tuple[MetricRow, ...], tuple[Finding, ...]]:
    """Curves by the weight of their files; what an earlier file holds too is dropped if it agrees.

    A log that says otherwise at the same iterations is of another start of the run; a summary doing so is a finding.
    """
    curves = [curve for curve in curves if curve.rows]
    several = len({curve.file for curve in curves}) > 1
    merged: list[MetricRow] = []
    files: list[str] = []
    findings: list[Finding] = []
    index: Index = {}
    for curve in curves:
        twins = [_twin(row, merged, files, index, curve) if several else None for row in curve.rows]
        pairs = [(row, merged[twin]) if twin is not None else None for row, twin in zip(curve.rows, twins, strict=True)]
        unlike = {
            number: fields
            for number, pair in enumerate(pairs)
            if pair and not _is_another_evaluation(*pair) and (fields := _differences(pair[1], pair[0]))
        }
        if unlike and not curve.final:
            twins = [None] * len(twins)
        fresh = [row for row, twin in zip(curve.rows, twins, strict=True) if twin is None]
        for number, twin in enumerate(twins):
            if twin is not None and _is_another_evaluation(curve.rows[number], merged[twin]):
                fresh += _evaluated_again(curve.rows[number], merged[twin])
            elif twin is not None and number in unlike:
                findings.append(_disagreement(merged[twin], curve.rows[number], unlike[number]))
            elif twin is not None:
                merged[twin] = _completed(merged[twin], curve.rows[number])
        _append(merged, fresh, restarted=bool(unlike) and not curve.final)
        if several:
            _note(index, merged, files, curve.file)
    return tuple(merged), tuple(findings)


def _append(merged: list[MetricRow], fresh: list[MetricRow], *, restarted: bool) -> None:
    if not fresh:
        return
    segment = merged[-1].segment if merged else 0
    is_curve = fresh[0].kind in ("train", "validation")
    if merged and is_curve and (restarted or not _goes_on(merged[-1], fresh[0])):
        segment += 1
    shift = segment - fresh[0].segment
    merged += [replace(row, segment=row.segment + shift) for row in fresh] if shift else fresh


def _note(index: Index, merged: list[MetricRow], files: list[str], file: str) -> None:
    for place in range(len(files), len(merged)):
        files.append(file)
        for key in _keys(merged[place]):
            index.setdefault(key, []).append(place)


def _goes_on(last: MetricRow, first: MetricRow) -> bool:
    pairs = (
        (last.iteration, first.iteration),
        (last.optimizer_updates, first.optimizer_updates),
        (last.epoch, first.epoch),
    )
    return next((one <= other for one, other in pairs if one is not None and other is not None), True)


def _keys(row: MetricRow) -> Iterator[tuple[object, ...]]:
    if row.iteration is not None:
        yield row.kind, "iteration", row.iteration
    if row.optimizer_updates is not None:
        yield row.kind, "update", row.optimizer_updates
    if row.epoch is not None and math.isfinite(row.epoch):
        yield row.kind, "epoch", round(row.epoch, 1)


def _twin(row: MetricRow, merged: list[MetricRow], files: list[str], index: Index, curve: Curve) -> int | None:
    """The latest row of another file for the same moment; in a curve, an epoch alone is too rounded to tell it."""
    for key in _keys(row):
        for place in reversed(index.get(key, [])):
            if files[place] == curve.file:
                continue
            other = merged[place]
            alike = curve.final or _near(other, row, "nats_per_target_token")
            if key[1] != "epoch" or (_near(other, row, "epoch") and alike):
                return place
    return None


def _near(one: MetricRow, other: MetricRow, field: str) -> bool:
    left, right = getattr(one, field), getattr(other, field)
    if left is None or right is None or left == right or (left != left and right != right):
        return True
    slack = one.rounding.get(field, 0.0) + other.rounding.get(field, 0.0)
    return bool(abs(left - right) <= slack + 1e-9 * max(abs(left), abs(right)))


def _differences(one: MetricRow, other: MetricRow) -> list[str]:
    return [field for field in _NUMBERS if not _near(one, other, field)]


def _is_another_evaluation(row: MetricRow, other: MetricRow) -> bool:
    """It took another time: the same moment, evaluated twice (with the best weights put back, perhaps)."""
    return row.kind == other.kind == "validation" and not _near(row, other, "seconds")


def _evaluated_again(row: MetricRow, other: MetricRow) -> list[MetricRow]:
    if _near(row, other, "nats_per_target_token"):
        return []
    text = f"evaluated again: loss {row.nats_per_target_token:g}"
    return [MetricRow("event", row.iteration, row.optimizer_updates, row.epoch, text=text, place=row.place)]


def _completed(row: MetricRow, other: MetricRow) -> MetricRow:
    missing = {
        name: getattr(other, name)
        for name in (*_NUMBERS, "iteration", "optimizer_updates")
        if getattr(row, name) is None
    }
    found = {name: value for name, value in missing.items() if value is not None}
    return replace(row, **found) if found else row


def _disagreement(one: MetricRow, other: MetricRow, fields: list[str]) -> Finding:
    told = ", ".join(f"{field} {getattr(other, field)!r} against {getattr(one, field)!r}" for field in fields)
    moments = (("iteration", one.iteration), ("update", one.optimizer_updates), ("epoch", one.epoch))
    at = next((f"{name} {value:g}" for name, value in moments if value is not None), "the end")
    return Finding(
        "I104", "warning", other.place or "", f"At {at}: {told} in {one.place}.", "The first file's value is kept."
    )


def row_findings(rows: Sequence[MetricRow], planned: int | None, name: str) -> Iterator[Finding]:
    """No losses at all, restarts, nan, an early end."""
    losses = [row for row in rows if row.nats_per_target_token is not None]
    if not losses:
        yield _no_loss(rows, name)
        return
    segments = sorted({row.segment for row in rows})
    if len(segments) > 1:
        starts = [next(row.place or "" for row in rows if row.segment == segment) for segment in segments[1:]]
        shown = ", ".join(starts[:5])
        times = "once" if len(starts) == 1 else f"{len(starts)} times"
        counted = "iterations" if any(row.iteration is not None for row in rows) else "optimizer updates"
        what = f"The {counted} start again {times} ({shown})."
        yield Finding(
            "I106", "note", starts[0], what, "The parts are kept apart as segments; the last one made the adapter."
        )
    broken = [row for row in losses if not math.isfinite(row.nats_per_target_token or 0.0)]
    if broken:
        what = f"{len(broken)} of {len(losses)} losses are nan or inf, first in {broken[0].place}."
        yield Finding("I107", "warning", broken[0].place or name, what, "The weights may be broken from there on.")
    last = last_trained([row for row in losses if row.segment == segments[-1]])
    if planned is not None and last is not None and last.iteration is not None and last.iteration < planned:
        what = f"The log ends at iteration {last.iteration} of {planned}."
        yield Finding("I108", "warning", last.place or name, what, "Whether the run went on is not known.")


def _no_loss(rows: Sequence[MetricRow], name: str) -> Finding:
    if any("loss" in row.others for row in rows):
        told = told_by(rows)
        what = "The losses are of another objective than the next token" + (
            f": the reports hold {told}." if told else "."
        )
        return Finding(
            "I105", "warning", name, what, "They are kept, and compared with no loss in nats per target token."
        )
    why = "Nothing can be said about how well it learnt; nothing is assumed."
    return Finding("I105", "warning", name, "None of the files holds a loss of this run.", why)


def last_trained(rows: Sequence[MetricRow]) -> MetricRow | None:
    """The row of the furthest iteration that was surely made: mlx-lm validates before an iteration's update."""
    counted = [row for row in rows if row.iteration is not None and row.kind != "event"]
    made = [row for row in counted if row.kind != "validation"] or counted
    return max(made, key=lambda row: row.iteration or 0, default=None)
