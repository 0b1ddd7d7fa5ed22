"""What the curves and the kept validation rows of one run say: alarms, best checkpoint, overfitting, stability."""

from __future__ import annotations

from collections.abc import Iterator

from runoff.comparison.checkpoints import Checkpoints
from runoff.comparison.curves import CurveFacts
from runoff.comparison.facts import listed
from runoff.comparison.statistics import Outcome, minimum_clusters_for, outcome
from runoff.report.model import Block, Paragraph
from runoff.report.numbers import interval_text, loss_text
from runoff.words import count_of, p_words, signed

__all__ = ["curve_sentences"]


def curve_sentences(found: CurveFacts) -> Iterator[Block]:
    """In the order: alarms, broken losses, shape, gap, end against best, checkpoints."""
    cites = (f"{found.label}.metrics",)
    yield from _alarms(found)
    if found.not_finite:
        losses = "loss is not a number" if found.not_finite == 1 else "losses are not numbers"
        yield Paragraph(f"{found.label}: {found.not_finite} reported {losses} (nan or inf).", cites, "warning")
    yield from _shape(found)
    yield from _kept(found)
    yield from _gap(found)
    yield from _end(found)
    if found.checkpoints is not None:
        yield from _checkpoints(found.label, found.checkpoints)


def _alarms(found: CurveFacts) -> Iterator[Block]:
    """Each with the fact it rests on and what to do, as the training wrote it; and whether it is of what ships."""
    for row in found.alarms:
        when = f" after iteration {row.iteration}" if row.iteration is not None else ""
        kept = found.kept_iteration
        which = f" The adapter that was kept is the one after iteration {kept}." if kept is not None else ""
        yield Paragraph(
            f"{found.label}, alarm{when}: {row.text}{which}",
            (f"{found.label}.metrics", f"{found.label}.result.adapter_iteration"),
            "warning",
        )


def _shape(found: CurveFacts) -> Iterator[Block]:
    """Spikes, an end above the start, standing still; plain readings of the reported training losses."""
    seen, cites = found.training, (f"{found.label}.metrics",)
    if seen is None:
        return
    if seen.spikes:
        many = "once" if len(seen.spikes) == 1 else f"{len(seen.spikes)} times"
        yield Paragraph(
            f"{found.label}: the training loss spikes {many}, by more than 6 times its usual noise of {seen.noise:.3f} "
            "nats per target token, and comes back.",
            cites,
            "warning",
        )
    if seen.rises and not any("A602" in (row.text or "") for row in found.alarms):
        yield Paragraph(
            f"{found.label} diverged: its training loss ends at {loss_text(seen.end)} (median of the last quarter of "
            f"the reports), above the {loss_text(seen.start)} of the first quarter. Usual remedies: a lower learning "
            "rate, or clipping the gradient (max_grad_norm).",
            cites,
            "warning",
        )
    elif seen.still:
        yield Paragraph(
            f"{found.label}: the training loss stood still over the second half of the reports, from "
            f"{loss_text(seen.third)} to {loss_text(seen.end)} (medians of its two quarters), less than its noise of "
            f"{seen.noise:.3f}.",
            cites,
        )


def _kept(found: CurveFacts) -> Iterator[Block]:
    """A log of which only the end was kept can't show its best; of what ended early the rest was never made."""
    if found.ended and found.planned_validations is not None and 0 < found.validations < found.planned_validations:
        are = "is" if found.validations == 1 else "are"
        yield Paragraph(
            f"{found.label}: {found.validations} of its {found.planned_validations} validations {are} recorded; one "
            "that is not may have been better.",
            (f"{found.label}.metrics", f"{found.label}.counts.validations"),
        )


def _gap(found: CurveFacts) -> Iterator[Block]:
    """The gap that people read overfitting from; what it can't say is said once for all runs."""
    if found.gap is None or not found.last_training:
        return
    side = "above" if found.gap >= 0 else "below"
    text = f"{found.label}: the last validation loss is {abs(found.gap):.3f} {side} the last training loss"
    share = abs(found.gap) / found.last_training
    if share < 10:  # of a training loss near 0 any gap is many times it
        text += f" ({100 * share:.1f} % of it)"
    yield Paragraph(f"{text}.", (f"{found.label}.metrics",))


def _end(found: CurveFacts) -> Iterator[Block]:
    if found.best_iteration is None or found.rise is None:
        return
    cites = (f"{found.label}.metrics", f"{found.label}.validation")
    values = (
        f"{loss_text(found.best_validation)} after iteration {found.best_iteration} "
        f"to {loss_text(found.last_validation)} after iteration {found.last_iteration}"
    )
    p = p_words(found.rise.p_value)
    if found.ends_worse_than_best:
        text = f"{found.label} ends worse than its best: the validation loss rose from {values} ({p})."
        if found.kept_iteration is not None:
            text += f" The adapter that was kept is the one after iteration {found.kept_iteration}."
        yield Paragraph(text, cites, "warning")
        return
    text = f"{found.label}: the validation loss went from {values}"
    if found.rise.clusters < minimum_clusters_for():
        ends = interval_text(*(found.rise.interval(0.95) or (None, None)), signed=True)
        yield Paragraph(
            f"{text} (95 % interval {ends}); of {count_of(found.rise.clusters, 'source')}, too few for a test.", cites
        )
    else:
        yield Paragraph(f"{text}, which these rows can't tell from no change ({p}).", cites)


def _checkpoints(label: str, found: Checkpoints) -> Iterator[Block]:
    """Which checkpoints the rows can tell from the best, and whether a choice on half of the sources holds."""
    cites = (f"{label}.validation",)
    if found.sources < minimum_clusters_for():
        text = f"{label}: {count_of(found.sources, 'validation source')} can't tell its checkpoints apart; it takes "
        yield Paragraph(f"{text}{minimum_clusters_for()} or more.", cites)
        return
    count, equals = len(found.iterations), len(found.equals)
    if equals == count:
        which = f"none of its {count} validated checkpoints can be told from the best one"
    elif equals == 1:
        which = f"that after iteration {found.best} is better than each of the other {count - 1} (p <= 0.05, adjusted)"
    else:
        which = f"{equals} of {count} can't be told from the best one: those after iterations {_ranges(found)}"
    yield Paragraph(f"{label}: by the validation rows, {which}.", cites)
    pair = found.selection.against_baseline if found.selection else None
    if found.selection is None or pair is None or pair.difference.value is None:
        yield Paragraph(
            f"{label}: its {found.sources} validation sources are too few to choose a checkpoint on one half and "
            "confirm it on the other.",
            cites,
        )
        return
    if found.chosen == found.iterations[-1]:
        yield Paragraph(f"{label}: half of the sources choose the last checkpoint as well.", cites)
        return
    verdict = {Outcome.BETTER: "confirmed", Outcome.WORSE: "refuted"}.get(outcome(pair, 1e-9), "not confirmed")
    ends = interval_text(*(pair.interval(0.95) or (None, None)), signed=True)
    yield Paragraph(
        f"{label}: half of the sources choose the checkpoint after iteration {found.chosen}; on the other half its "
        f"loss differs from the last one's by {signed(pair.difference.value)} (95 % interval {ends}, "
        f"{p_words(pair.p_value)}): {verdict}.",
        cites,
    )


def _ranges(found: Checkpoints) -> str:
    """Iterations, neighbours joined: `50, 100 to 300`."""
    places = [found.iterations.index(at) for at in found.equals]
    parts: list[list[int]] = []
    for place in places:
        if parts and place == parts[-1][-1] + 1:
            parts[-1].append(place)
        else:
            parts.append([place])
    return listed(
        [
            found.iterations[part[0]]
            if len(part) == 1
            else f"{found.iterations[part[0]]} to {found.iterations[part[-1]]}"
            for part in parts
        ]
    )
