"""The Report as Markdown, fit for a pull request. Owns: escaping. Must not: add or leave out a number."""

from __future__ import annotations

import re

from runoff.report.model import Block, Chart, Commands, Paragraph, Report, Span, Table, Texts

__all__ = ["to_markdown"]

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#!~])")
_LINE_START = re.compile(r"^(\s*(?:\d+)?)([-+=.)])", re.MULTILINE)


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
    return _texts(block) if isinstance(block, Texts) else _commands(block)


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


def _texts(block: Texts) -> str:
    lines = [f"### {_text(block.caption)}", *([f"*{_text(block.note)}*"] if block.note else [])]
    for one in block.texts:
        badges = "".join(f" \\[{_text(badge)}\\]" for badge in one.badges)
        lines.append(f"**{_text(one.label)}**{badges}" + (f" *({_text(one.note)})*" if one.note else ""))
        lines.append(_quoted("".join(_span(span) for span in one.spans)))
    return "\n\n".join(lines)


def _span(span: Span) -> str:
    """Differing words in bold, copied ones in italics; the marks close before the white space, as Markdown wants."""
    mark = "*" * (2 * span.differs + span.copied)
    body = span.text.rstrip()
    if not mark or not body:
        return _escaped(span.text)
    lines = (f"{mark}{_escaped(line)}{mark}" if line else "" for line in map(str.strip, body.split("\n")))
    return "\n".join(lines) + span.text[len(body) :]


def _quoted(text: str) -> str:
    """Line by line, so that lists and paragraphs stay apart, and none of them becomes a list or a code block."""
    lines = (_LINE_START.sub(r"\1\\\2", " ".join(line.split())) for line in text.split("\n"))
    return "\n".join(f"> {line}  " if line else ">" for line in lines) or ">"


def _text(text: str) -> str:
    """Text from files and models is untrusted: nothing in it may become markup."""
    return _escaped(" ".join(text.split()))


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)
