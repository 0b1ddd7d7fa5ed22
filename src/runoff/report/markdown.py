"""The Report as Markdown, fit for a pull request. Owns: escaping. Must not: add or leave out a number."""

from __future__ import annotations

import re

from runoff.report.model import Block, Chart, Commands, Paragraph, Report, Table

__all__ = ["to_markdown"]

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#!~])")


def to_markdown(report: Report, charts: str = "") -> str:
    """Markdown text; `charts` is the folder of the PNG files, relative to the text."""
    parts = [f"# {_text(report.title)}", ""]
    for section in report.sections:
        parts += [f"## {_text(section.title)}", ""]
        for block in section.blocks:
            parts += [_block(block, charts), ""]
    return "\n".join(parts).rstrip() + "\n"


def _block(block: Block, charts: str) -> str:
    if isinstance(block, Paragraph):
        return _paragraph(block)
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Chart):
        return f"![{_text(block.alt)}]({charts}{block.name}.png)\n\n*{_text(block.caption)}*"
    return _commands(block)


def _paragraph(paragraph: Paragraph) -> str:
    marks = {"verdict": "**{}**", "warning": "> Warning: {}", "blocking": "> Blocking: {}"}
    return marks.get(paragraph.role, "{}").format(_text(paragraph.text))


def _table(table: Table) -> str:
    lines = [f"**{_text(table.caption)}**", ""]
    lines.append("| " + " | ".join(_text(column) for column in table.columns) + " |")
    lines.append("| " + " | ".join("---:" if numeric else "---" for numeric in table.numeric) + " |")
    lines += ["| " + " | ".join(_text(one.text) for one in row) + " |" for row in table.rows]
    return "\n".join([*lines, *(["", f"*{_text(table.note)}*"] if table.note else [])])


def _commands(commands: Commands) -> str:
    fence = "```"
    return "\n".join([f"{fence}sh", *commands.lines, fence])


def _text(text: str) -> str:
    """Text from files and models is untrusted: nothing in it may become markup."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
