"""C2: agreement with the author's facts. Owns: precision, recall and F1 of claims, and of numbers and terms alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from runoff.estimates.bounded import SHARE
from runoff.evaluation.answers import Answer
from runoff.evaluation.material import AUTHOR, Material, Need
from runoff.evaluation.measures.claims import Claims, agreement, claims, key_terms, polarity
from runoff.evaluation.measures.result import About, Dimension, Measure, MeasureResult, per_answer

__all__ = ["FACTS"]

Compute = Callable[[About, Material], MeasureResult]
Score = Callable[[Claims, Claims], float | None]


def _scored(score: Score, part: Callable[[Claims], Claims] = lambda whole: whole) -> Compute:
    """The mean over answers of a score of an answer's claims and its reference's."""

    def compute(about: About, material: Material) -> MeasureResult:
        terms = key_terms(tuple(f"{row.question}\n{row.answer}" for row in material.training))

        def value(answer: Answer) -> float | None:
            if not answer.reference:
                return None
            return score(*(part(claims(text, answer.question, terms)) for text in (answer.text, answer.reference)))

        found = per_answer(about, material, value)
        return replace(found, details={AUTHOR: _by_chance([value(answer) for answer in _dealt(material.author)])})

    return compute


def _dealt(author: tuple[Answer, ...]) -> Iterator[Answer]:
    """The author's answers, each under a question half the test set away."""
    half = len(author) // 2
    for answer, other in zip(author, author[half:] + author[:half], strict=True):
        if other is not answer:  # a single one has no other
            yield replace(answer, text=other.text)


def _by_chance(values: list[float | None]) -> dict[str, float]:
    """What the author's answers to other questions come to: agreement that says nothing."""
    known = [value for value in values if value is not None]
    return {"the author's answers to other questions": sum(known) / len(known)} if known else {}


def _precision(own: Claims, reference: Claims) -> float | None:
    return agreement(own, reference) / len(own) if len(own) else None


def _recall(own: Claims, reference: Claims) -> float | None:
    return agreement(own, reference) / len(reference) if len(reference) else None


def _f1(own: Claims, reference: Claims) -> float | None:
    return 2 * agreement(own, reference) / (len(own) + len(reference)) if len(reference) else None


def _numbers(all_claims: Claims) -> Claims:
    return Claims(all_claims.quantities, frozenset(), None)


def _topics(all_claims: Claims) -> Claims:
    return Claims((), all_claims.terms, None)


def _polarity(about: About, material: Material) -> MeasureResult:
    def value(answer: Answer) -> float | None:
        said = polarity(answer.reference or "")
        return None if said is None else float(polarity(answer.text) == said)

    return per_answer(about, material, value)


_BLIND = (
    "Truth: it is agreement with the author's own answer, who may be wrong. Nor negation or paraphrase; a list of "
    "keywords raises recall, which is why precision and length stand beside it."
)
_ABOUT = About(
    key="facts",
    title="Agreement with the author's facts",
    dimension=Dimension.FACTS,
    unit="F1",
    higher_is_better=True,
    matters=0.05,
    what=(
        "Numbers with their units, subject terms (the training set's highest TF-IDF) and the yes or no of the first "
        "sentence, in the answer and in the author's answer to the same question; what the question holds already is "
        "left out. F1 per answer, and its mean. Beside it what the author's answers to other questions would get."
    ),
    cannot_see=_BLIND,
    needs=(Need.ANSWERS, Need.REFERENCES, Need.TRAINING),
    bounds=SHARE,
)


def _variant(key: str, title: str, what: str, compute: Compute, unit: str = "F1") -> Measure:
    return Measure(replace(_ABOUT, key=key, title=title, what=what, unit=unit), compute)


FACTS: tuple[Measure, ...] = (
    Measure(_ABOUT, _scored(_f1)),
    _variant(
        "facts_precision",
        "Stated facts that the author states too",
        "Of the claims in an answer, the share that the author's answer makes too; answers without claims left out.",
        _scored(_precision),
        "share of stated facts",
    ),
    _variant(
        "facts_recall",
        "The author's facts that are stated",
        "Of the claims in the author's answer, the share that the answer makes too.",
        _scored(_recall),
        "share of the author's facts",
    ),
    _variant("facts_numbers", "Agreement on numbers", "F1 of numbers with units alone.", _scored(_f1, _numbers)),
    _variant("facts_terms", "Agreement on subject terms", "F1 of subject terms alone.", _scored(_f1, _topics)),
    _variant(
        "facts_polarity",
        "Agreement on yes or no",
        "Where the author's first sentence says yes or no: the share of answers that say the same.",
        _polarity,
        "share of answers",
    ),
)
