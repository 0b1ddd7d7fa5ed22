"""The Report: sections of sentences, tables, charts and commands, as plain data.

Owns: the nouns that every rendering reads. Must not: hold markup, colours or anything that only one rendering can show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = [
    "Block",
    "Cell",
    "Chart",
    "Commands",
    "Paragraph",
    "Report",
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


@dataclass(frozen=True, slots=True)
class Paragraph:
    """One sentence or a few. `cites`: the facts it was computed from. `role` tells a rendering what it is for."""

    text: str
    cites: tuple[str, ...] = ()
    role: Literal["plain", "verdict", "good", "warning", "blocking"] = "plain"


@dataclass(frozen=True, slots=True)
class Table:
    """Columns with a heading each; the first names the row. `numeric`: columns to be set right."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numeric: tuple[bool, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart. `dashed` tells training from validation without colour."""

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    dashed: bool = False
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Chart:
    """A line chart; `name` is its file name where a rendering needs files. `alt` says in words what it shows."""

    name: str
    caption: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    alt: str


@dataclass(frozen=True, slots=True)
class Commands:
    """Command lines that run as printed."""

    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a text. differs: from the text it is held against. copied: from a training answer."""

    text: str
    differs: bool = False
    copied: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """What somebody said: `spans` together are the text. badges: what is wrong with it, in words."""

    label: str
    spans: tuple[Span, ...]
    badges: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts to be read next to each other, under what they answer."""

    caption: str
    texts: tuple[Text, ...]
    note: str = ""


Block = Paragraph | Table | Chart | Commands | Texts


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands under it."""

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


def cell(text: object, value: float | int | None = None) -> Cell:
    """A cell from anything that can be written."""
    return Cell(str(text), value)


def words(values: Sequence[object]) -> tuple[Cell, ...]:
    """Cells without numbers behind them."""
    return tuple(cell(value) for value in values)
