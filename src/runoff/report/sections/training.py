"""The training's own figures and curves: shown, never ranked by."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from runoff.comparison import Comparison, Side, Verdict
from runoff.comparison.curves import CurveFacts
from runoff.comparison.facts import listed
from runoff.comparison.pace import Pace, pace
from runoff.report import curves
from runoff.report.arrange import reading_order
from runoff.report.model import Block, Cell, Paragraph, Table, cell
from runoff.report.numbers import bytes_text, duration_text, percent_text
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
        ("adapter kept from iteration", lambda _s, f, _p: number_cell(f.kept_iteration)),
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
            "Losses in nats per target token, as each tool averages them",
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
    if any(found.gap is not None for found in comparison.curve_facts):
        yield Paragraph(
            "The last validation loss and the last training loss are of different rows, and the training loss averages "
            "over weights that still moved: the gap alone shows neither overfitting nor its absence."
        )


def curve_charts(comparison: Comparison, _verdict: Verdict) -> Iterator[Block]:
    """Curves of what the training reported, over the finest axis that most points have."""
    order = {label: at for at, label in enumerate(reading_order(comparison))}
    charts = tuple(curves.curve_charts(sorted(comparison.sides, key=lambda side: order[side.label])))
    if not charts:
        once = any(row.nats_per_target_token is not None for side in comparison.sides for row in side.run.metrics)
        yield Paragraph(
            "No run recorded more than one loss of a kind, so there is no curve."
            if once
            else "No run recorded a loss while it was trained."
        )
    yield from charts


def _peak(side: Side) -> float | None:
    found = [row.peak_memory_bytes for row in side.run.metrics if row.peak_memory_bytes]
    return max(found) if found else side.run.identity.result.get("peak_memory_bytes")
