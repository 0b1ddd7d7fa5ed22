"""The training's own figures and curves: shown, never ranked by."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from runoff.comparison import Comparison, Side, Verdict
from runoff.comparison.curves import Curve, CurveFacts
from runoff.comparison.facts import listed
from runoff.comparison.pace import Pace, pace
from runoff.report.model import Block, Cell, Chart, Paragraph, Series, Table, cell
from runoff.report.numbers import bytes_text, duration_text, loss_text, percent_text
from runoff.report.sections.cells import known_rows, logged_cell, number_cell, shown_cell
from runoff.report.sections.checkpoints import curve_sentences

__all__ = ["curve_charts", "training"]


def training(comparison: Comparison, _verdict: Verdict) -> Iterator[Block]:
    """The training's own figures: shown, never ranked by."""
    facts = {found.label: found for found in comparison.curve_facts}
    paces = {side.label: pace(side) for side in comparison.sides}
    wanted: tuple[tuple[str, Callable[[Side, CurveFacts, Pace], Cell]], ...] = (
        ("validation loss before training", lambda _s, f, _p: logged_cell(f.first_validation)),
        ("best validation loss recorded", lambda _s, f, _p: logged_cell(f.best_validation)),
        ("... after iteration", lambda _s, f, _p: number_cell(f.best_iteration)),
        ("last validation loss", lambda _s, f, _p: logged_cell(f.last_validation)),
        ("last reported training loss", lambda _s, f, _p: logged_cell(f.last_training)),
        ("adapter kept from iteration", lambda s, _f, _p: number_cell(s.run.identity.result.get("adapter_iteration"))),
        ("tokens trained on, as the tool counts them", lambda _s, _f, p: number_cell(p.tokens)),
        ("those tokens per iteration", lambda _s, _f, p: number_cell(p.tokens_per_iteration)),
        ("the same in the last window reported", lambda _s, _f, p: number_cell(p.in_last_window)),
        ("those tokens per second", lambda _s, _f, p: number_cell(p.tokens_per_second)),
        ("iterations per second", lambda _s, _f, p: number_cell(p.iterations_per_second)),
        ("time of all iterations at that pace", lambda _s, _f, p: shown_cell(p.training_seconds, duration_text)),
        ("time of one validation", lambda _s, _f, p: shown_cell(p.validation_seconds, duration_text)),
        ("validations' share of the time", lambda _s, _f, p: shown_cell(p.validation_share, percent_text)),
        ("time in all", lambda s, _f, _p: shown_cell(s.run.identity.result.get("seconds"), duration_text)),
        ("peak memory", lambda s, _f, _p: shown_cell(_peak(s), bytes_text)),
    )
    rows = known_rows(
        (cell(title), *(get(side, facts[side.label], paces[side.label]) for side in comparison.sides))
        for title, get in wanted
    )
    labels = tuple(side.label for side in comparison.sides)
    if rows:
        yield Table(
            "Training metrics (losses in nats per target token, as each tool averages them)",
            ("metric", *labels),
            rows,
            (False, *(True for _ in labels)),
            note="Training losses average over weights that move; they are no held-out losses and decide nothing here.",
        )
    without = [side.label for side in comparison.sides if not side.run.metrics]
    if without:
        have = "has" if len(without) == 1 else "have"
        yield Paragraph(
            f"{listed(without)} {have} no recorded metrics at all: nothing is known of how well "
            f"{'it' if len(without) == 1 else 'they'} learnt.",
            tuple(f"{label}.metrics" for label in without),
            "warning",
        )
    for found in comparison.curve_facts:
        yield from curve_sentences(found)


def curve_charts(comparison: Comparison, _verdict: Verdict) -> Iterator[Block]:
    """Loss curves over target tokens, or over the finest axis that all runs have."""
    if not comparison.curves:
        yield Paragraph("No run recorded a loss while it was trained.")
        return
    if all(len(curve.points) == 1 for curve in comparison.curves):
        yield Paragraph("No run recorded more than one loss of a kind, so there is no curve.")
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
    values = loss_text(first) if len(curve.points) == 1 else f"{loss_text(first)} to {loss_text(last)}"
    return f"{curve.label} {kind}: {values}"


def _peak(side: Side) -> float | None:
    found = [row.peak_memory_bytes for row in side.run.metrics if row.peak_memory_bytes]
    return max(found) if found else side.run.identity.result.get("peak_memory_bytes")
