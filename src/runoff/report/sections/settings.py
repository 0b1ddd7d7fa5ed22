"""Whether the runs may be compared, what differs between them, and what each is after."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from runoff.comparison import Comparison, Verdict
from runoff.comparison.expectations import Intent, expectations, intents
from runoff.report.model import Block, Cell, Paragraph, Table, cell
from runoff.report.numbers import (
    percent_text,
)
from runoff.report.sections.cells import (
    number_cell,
    value_cell,
)

__all__ = ["after", "comparable", "derived", "differences"]


def comparable(comparison: Comparison, _verdict: Verdict) -> Iterator[Block]:
    """Each check with its finding."""
    mark = {"blocking": "no", "warning": "with care", "ok": "yes"}
    rows = tuple(
        (
            cell(check.topic),
            cell(mark[check.level]),
            cell(check.sentence.text),
            cell(", ".join(check.blocks) or "nothing"),
        )
        for check in comparison.checks
    )
    columns = ("what", "comparable?", "finding", "must not be ranked")
    yield Table("Whether the runs may be compared", columns, rows, (False,) * 4)


def differences(comparison: Comparison, _verdict: Verdict) -> Iterator[Block]:
    """Settings that differ as they took effect, each with what follows."""
    labels = [side.label for side in comparison.sides]
    if not comparison.differences:
        yield Paragraph("No setting that changes a weight differs between the runs.")
        return
    rows, said = [], set()
    for found in comparison.differences:
        follows = found.consequence.text if found.consequence else ""
        rows.append(
            (
                cell(found.key),
                *(value_cell(found.values[label]) for label in labels),
                cell("" if follows in said else follows),
            )
        )
        said.add(follows)
    numeric = (False, *(True for _ in labels), False)
    yield Table("Settings that differ, as they took effect", ("setting", *labels, "what follows"), tuple(rows), numeric)
    if comparison.several_at_once:
        yield Paragraph(comparison.several_at_once.text, comparison.several_at_once.cites)


_DERIVED = (
    ("iterations", "iterations (micro-batches)"),
    ("optimizer_updates", "optimizer updates"),
    ("effective_batch_rows", "rows per update"),
    ("epochs", "epochs"),
    ("rows_seen", "training rows seen"),
    ("adapted_blocks", "adapted blocks"),
    ("blocks", "blocks of the base"),
    ("trainable_parameters", "trainable parameters"),
    ("scale", "adapter scale"),
    ("alpha", "alpha (scale x rank)"),
    ("learning_rate_sum", "learning rate summed over updates"),
    ("train_rows", "training rows"),
    ("train_rows_cut", "training rows cut"),
    ("valid_rows", "validation rows"),
    ("validations", "validations"),
)


def derived(comparison: Comparison, _verdict: Verdict) -> Iterator[Block]:
    """What the settings come to."""
    rows = []
    for key, title in _DERIVED:
        values = [side.count(key) for side in comparison.sides]
        if any(value.known for value in values):
            rows.append((cell(title), *(value_cell(value) for value in values)))
    labels = tuple(side.label for side in comparison.sides)
    yield Table("What the settings come to", ("count", *labels), tuple(rows), (False, *(True for _ in labels)))


def after(comparison: Comparison, _verdict: Verdict) -> Iterator[Block]:
    """Capacity, budget and restraint of each run, and what such choices usually trade."""
    found = intents(comparison.sides)
    wanted: tuple[tuple[str, Callable[[Intent], Cell]], ...] = (
        ("capacity: trainable share of the base", lambda one: cell(percent_text(one.capacity), one.capacity)),
        ("capacity: adapted share of the blocks", lambda one: cell(percent_text(one.blocks), one.blocks)),
        ("budget: learning rate summed, times scale", lambda one: number_cell(one.budget)),
        ("budget: epochs", lambda one: cell("unknown" if one.passes is None else f"{one.passes:.2f}", one.passes)),
        ("restraint", lambda one: cell(", ".join(one.restraint) or "none set")),
    )
    rows = tuple((cell(title), *(get(one) for one in found)) for title, get in wanted)
    labels = tuple(one.label for one in found)
    yield Table("What each run is after", ("", *labels), rows, (False, *(True for _ in labels)))
    for sentence in expectations(found):
        yield Paragraph(sentence.text, sentence.cites)
