"""Whether the runs may be compared, what differs between them, and what each is after."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from runoff.comparison import Comparison, Verdict
from runoff.comparison.expectations import Intent, expectations, intents
from runoff.comparison.schedules import schedule_sentences
from runoff.report.model import Block, Cell, Paragraph, Table, cell
from runoff.report.numbers import percent_text
from runoff.report.sections.cells import known_rows, number_cell, value_cell
from runoff.runs import Value

__all__ = ["DECLARED", "after", "comparable", "derived", "differences"]


def comparable(comparison: Comparison, _verdict: Verdict) -> Iterator[Block]:
    """Each check with its finding."""
    mark = {"blocking": "no", "warning": "with care", "ok": "yes"}
    rows = tuple(
        (
            cell(check.topic),
            cell(mark[check.level]),
            cell(check.sentence.text + (f" Not to be ranked by: {', '.join(check.blocks)}." if check.blocks else "")),
        )
        for check in comparison.checks
    )
    columns = ("what", "comparable", "finding")
    yield Table("Checks, the gravest first", columns, rows, (False,) * 3)


def differences(comparison: Comparison, _verdict: Verdict) -> Iterator[Block]:
    """Settings that differ as they took effect, each with what follows; and what was declared but did not hold."""
    if comparison.differences:
        yield _difference_table(comparison)
    else:
        recorded = "recorded " if _recorded_nowhere(comparison) else ""
        yield Paragraph(f"No {recorded}setting that changes a weight differs between the runs.")
    if unrecorded := _recorded_nowhere(comparison):
        yield Paragraph(
            f"Recorded for none of the runs, so that whether they differ is not known: {', '.join(unrecorded)}.",
            tuple(f"{side.label}.settings.{key}" for side in comparison.sides for key in unrecorded),
        )
    yield from _not_in_force(comparison)
    if comparison.several_at_once:
        yield Paragraph(comparison.several_at_once.text, comparison.several_at_once.cites)


def _recorded_nowhere(comparison: Comparison) -> list[str]:
    """Settings that each run has as unknown."""
    plans = [side.run.plan.settings for side in comparison.sides]
    return [key for key in plans[0] if all(key in plan and not plan[key].known for plan in plans)]


def _difference_table(comparison: Comparison) -> Table:
    labels = [side.label for side in comparison.sides]
    rows: list[tuple[Cell, ...]] = []
    said: dict[str, str] = {}
    for found in comparison.differences:
        follows = found.consequence.text if found.consequence else ""
        shown = f"as for {said[follows]}" if follows and follows in said else follows
        rows.append((cell(found.key), *(value_cell(found.values[label]) for label in labels), cell(shown)))
        said.setdefault(follows, found.key)
    numeric = (False, *(True for _ in labels), False)
    return Table(
        "Settings that differ or may differ, as they took effect",
        ("setting", *labels, "what follows"),
        tuple(rows),
        numeric,
    )


DECLARED = ("I101", "I102", "I103")
"""Findings of an import about what a file says and what held."""


def _not_in_force(comparison: Comparison) -> Iterator[Block]:
    """What a file says and the tool did not do; shown where the runs agree too: people decide by what they wrote."""
    rows = tuple(
        (cell(side.label), cell(found.place), cell(found.what), cell(found.why))
        for side in comparison.sides
        for found in side.run.plan.findings
        if found.code in DECLARED
    )
    if rows:
        yield Table("Declared, and what held", ("run", "place", "the file says", "what held"), rows, (False,) * 4)


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
    ("last_learning_rate", "learning rate of the last update"),
    ("train_rows", "training rows"),
    ("train_rows_cut", "training rows cut"),
    ("valid_rows", "validation rows"),
    ("validations", "validations"),
    ("validation_rows", "rows in each validation"),
    ("longest_row_tokens", "tokens of the longest training row"),
    ("target_tokens_planned", "target tokens to be seen"),
)


_ALWAYS = ("epochs", "train_rows", "valid_rows")
"""Shown though nobody knows them: the cell says how to tell."""


def derived(comparison: Comparison, _verdict: Verdict) -> Iterator[Block]:
    """What the settings come to."""
    rows = []
    for key, title in _DERIVED:
        values = [side.count(key) for side in comparison.sides]
        if key in _ALWAYS or any(value.known for value in values):
            rows.append((cell(title), *(_count_cell(key, value) for value in values)))
    labels = tuple(side.label for side in comparison.sides)
    if rows:
        numeric = (False, *(True for _ in labels))
        yield Table(
            "Counts and rates, as they took effect", ("count", *labels), tuple(rows), numeric, _reckoned(comparison)
        )
    for side in comparison.sides:
        for sentence in schedule_sentences(side):
            yield Paragraph(sentence.text, sentence.cites, "warning")


def _count_cell(key: str, value: Value) -> Cell:
    if key == "epochs" and isinstance(value.value, int | float):
        return cell(f"{value.value:.2f}", value.value)
    return value_cell(value)


def _reckoned(comparison: Comparison) -> str:
    """How the counts came about that people most often have otherwise in mind."""
    values = [(key, side, side.count(key)) for side in comparison.sides for key in ("epochs", "validations")]
    return " ".join(
        f"{key.capitalize()} of {side.label}: {value.origin.why}."
        for key, side, value in values
        if value.known and value.origin.kind == "derived" and value.origin.why
    )


def _restraint(one: Intent) -> str:
    return "unknown" if one.restraint is None else ", ".join(one.restraint) or "none set"


def after(comparison: Comparison, _verdict: Verdict) -> Iterator[Block]:
    """Capacity, budget and restraint of each run, and what such choices usually trade."""
    found = intents(comparison.sides)
    wanted: tuple[tuple[str, Callable[[Intent], Cell]], ...] = (
        ("capacity: trainable share of the base", lambda one: cell(percent_text(one.capacity), one.capacity)),
        ("capacity: adapted share of the blocks", lambda one: cell(percent_text(one.blocks), one.blocks)),
        ("budget: learning rate summed, times scale", lambda one: number_cell(one.budget)),
        ("budget: epochs", lambda one: cell("unknown" if one.passes is None else f"{one.passes:.2f}", one.passes)),
        ("restraint", lambda one: cell(_restraint(one))),
    )
    rows = known_rows((cell(title), *(get(one) for one in found)) for title, get in wanted)
    labels = tuple(one.label for one in found)
    yield Table("Capacity, budget and restraint", ("what", *labels), rows, (False, *(True for _ in labels)))
    if not any(check.topic == "base model" and check.level == "blocking" for check in comparison.checks):
        for sentence in expectations(found):
            yield Paragraph(sentence.text, sentence.cites)
