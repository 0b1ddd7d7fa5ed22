"""The training's own figures and curves: shown, never ranked by."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from runoff.comparison import Comparison, Side, Verdict
from runoff.comparison.curves import Curve, CurveFacts
from runoff.report.model import Block, Cell, Chart, Paragraph, Series, Table, cell
from runoff.report.numbers import (
    bytes_text,
    duration_text,
    loss_text,
)
from runoff.report.sections.cells import (
    loss_cell,
    number_cell,
    pair_p_text,
    shown_cell,
)

__all__ = ["curve_charts", "training"]


def training(comparison: Comparison, _verdict: Verdict) -> Iterator[Block]:
    """The training's own figures: shown, never ranked by."""
    facts = {found.label: found for found in comparison.curve_facts}
    wanted: tuple[tuple[str, Callable[[Side, CurveFacts], Cell]], ...] = (
        ("validation loss before training", lambda _s, f: loss_cell(f.first_validation)),
        ("best validation loss", lambda _s, f: loss_cell(f.best_validation)),
        ("... after iteration", lambda _s, f: number_cell(f.best_iteration)),
        ("last validation loss", lambda _s, f: loss_cell(f.last_validation)),
        ("last reported training loss", lambda _s, f: loss_cell(f.last_training)),
        ("adapter kept from iteration", lambda s, _f: number_cell(s.run.identity.result.get("adapter_iteration"))),
        ("tokens trained on, as the tool counts them", lambda s, _f: number_cell(_tokens(s))),
        ("time", lambda s, _f: shown_cell(s.run.identity.result.get("seconds"), duration_text)),
        ("target tokens per second", lambda s, _f: _speed(s)),
        ("peak memory", lambda s, _f: shown_cell(_peak(s), bytes_text)),
    )
    rows = tuple((cell(title), *(get(side, facts[side.label]) for side in comparison.sides)) for title, get in wanted)
    labels = tuple(side.label for side in comparison.sides)
    yield Table(
        "Training metrics (losses in nats per target token)",
        ("metric", *labels),
        rows,
        (False, *(True for _ in labels)),
        note="Training losses average over weights that move; they are not held-out losses and decide nothing here.",
    )
    for found in comparison.curve_facts:
        yield from _curve_sentences(found)


def _curve_sentences(found: CurveFacts) -> Iterator[Block]:
    cites = (f"{found.label}.metrics",)
    if found.not_finite:
        yield Paragraph(
            f"{found.label}: {found.not_finite} reported losses are not numbers (nan or inf).", cites, "warning"
        )
    yield from _gap(found)
    if found.best_iteration is None or found.rise is None:
        return
    values = (
        f"{loss_text(found.best_validation)} after iteration {found.best_iteration} "
        f"to {loss_text(found.last_validation)} after iteration {found.last_iteration}"
    )
    if found.ends_worse_than_best:
        p = pair_p_text(found.rise)
        yield Paragraph(
            f"{found.label} ends worse than its best: the validation loss rose from {values} (p {p}).", cites, "warning"
        )
    else:
        text = (
            f"{found.label}: the validation loss went from {values}, "
            f"which these rows can't tell from no change (p {pair_p_text(found.rise)})."
        )
        yield Paragraph(text, cites)


def _gap(found: CurveFacts) -> Iterator[Block]:
    """The gap that people read overfitting from, with what it can't say."""
    if found.last_validation is None or not found.last_training:
        return
    gap = found.last_validation - found.last_training
    side = "above" if gap >= 0 else "below"
    share = f"{100 * abs(gap) / found.last_training:.1f} %"
    yield Paragraph(
        f"{found.label}: the last validation loss is {abs(gap):.3f} {side} the last training "
        f"loss ({share} of it). The two are of different rows, and the training loss averages over weights that still "
        "moved: the gap alone shows neither overfitting nor its absence.",
        (f"{found.label}.metrics",),
    )


def curve_charts(comparison: Comparison, _verdict: Verdict) -> Iterator[Block]:
    """Loss curves over target tokens, or over the finest axis that all runs have."""
    if not comparison.curves:
        yield Paragraph("No run recorded a loss while it was trained.")
        return
    axis, title = _axis(comparison)
    series = tuple(
        Series(
            f"{curve.label}, {'validation' if curve.kind == 'validation' else 'training'}",
            tuple(float(getattr(point, axis)) for point in curve.points if getattr(point, axis) is not None),
            tuple(point.value for point in curve.points if getattr(point, axis) is not None),
            dashed=curve.kind == "train",
        )
        for curve in comparison.curves
    )
    ends = "; ".join(_curve_words(curve) for curve in comparison.curves)
    yield Chart(
        "loss",
        f"Training loss (dashed) and validation loss (solid) over {title}",
        title,
        "nats per target token",
        tuple(one for one in series if one.x),
        f"Line chart. {ends}.",
    )


def _axis(comparison: Comparison) -> tuple[str, str]:
    for axis, title in (
        ("target_tokens", "target tokens trained on"),
        ("optimizer_updates", "optimizer updates"),
        ("iteration", "iterations"),
    ):
        if all(getattr(point, axis) is not None for curve in comparison.curves for point in curve.points):
            return axis, title
    return "epoch", "epochs"


def _curve_words(curve: Curve) -> str:
    first, last = curve.points[0].value, curve.points[-1].value
    kind = "validation" if curve.kind == "validation" else "training"
    return f"{curve.label} {kind}: {loss_text(first)} to {loss_text(last)}"


def _speed(side: Side) -> Cell:
    rates = sorted(row.tokens_per_second for row in side.run.metrics if row.tokens_per_second)
    middle = rates[len(rates) // 2] if rates else None
    return cell("unknown" if middle is None else f"{middle:,.0f}", middle)


def _tokens(side: Side) -> float | None:
    counted = [row.target_tokens for row in side.run.metrics if row.target_tokens]
    return max(counted) if counted else side.run.identity.result.get("target_tokens")


def _peak(side: Side) -> float | None:
    found = [row.peak_memory_bytes for row in side.run.metrics if row.peak_memory_bytes]
    return max(found) if found else side.run.identity.result.get("peak_memory_bytes")
