"""The Report: sections of sentences, tables, charts and commands, as plain data.

Owns: the nouns that every rendering reads, and that no text in them holds a control character, whatever file or model
it came from. Must not: hold markup, colours or anything that only one rendering can show.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from runoff.plain_text import visible

__all__ = [
    "Axis",
    "Block",
    "Cell",
    "Chart",
    "Commands",
    "Paragraph",
    "Report",
    "Role",
    "Section",
    "Series",
    "Span",
    "Table",
    "Text",
    "Texts",
    "cell",
]


@dataclass(frozen=True, slots=True)
class Cell:
    """What a table shows, and the number behind it (None for words)."""

    text: str
    value: float | int | None = None

    def __post_init__(self) -> None:
        """Keep control characters out, and what is no number out of the numbers."""
        object.__setattr__(self, "text", visible(self.text))
        if self.value is not None and not math.isfinite(self.value):
            object.__setattr__(self, "value", None)


Role = Literal["plain", "verdict", "warning", "blocking"]


@dataclass(frozen=True, slots=True)
class Paragraph:
    """One sentence or a few. `cites`: the facts it was computed from. `role` tells a rendering what it is for."""

    text: str
    cites: tuple[str, ...] = ()
    role: Role = "plain"
    kind: Literal["paragraph"] = "paragraph"

    def __post_init__(self) -> None:
        """Keep control characters out."""
        object.__setattr__(self, "text", visible(self.text))


@dataclass(frozen=True, slots=True)
class Table:
    """Columns with a heading each; the first names the row. `numeric`: columns to be set right.

    most: rows that are shown to a reader, who is told of the others; machines get all of them.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numeric: tuple[bool, ...]
    note: str = ""
    most: int = 60
    kind: Literal["table"] = "table"

    def __post_init__(self) -> None:
        """Keep control characters out."""
        object.__setattr__(self, "caption", visible(self.caption))
        object.__setattr__(self, "columns", tuple(map(visible, self.columns)))
        object.__setattr__(self, "note", visible(self.note))

    @property
    def visible(self) -> tuple[tuple[Cell, ...], ...]:
        """The rows that a reader sees."""
        return self.rows[: self.most]

    @property
    def remark(self) -> str:
        """The note, and how many rows are not shown."""
        if len(self.rows) <= self.most:
            return self.note
        left_out = f"Showing {self.most:,} of {len(self.rows):,} rows; report.json has all of them."
        return f"{left_out} {self.note}".rstrip()


@dataclass(frozen=True, slots=True)
class Axis:
    """What may lie across a chart; the title carries the unit."""

    key: str
    title: str


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart: what one run reported of one `part` (training, validation), thinned if there was more.

    number: of the run in the report, by which renderings give it a colour and a mark, in all charts the same.
    x: a tuple for each axis of the chart, None where the run did not record it. y: None is a gap, where no line may
    pass. smooth: what is drawn strongly with y faint behind it; empty where nothing is smoothed.
    """

    run: str
    part: str
    number: int
    x: tuple[tuple[float | None, ...], ...]
    y: tuple[float | None, ...]
    smooth: tuple[float | None, ...] = ()

    def __post_init__(self) -> None:
        """Keep control characters out."""
        object.__setattr__(self, "run", visible(self.run))

    @property
    def label(self) -> str:
        """Run and part."""
        return f"{self.run}, {self.part}"


@dataclass(frozen=True, slots=True)
class Chart:
    """A line chart; `name` is its file name where a rendering needs files. `alt` says in words what it shows.

    axes: the first is the one that a still picture is drawn over. note: how it was smoothed, what the gaps are, what
    was left out.
    """

    name: str
    caption: str
    axes: tuple[Axis, ...]
    y_label: str
    series: tuple[Series, ...]
    alt: str
    note: str = ""
    kind: Literal["chart"] = "chart"

    def __post_init__(self) -> None:
        """Keep control characters out."""
        for name in ("caption", "alt", "note"):
            object.__setattr__(self, name, visible(getattr(self, name)))


@dataclass(frozen=True, slots=True)
class Commands:
    """Command lines that run as printed."""

    lines: tuple[str, ...]
    kind: Literal["commands"] = "commands"

    def __post_init__(self) -> None:
        """Keep control characters out."""
        object.__setattr__(self, "lines", tuple(map(visible, self.lines)))


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a text. differs: from the text it is held against. copied: from a training answer."""

    text: str
    differs: bool = False
    copied: bool = False

    def __post_init__(self) -> None:
        """Keep control characters out."""
        object.__setattr__(self, "text", visible(self.text))


@dataclass(frozen=True, slots=True)
class Text:
    """What somebody said: `spans` together are the text. badges: what is wrong with it, in words."""

    label: str
    spans: tuple[Span, ...]
    badges: tuple[str, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        """Keep control characters out."""
        object.__setattr__(self, "label", visible(self.label))
        object.__setattr__(self, "badges", tuple(map(visible, self.badges)))
        object.__setattr__(self, "note", visible(self.note))


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts to be read next to each other, under what they answer."""

    caption: str
    texts: tuple[Text, ...]
    note: str = ""
    kind: Literal["texts"] = "texts"

    def __post_init__(self) -> None:
        """Keep control characters out."""
        object.__setattr__(self, "caption", visible(self.caption))
        object.__setattr__(self, "note", visible(self.note))


Block = Paragraph | Table | Chart | Commands | Texts


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands under it; `key` is its name for machines."""

    key: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Report:
    """The whole; `facts` are the numbers for machines."""

    title: str
    decision: str
    ship: str | None
    sections: tuple[Section, ...]
    facts: dict[str, Any] = field(default_factory=dict)
    schema_version: Literal[1] = 1

    def __post_init__(self) -> None:
        """Keep control characters out."""
        object.__setattr__(self, "title", visible(self.title))


def cell(text: object, value: float | int | None = None) -> Cell:
    """A cell from anything that can be written."""
    return Cell(str(text), value)


def words(values: Sequence[object]) -> tuple[Cell, ...]:
    """Cells without numbers behind them."""
    return tuple(cell(value) for value in values)
