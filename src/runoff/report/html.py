"""The Report as one self-contained HTML file: no script, no network. Owns: the template. Must not: add a number."""

from __future__ import annotations

from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from runoff.report.model import Report
from runoff.report.svg import to_svg

__all__ = ["to_html"]


def to_html(report: Report) -> str:
    """HTML text; everything but our own SVG is escaped."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    source = files("runoff.report").joinpath("templates/report.html").read_text("utf-8")
    return environment.from_string(source).render(
        report=report, kind=lambda block: type(block).__name__.lower(), svg=lambda chart: Markup(to_svg(chart))
    )
