"""The Report for a terminal, by rich. Owns: tables and sparklines. Must not: add or leave out a number."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.rule import Rule
from rich.table import Table as RichTable
from rich.text import Text

from runoff.report.model import Chart, Commands, Paragraph, Report, Table, Texts
from runoff.report.model import Text as Said

__all__ = ["print_report"]

_BARS = "▁▂▃▄▅▆▇█"
_STYLES = {"verdict": "bold", "warning": "yellow", "blocking": "red"}
_NARROWEST = 30
_MARKS = {"warning": "Warning: ", "blocking": "Blocking: "}


def print_report(report: Report, console: Console, *, brief: bool = False) -> None:
    """Print every section, or with `brief` the first alone."""
    console.print(Text(report.title, style="bold"))
    for section in report.sections[: 1 if brief else None]:
        console.print()
        console.print(Rule(Text(section.title), align="left"))
        for block in section.blocks:
            console.print(_texts(block, console.width) if isinstance(block, Texts) else _block(block))


def _block(block: Paragraph | Table | Chart | Commands) -> RenderableType:
    if isinstance(block, Paragraph):
        return Text(_MARKS.get(block.role, "") + block.text, style=_STYLES.get(block.role, ""))
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Chart):
        return Text("\n".join([block.caption, *(_spark(one.label, one.y) for one in block.series)]))
    return Text("\n".join(f"  {line}" for line in block.lines))


def _table(table: Table) -> RenderableType:
    drawn = RichTable(title=Text(table.caption), title_justify="left", caption=Text(table.note) if table.note else None)
    for column, numeric in zip(table.columns, table.numeric, strict=True):
        drawn.add_column(Text(column), justify="right" if numeric else "left", overflow="fold")
    for row in table.rows:
        drawn.add_row(*(Text(one.text) for one in row))
    return drawn


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


def _spark(label: str, values: tuple[float, ...]) -> str:
    """A line of blocks from the lowest to the highest value, at most 60 wide."""
    low, high = min(values), max(values)
    picked = values if len(values) <= 60 else [values[index * (len(values) - 1) // 59] for index in range(60)]
    bars = "".join(_BARS[round((value - low) / ((high - low) or 1) * (len(_BARS) - 1))] for value in picked)
    return f"  {label:<32} {values[0]:.4f} {bars} {values[-1]:.4f}"
