"""A report of many runs, made fit to read. Owns: which way a table lies, and how much of a long list is shown.

Sections are written with a column for each run. That is the best table for two runs and unreadable for ten: then the
runs become rows, the best first. Must not: add or drop a fact (what is not shown is in report.json).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby

from runoff.comparison import Comparison
from runoff.comparison.yardstick import Yardstick
from runoff.report.model import Block, Cell, Paragraph, Section, Table, cell

__all__ = ["MOST_COLUMNS", "arranged", "pairs_to_show", "reading_order"]

MOST_COLUMNS = 6
"""Runs up to which each has a column."""
MOST_PARAGRAPHS = 24
"""Sentences of one kind after each other up to which each is a paragraph."""

MOST_CHARACTERS = 600
"""Of a sentence that has something to say of each run."""


def reading_order(comparison: Comparison) -> list[str]:
    """Labels as they were given; where they are many, the lowest held-out loss first and runs without one last."""
    labels = [side.label for side in comparison.sides]
    loss = comparison.evidence.loss
    if len(labels) <= MOST_COLUMNS or loss is None:
        return labels
    found = {label: one.value for label, one in loss.values.items() if one.value is not None}
    return sorted(labels, key=lambda label: found.get(label, math.inf))


def pairs_to_show(one: Yardstick) -> list[tuple[str, str]]:
    """Both orders of every pair; of many runs those with the leader in front, since the others decide nothing."""
    leader = one.leader
    if len(one.values) <= MOST_COLUMNS or leader is None:
        return list(one.pairs)
    return [(leader, label) for label in one.values if label != leader and one.pairs]


def arranged(section: Section, labels: Sequence[str]) -> Section:
    """The section for a reader; labels: of the runs, the one to be read first in front."""
    if len(labels) <= MOST_COLUMNS:
        return section
    blocks: list[Block] = []
    for is_text, group in groupby(section.blocks, key=lambda block: isinstance(block, Paragraph)):
        if is_text:
            blocks += _folded([block for block in group if isinstance(block, Paragraph)])
        else:
            blocks += [made for block in group for made in _laid_out(block, labels)]
    return Section(section.key, section.title, tuple(blocks))


def _folded(paragraphs: list[Paragraph]) -> list[Block]:
    """A long list of sentences becomes a table, warnings first."""
    if len(paragraphs) <= MOST_PARAGRAPHS:
        return [Paragraph(_cut(one.text), one.cites, one.role) for one in paragraphs]
    first = 1 + max((at for at, one in enumerate(paragraphs) if one.role == "verdict"), default=-1)
    leading, rest = paragraphs[:first], paragraphs[first:]
    order = ("blocking", "warning")
    rest.sort(key=lambda one: order.index(one.role) if one.role in order else len(order))
    rows = tuple((cell(one.role if one.role in order else "note"), cell(_cut(one.text))) for one in rest)
    table = Table(f"{len(rows):,} sentences about single runs", ("kind", "sentence"), rows, (False, False), most=12)
    return [*leading, table]


def _laid_out(block: Block, labels: Sequence[str]) -> Iterator[Block]:
    if not isinstance(block, Table):
        yield block
        return
    of_runs = [at for at, column in enumerate(block.columns) if at and column in set(labels)]
    if len(of_runs) <= MOST_COLUMNS:
        yield _sorted(block, labels)
        return
    yield _turned(block, of_runs, labels)
    words = [at for at in range(1, len(block.columns)) if at not in of_runs and not block.numeric[at]]
    rows = tuple(row for row in block.rows if any(row[at].text for at in words))
    if words and rows:
        picked = [0, *words]
        yield Table(
            f"{block.caption}: {', '.join(block.columns[at] for at in words)}",
            tuple(block.columns[at] for at in picked),
            tuple(tuple(cell(_cut(row[at].text), row[at].value) for at in picked) for row in rows),
            tuple(block.numeric[at] for at in picked),
        )


def _turned(table: Table, of_runs: Sequence[int], labels: Sequence[str]) -> Table:
    """Runs, and what they are measured against, become rows; what was a row becomes a column."""
    against = [at for at in range(1, len(table.columns)) if at not in of_runs and table.numeric[at]]
    places = {label: at for at, label in enumerate(labels)}
    ordered = [*against, *sorted(of_runs, key=lambda at: places[table.columns[at]])]
    rows = tuple((cell(table.columns[at]), *(row[at] for row in table.rows)) for at in ordered)
    columns = ("run", *(row[0].text for row in table.rows))
    numeric = (False, *(_mostly_numbers([row[at] for at in ordered]) for row in table.rows))
    return Table(table.caption, columns, rows, numeric, table.note, table.most)


def _mostly_numbers(cells: Sequence[Cell]) -> bool:
    return 2 * sum(one.value is not None for one in cells) >= len(cells)


def _cut(text: str) -> str:
    if len(text) <= MOST_CHARACTERS:
        return text
    return f"{text[:MOST_CHARACTERS].rpartition(', ')[0] or text[:MOST_CHARACTERS]}, and so on for the other runs."


def _sorted(table: Table, labels: Sequence[str]) -> Table:
    """A table with a row for each run: its rows in the order of the runs, others (the base) in front."""
    places = {label: at for at, label in enumerate(labels)}
    if sum(bool(row) and row[0].text in places for row in table.rows) <= MOST_COLUMNS:
        return table
    rows = tuple(sorted(table.rows, key=lambda row: places.get(row[0].text, -1)))
    return Table(table.caption, table.columns, rows, table.numeric, table.note, table.most)
