"""Tables of separated values: which line is the header, what parts the cells, and what a comma in a number means.

A comma is a decimal point where some cell of the file can't be read otherwise (`2,34`, `0,001`); then a dot between
groups of three digits parts thousands. Elsewhere, and where other cells have decimal points, the comma is left as it
stands. Must not: know what a column means.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from typing import Any

from runoff.errors import ImportFailed
from runoff.importers.facts import SourceFile

__all__ = ["cells_of", "separated_rows"]

_PREAMBLE = re.compile(r"(?:\s*(?:#.*|sep=.?)?\r?\n)*")
"""Lines before the header: comments, Excel's `sep=;`, and empty ones."""
_COMMA = re.compile(r"[+-]?\d+,\d+(?:e[+-]?\d+)?", re.I)
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:\.\d{3})+")
_COMMA_IS_POINT = r"[+-]?(?:0,\d+|\d+,(?:\d{1,2}|\d{4,}))(?:[eE][+-]?\d+)?"
_DECIMAL_COMMA = {
    ";": re.compile(rf'(?:^|;)"?{_COMMA_IS_POINT}"?(?=[;\r\n]|$)', re.M),
    "\t": re.compile(rf'(?:^|\t)"?{_COMMA_IS_POINT}"?(?=[\t\r\n]|$)', re.M),
    ",": re.compile(rf'"{_COMMA_IS_POINT}"'),
}
"""A cell whose comma can't be a thousands separator, by what parts the cells."""
_DECIMAL_POINT = re.compile(r"(?<![\d.])(?:0\.\d+|\d+\.(?:\d{1,2}|\d{4,}))(?![\d.])")


def cells_of(source: SourceFile) -> list[str]:
    """The header's cells: of the first line that is neither a comment nor Excel's."""
    try:
        return [cell.strip() for cell in next(csv.reader([_header(source)], delimiter=_delimiter(source)), [])]
    except csv.Error:
        return []


def _header(source: SourceFile) -> str:
    return re.split(r"[\r\n]", source.text_head[_preamble(source) :], maxsplit=1)[0]


def _delimiter(source: SourceFile) -> str:
    """The one of comma, tab and semicolon that the header has most of."""
    return max(",\t;", key=_header(source).count)


def separated_rows(source: SourceFile) -> Iterator[tuple[int, str, Mapping[str, Any]]]:
    """(line, text, cells by the header's names) of each row.

    Raises:
        ImportFailed: it is no such table.
    """
    start, delimiter = _preamble(source), _delimiter(source)
    before = source.text_head.count("\n", 0, start)
    body = source.text_head[start:]
    decimal = _DECIMAL_COMMA[delimiter].search(body) is not None and _DECIMAL_POINT.search(body) is None
    with source.path.open("r", encoding=source.encoding, errors="replace", newline="") as file:
        for _ in range(before):
            file.readline()
        reader = csv.DictReader(file, delimiter=delimiter, strict=False)
        try:
            for row in reader:
                yield before + reader.line_num, str(row), _with_points(row) if decimal else row
        except csv.Error as error:
            raise ImportFailed(
                f"{source.name}:{before + reader.line_num}: is not a table of separated values ({error})."
            ) from None


def _preamble(source: SourceFile) -> int:
    found = _PREAMBLE.match(source.text_head)
    return found.end() if found else 0


def _with_points(row: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers with decimal commas as Python writes them."""
    return {key: _with_point(cell) if isinstance(cell, str) else cell for key, cell in row.items()}


def _with_point(cell: str) -> str:
    text = cell.strip()
    if _COMMA.fullmatch(text):
        return text.replace(",", ".")
    return text.replace(".", ",") if _THOUSANDS.fullmatch(text) else cell
