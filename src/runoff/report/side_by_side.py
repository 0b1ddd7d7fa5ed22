"""Answers next to each other as a Report. Owns: its sections and sentences. Must not: choose, mark or order."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from runoff.evaluation.side_by_side import BADGES, REFERENCE, Group, Prompted, Shown, SideBySide
from runoff.report.model import Block, Paragraph, Report, Section, Span, Table, Text, Texts, cell
from runoff.report.numbers import percent_text

__all__ = ["side_by_side_report"]


def side_by_side_report(found: SideBySide, *, most: int | None = None) -> Report:
    """What to look at first, then a section for each source. most: so many prompts at most, for a terminal."""
    sections = [Section("overview", "What to look for", tuple(_overview(found)))]
    left = len(found.prompts) if most is None else most
    for number, group in enumerate(found.groups, start=1):
        shown = group.prompts[: max(0, left)]
        left -= len(shown)
        if shown:
            sections.append(Section(f"source-{number}", _heading(group), tuple(_texts(one, found) for one in shown)))
    title = f"Side by side: {', '.join(found.runs)}"
    facts = {"place": found.place, "runs": list(found.runs), "disagreement": _disagreement(found)}
    return Report(title, "shown, not decided", None, tuple(sections), facts)


def _disagreement(found: SideBySide) -> dict[str, float]:
    return {one.example: one.disagreement for one in found.prompts}


def _overview(found: SideBySide) -> Iterator[Block]:
    for note in found.notes:
        yield Paragraph(note, role="warning")
    several = len(found.runs) > 1
    who = "the runs" if several else f"{found.runs[0]} and the base"
    yield Paragraph(
        f"{_counted(len(found.prompts), 'prompt')} from {found.place}, {_counted(len(found.groups), 'source')}. "
        f"Sources, and the prompts in each, stand in the order in which the answers of {who} disagree: by the share "
        "of words that they do not have in common."
    )
    yield Paragraph(
        f"Highlighted words (bold in Markdown and in a terminal) differ from {_against(found)}. Underlined words "
        "(italics in Markdown) stand in one training answer too, 8 or more in a row."
    )
    yield _badge_table(found)


def _against(found: SideBySide) -> str:
    names = {one.against for one in found.prompts}
    if len(names) > 1:
        return "the reference, or the base's answer where there is none"
    (name,) = names
    return "the reference" if name == REFERENCE else f"the answer of {name}"


def _badge_table(found: SideBySide) -> Table:
    columns = {label: [one for p in found.prompts for one in p.shown if one.label == label] for label in found.labels}
    rows = [(cell("answers"), *(cell(len(some), len(some)) for some in columns.values()))]
    for kind, _ in BADGES:
        counts = [found.count(label, kind) for label in columns]
        if any(counts):
            rows.append((cell(kind), *(cell(count, count) for count in counts)))
    return Table(
        "Answers with each badge",
        ("badge", *columns),
        tuple(rows),
        (False, *(True for _ in columns)),
        note="Rules that the author's own answers break too say little. docs/side-by-side.md explains each.",
    )


def _heading(group: Group) -> str:
    name = "Without a source" if group.source is None else f"Source: {group.source}"
    return f"{name} ({percent_text(group.disagreement)} disagreement)"


def _texts(one: Prompted, found: SideBySide) -> Texts:
    shown = tuple(
        Text(said.label, _spans(said), tuple(b.text for b in said.badges), _note(said, one)) for said in one.shown
    )
    answers = {tuple(word.text for word in said.words) for said in one.shown if said.label in found.runs}
    same = "All runs answer the same, word for word." if len(found.runs) > 1 and len(answers) == 1 else ""
    return Texts(one.question, shown, same or f"Disagreement {percent_text(one.disagreement)}.")


def _note(said: Shown, one: Prompted) -> str:
    if said.label == one.against:
        return f"{_counted(len(said.words), 'word')}; the others are marked against it"
    return f"{_counted(len(said.words), 'word')}, {said.differing} differ"


def _spans(said: Shown) -> tuple[Span, ...]:
    """Neighbouring words with the same marks are one span."""
    return tuple(
        Span("".join(word.text for word in some), *marks)
        for marks, some in groupby(said.words, key=lambda word: (word.differs, word.copied))
    )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
