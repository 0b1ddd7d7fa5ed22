"""The author's answers to other questions, for a judge or a voter to hold two answers against. Must not: judge."""

from __future__ import annotations

from runoff.evaluation.answers import Answer
from runoff.evaluation.material import Material

__all__ = ["anchor_texts"]

COUNT = 3


def anchor_texts(material: Material, answer: Answer, at: int = 0) -> tuple[str, ...]:
    """Three (or as many as there are) of the author's answers to other questions, of other sources if there are any.

    at: another number gives other ones.
    """
    rows = [row for row in material.training if row.source != answer.source or row.source is None]
    texts = [row.answer for row in rows if row.question != answer.question]
    texts = texts or [one.text for one in material.author if one.example != answer.example]
    count = min(COUNT, len(texts))
    return tuple(texts[(at * 7 + n * len(texts) // count) % len(texts)] for n in range(count))
