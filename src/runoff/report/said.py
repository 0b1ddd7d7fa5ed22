"""One prompt with its answers as a block, wherever answers are shown. Must not: choose, mark or order."""

from __future__ import annotations

from itertools import groupby

from runoff.evaluation.side_by_side import Prompted, Shown
from runoff.report.model import Span, Text, Texts
from runoff.report.numbers import percent_text

__all__ = ["texts", "what_marks_mean"]


def what_marks_mean(against: str) -> str:
    """The two marks in words, for the place above the first block."""
    return (
        f"Highlighted words (bold in Markdown and in a terminal) differ from {against}. Underlined words (italics in "
        "Markdown) stand in one training answer too, 8 or more in a row."
    )


def texts(one: Prompted, note: str) -> Texts:
    """The answers next to each other."""
    shown = (
        Text(said.label, _spans(said), tuple(badge.text for badge in said.badges), _note(said, one))
        for said in one.shown
    )
    return Texts(one.question, tuple(shown), note)


def _note(said: Shown, one: Prompted) -> str:
    """A share and no count: badges count words as the measures do, and marks go by what white space parts."""
    if said.label == one.against or not said.words:
        return ""
    return f"{percent_text(said.differing / len(said.words))} of its words differ"


def _spans(said: Shown) -> tuple[Span, ...]:
    """Neighbouring words with the same marks are one span."""
    return tuple(
        Span("".join(word.text for word in some), *marks)
        for marks, some in groupby(said.words, key=lambda word: (word.differs, word.copied))
    )
