"""The Report for a terminal, by rich. Owns: tables and sparklines. Must not: add or leave out a number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console, Group, RenderableType
from rich.rule import Rule
from rich.table import Table as RichTable
from rich.text import Text

from runoff.report.model import Block, Chart, Paragraph, Report, Series, Table, Texts
from runoff.report.model import Text as Said
from runoff.report.numbers import number_text

__all__ = ["print_report"]

_BARS = "▁▂▃▄▅▆▇█"
SPARKLINES = 12
_STYLES = {"verdict": "bold", "warning": "yellow", "blocking": "red"}
_NARROWEST = 30
_WIDEST = 28
_MARKS = {"warning": "Warning: ", "blocking": "Blocking: "}


def print_report(report: Report, console: Console, *, brief: bool = False) -> None:
    """Print every section, or with `brief` the first alone."""
    console.print(Text(report.title, style="bold"))
    for section in report.sections[: 1 if brief else None]:
        console.print()
        console.print(Rule(Text(section.title), align="left"))
        for block in section.blocks:
            console.print(_block(block, console.width))


def _block(block: Block, width: int) -> RenderableType:
    if isinstance(block, Paragraph):
        return Text(_MARKS.get(block.role, "") + block.text, style=_STYLES.get(block.role, ""))
    if isinstance(block, Table):
        return Group(*(_table(part) for part in _fitting(block, width)))
    if isinstance(block, Texts):
        return _texts(block, width)
    if isinstance(block, Chart):
        return _chart(block)
    return Text("\n".join(f"  {line}" for line in block.lines))


def _fitting(table: Table, width: int) -> list[Table]:
    """A table that is too wide becomes several below each other, each with the first column."""
    columns = [
        min(_WIDEST, max(map(len, [*heading.split(), *(row[at].text for row in table.visible)]), default=0)) + 3
        for at, heading in enumerate(table.columns)
    ]
    parts, room = [[0]], width - columns[0]
    for at in range(1, len(columns)):
        if columns[at] > room and len(parts[-1]) > 1:
            parts.append([0])
            room = width - columns[0]
        parts[-1].append(at)
        room -= columns[at]
    return [_columns_of(table, part, last=part is parts[-1]) for part in parts] if len(parts) > 1 else [table]


def _columns_of(table: Table, part: Sequence[int], *, last: bool) -> Table:
    return replace(
        table,
        caption=table.caption if part[1] == 1 else f"{table.caption} (more columns)",
        columns=tuple(table.columns[at] for at in part),
        numeric=tuple(table.numeric[at] for at in part),
        rows=tuple(tuple(row[at] for at in part) for row in table.rows),
        note=table.note if last else "",
    )


def _table(table: Table) -> RenderableType:
    drawn = RichTable(title=Text(table.caption, style="bold"), title_justify="left")
    for column, numeric in zip(table.columns, table.numeric, strict=True):
        drawn.add_column(Text(column), justify="right" if numeric else "left", overflow="fold")
    for row in table.visible:
        drawn.add_row(*(Text(one.text) for one in row))
    return Group(drawn, Text(table.remark, style="dim")) if table.remark else drawn


def _texts(block: Texts, width: int) -> RenderableType:
    """Columns where each gets a readable width, else one under the other."""
    heading = Text(f"\n{block.caption}", style="bold")
    note = [Text(block.note)] if block.note else []
    if width // len(block.texts) < _NARROWEST:
        return Group(heading, *note, *(part for one in block.texts for part in (Text(""), *_said(one, labelled=True))))
    columns = RichTable(show_lines=False, expand=True)
    for one in block.texts:
        columns.add_column(Text(one.label), overflow="fold", ratio=1)
    columns.add_row(*(Group(*_said(one, labelled=False)) for one in block.texts))
    return Group(heading, *note, columns)


def _said(one: Said, *, labelled: bool) -> list[RenderableType]:
    """Badges and note, then the words: differing ones bold, copied ones underlined."""
    head = [Text(one.label, style="bold")] if labelled else []
    head += [Text(f"[{badge}]", style="yellow") for badge in one.badges]
    head += [Text(one.note, style="dim")] if one.note else []
    body = Text()
    for span in one.spans:
        styles = ["bold"] * span.differs + ["underline"] * span.copied
        kept = span.text.rstrip()
        body.append(kept, " ".join(styles)).append(span.text[len(kept) :])
    return [*head, body]


def _chart(chart: Chart) -> RenderableType:
    """A sparkline for each series that fits on a screen."""
    lines = [_spark(one) for one in chart.series[:SPARKLINES]]
    if len(chart.series) > SPARKLINES:
        lines.append(f"  showing {SPARKLINES} of {len(chart.series)} curves")
    return Text("\n".join([chart.caption, *lines, *([chart.note] if chart.note else [])]))


def _spark(series: Series) -> str:
    """Blocks from the lowest to the highest value, at most 60 wide, a blank for a gap."""
    values = series.y
    known = [value for value in values if value is not None]
    low, high = min(known), max(known)
    picked = values if len(values) <= 60 else [values[index * (len(values) - 1) // 59] for index in range(60)]
    bars = "".join(" " if value is None else _bar(value, low, high) for value in picked)
    return f"  {series.label:<32} {number_text(known[0])} {bars} {number_text(known[-1])}"


def _bar(value: float, low: float, high: float) -> str:
    return _BARS[round((value - low) / ((high - low) or 1) * (len(_BARS) - 1))]
