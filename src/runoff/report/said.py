"""One prompt with its answers as a block, wherever answers are shown. Must not: choose, mark or order."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby

from runoff.evaluation.side_by_side import Prompted, Shown
from runoff.plan.findings.check import count_of
from runoff.report.model import Span, Text, Texts

__all__ = ["texts", "what_marks_mean"]


def what_marks_mean(against: str) -> str:
    """The two marks in words, for the place above the first block."""
    return (
        f"Highlighted words (bold in Markdown and in a terminal) differ from {against}. Underlined words (italics in "
        "Markdown) stand in one training answer too, 8 or more in a row."
    )


def texts(one: Prompted, note: str, remarks: Mapping[str, str] | None = None) -> Texts:
    """The answers next to each other. remarks: something to say of a column, also of one that has no answer."""
    remarks = remarks or {}
    shown = [
        Text(said.label, _spans(said), tuple(badge.text for badge in said.badges), _note(said, one, remarks))
        for said in one.shown
    ]
    answered = {said.label for said in one.shown}
    silent = [Text(label, (), (), f"no answer; {remark}") for label, remark in remarks.items() if label not in answered]
    return Texts(one.question, (*shown, *silent), note)


def _note(said: Shown, one: Prompted, remarks: Mapping[str, str]) -> str:
    marked = f", {said.differing} of them marked" if said.label != one.against else ""
    remark = f"; {remarks[said.label]}" if said.label in remarks else ""
    return f"{count_of(len(said.words), 'word')}{marked}{remark}"


def _spans(said: Shown) -> tuple[Span, ...]:
    """Neighbouring words with the same marks are one span."""
    return tuple(
        Span("".join(word.text for word in some), *marks)
        for marks, some in groupby(said.words, key=lambda word: (word.differs, word.copied))
    )
