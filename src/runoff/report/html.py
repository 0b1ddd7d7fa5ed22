"""The Report as one HTML file that needs no other. Owns: the page and its script. Must not: add a number.

The page's content security policy allows its own style and script by their hashes and nothing else: no network, no
handler in an attribute, no script that a run's name or a model's answer might smuggle in.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from runoff.report.drawing import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH
from runoff.report.model import Chart, Report, Table
from runoff.report.palette import COLOURS
from runoff.report.svg import to_svg

__all__ = ["to_html"]

MOST_IN_CELL, MOST_ACROSS, MOST_STACKED = 40, 48, 16
"""Characters that a phone can show in one of several columns, and in all; rows that are stacked where it can't."""
NO_BREAK = "\N{NO-BREAK SPACE}"
_BREAKS = re.compile(r"(?<=\d) (?=%)|(?<=\bp) (?=[<=] \d)|(?<=\bp [<=]) (?=\d)")
_GAP, _NAME = 2, 12
"""Characters between columns, and of the names in the first one, which wrap."""


def to_html(report: Report) -> str:
    """HTML text; everything but our own SVG, style and script is escaped. Without scripts the charts stand still."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["whole"] = _whole
    style, script = _style(), _part("curves.js")
    return environment.from_string(_part("report.html")).render(
        report=report,
        kind=lambda block: type(block).__name__.lower(),
        stacks=_stacks,
        svg=lambda chart: Markup(to_svg(chart)),
        data=lambda chart: Markup(_data(chart)),
        charts=any(isinstance(block, Chart) for section in report.sections for block in section.blocks),
        style=Markup(style),
        style_hash=Markup(_hash(style)),
        script=Markup(script),
        script_hash=Markup(_hash(script)),
    )


def _whole(text: str) -> str:
    """With spaces that no line breaks at, where a number would lose its sign or its meaning: `95 %`, `p = 0.03`.

    For prose and figures alone: a command or an answer is to be copied as it is.
    """
    return _BREAKS.sub(NO_BREAK, text)


def _stacks(table: Table) -> bool:
    """Whether on a phone the cells of a row stand one below the other, with nothing to scroll.

    So do sentences, and the rows of a table that is too wide, unless they are many: numbers are better scrolled then.
    """
    columns = range(len(table.columns))
    widest = [max((len(row[at].text) for row in table.visible), default=0) for at in columns]
    heads = [max(map(len, heading.split()), default=0) for heading in table.columns]
    across = sum(max(pair) + _GAP for pair in zip(widest[1:], heads[1:], strict=True)) + min(_NAME, widest[0]) + _GAP
    few = len(table.visible) <= MOST_STACKED
    return max(widest[1:], default=0) > MOST_IN_CELL or (few and across > MOST_ACROSS)


def _data(chart: Chart) -> str:
    """The points for the script; `<` is written so that no text in it can end the element."""
    body = {
        "frame": [WIDTH, HEIGHT, LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM],
        "axes": [axis.title for axis in chart.axes],
        "unit": chart.y_label,
        "series": [
            {
                "run": one.run,
                "part": one.part,
                "n": one.number,
                "x": [_short(x) for x in one.x],
                "y": _short(one.y),
                "s": _short(one.smooth),
            }
            for one in chart.series
        ],
    }
    return json.dumps(body, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _short(values: tuple[float | None, ...]) -> list[float | None]:
    """Six significant digits, which no screen can tell from all of them."""
    return [value if value is None or isinstance(value, int) else _digits(value) for value in values]


def _digits(value: float) -> float:
    short = float(f"{value:.6g}")
    return int(short) if short.is_integer() else short


def _style() -> str:
    light = "".join(f".k{at} {{ color: {one}; }} " for at, (one, _) in enumerate(COLOURS))
    dark = "".join(f".k{at} {{ color: {one}; }} " for at, (_, one) in enumerate(COLOURS))
    return f"\n{_part('report.css')}{light}\n@media screen and (prefers-color-scheme: dark) {{ {dark}}}\n"


@cache
def _part(name: str) -> str:
    return files("runoff.report").joinpath("templates", name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
