"""The Report as Markdown, fit for a pull request. Owns: escaping and folding. Must not: add or leave out a number."""

from __future__ import annotations

import re
from html import escape

from runoff.report.model import Block, Chart, Commands, Paragraph, Report, Span, Table, Texts

__all__ = ["to_markdown"]

MOST_COLUMNS, MOST_ROWS = 7, 16
"""A larger table is folded away behind its caption."""

# What Markdown gives a meaning; what would begin a list or a heading's underline; what GitHub makes a link or a call
# for a person's attention of.
_SPECIAL = re.compile(r"([\\`*_\[\]<>|#!~&$])")
_LINE_START = re.compile(r"^(\s*(?:\d+)?)([-+=.)])", re.MULTILINE)
_LINK = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)", re.IGNORECASE)
_MENTION = re.compile(r"@(?=\w)")


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
        return f"![{_text(block.alt)}]({charts}{block.name}.png)\n\n*{_text(block.caption)}*{_note(block.note)}"
    return _texts(block) if isinstance(block, Texts) else _commands(block)


def _paragraph(paragraph: Paragraph) -> str:
    marks = {"verdict": "**{}**", "warning": "> Warning: {}", "blocking": "> Blocking: {}"}
    return marks.get(paragraph.role, "{}").format(_LINE_START.sub(r"\1\\\2", _text(paragraph.text)))


def _table(table: Table) -> str:
    lines = [
        "| " + " | ".join(map(_text, table.columns)) + " |",
        "| " + " | ".join("---:" if numeric else "---" for numeric in table.numeric) + " |",
        *("| " + " | ".join(_text(one.text) for one in row) + " |" for row in table.visible),
    ]
    body = "\n".join(lines) + _note(table.remark)
    if len(table.columns) <= MOST_COLUMNS and len(lines) - 2 <= MOST_ROWS:
        return f"**{_text(table.caption)}**\n\n{body}"
    return f"<details><summary><b>{_summary(table.caption)}</b></summary>\n\n{body}\n\n</details>"


def _summary(text: str) -> str:
    """HTML, in which Markdown is not read."""
    return _MENTION.sub("@<!-- -->", escape(" ".join(text.split())))


def _note(text: str) -> str:
    return f"\n\n*{_text(text)}*" if text else ""


def _commands(commands: Commands) -> str:
    ticks = max((len(run) for line in commands.lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, ticks + 1)
    return "\n".join([f"{fence}sh", *(line.replace("\n", " ") for line in commands.lines), fence])


def _texts(block: Texts) -> str:
    lines = [f"### {_text(block.caption)}", *([f"*{_text(block.note)}*"] if block.note else [])]
    for one in block.texts:
        badges = "".join(f" \\[{_text(badge)}\\]" for badge in one.badges)
        lines.append(f"**{_text(one.label)}**{badges}" + (f" *({_text(one.note)})*" if one.note else ""))
        if one.spans:
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
    return _MENTION.sub("@<!-- -->", _LINK.sub(r"\\", _SPECIAL.sub(r"\\\1", text)))
