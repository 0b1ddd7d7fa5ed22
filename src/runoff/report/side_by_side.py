"""Answers next to each other as a Report. Owns: its sections and sentences. Must not: choose, mark or order."""

from __future__ import annotations

from collections.abc import Iterator

from runoff.evaluation.side_by_side import BADGES, REFERENCE, Group, Prompted, SideBySide
from runoff.report.model import Block, Paragraph, Report, Section, Table, Texts, cell
from runoff.report.numbers import percent_text
from runoff.report.said import texts, what_marks_mean
from runoff.words import count_of

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
        f"{count_of(len(found.prompts), 'prompt')} from {found.place}, {count_of(len(found.groups), 'source')}. "
        f"Sources, and the prompts in each, stand in the order in which the answers of {who} disagree: by the share "
        "of words that they do not have in common."
    )
    yield Paragraph(what_marks_mean(_against(found)))
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
    answers = {tuple(word.text for word in said.words) for said in one.shown if said.label in found.runs}
    same = "All runs answer the same, word for word." if len(found.runs) > 1 and len(answers) == 1 else ""
    return texts(one, same or f"Disagreement {percent_text(one.disagreement)}.")
