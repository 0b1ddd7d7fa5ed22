"""What is wrong with one answer, in a few words. Owns: `BADGES`; the rules are the measures' own.

A badge is words, so that nobody needs its colour. The author's own answers get them too: a rule that he breaks himself
says little. Must not: score.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from runoff.evaluation.answers import Answer
from runoff.evaluation.material import Material, TrainingRow
from runoff.evaluation.measures.broken import leaks, loops, never_stops
from runoff.evaluation.measures.claims import Quantity, polarity, quantities
from runoff.evaluation.measures.copying import TrainingSpans, training_spans
from runoff.evaluation.measures.length import author_range
from runoff.evaluation.measures.texts import words
from runoff.words import count_of

__all__ = ["BADGES", "Badge", "Ground", "badges", "grounds"]

_MOST_NAMED = 4


@dataclass(frozen=True, slots=True)
class Badge:
    """kind: what a table counts. text: what the reader sees; it begins with the kind."""

    kind: str
    text: str


@dataclass(frozen=True, eq=False)
class Ground:
    """What the answers of one column are held against, made once for all of them.

    training: the rows that could have been copied: a run's own, or for others what any run was trained on. spans: of
    these, None without any. lengths: words of the author's shortest and longest usual answers.
    """

    material: Material
    training: Sequence[TrainingRow]
    spans: TrainingSpans | None
    lengths: tuple[float, float] | None


def grounds(
    material: Material, trained_on: Mapping[str, tuple[TrainingRow, ...]], labels: Sequence[str]
) -> dict[str, Ground]:
    """One for each column; trained_on: the rows of each run."""
    lengths = author_range(material) if material.training else None
    own = {label: trained_on.get(label, material.training) for label in labels}
    return {
        label: Ground(material, rows, training_spans(rows) if rows else None, lengths) for label, rows in own.items()
    }


Rule = Callable[[Ground, Answer], Iterator[str]]


def _no_stop(_: Ground, answer: Answer) -> Iterator[str]:
    if never_stops(answer):
        yield f"after {count_of(len(answer.tokens), 'token')}" if answer.tokens else ""


def _loop(_: Ground, answer: Answer) -> Iterator[str]:
    if loops(answer):
        yield ""


def _leak(ground: Ground, answer: Answer) -> Iterator[str]:
    if leaks(ground.material, answer):
        yield "template, speaker, echo or foreign script" if answer.text.strip() else "nothing was said"


def _copied(ground: Ground, answer: Answer) -> Iterator[str]:
    """The longest span, and where in the training data it stands."""
    spans = ground.spans.shared(answer.text) if ground.spans else []
    longest = max(spans, key=lambda span: span.words, default=None)
    if longest:
        row = ground.training[longest.training_row]
        where = f"source {row.source}" if row.source is not None else f"row {longest.training_row + 1}"
        total = sum(span.words for span in spans)
        rest = f", {total} words in all" if len(spans) > 1 else ""
        yield f"{longest.words} words of training {where}{rest}"


def _lost_facts(_: Ground, answer: Answer) -> Iterator[str]:
    """Numbers of the author's answer that are not stated, and a yes where he says no."""
    wanted = _new(answer.reference or "", answer.question)
    said = quantities(answer.text)
    lost = [one for one in wanted if not any(one.agrees(other) for other in said)]
    yes = polarity(answer.reference or "")
    turned = yes is not None and polarity(answer.text) == (not yes)
    if lost or turned:
        named = [_written(one) for one in lost[:_MOST_NAMED]] + (["..."] if len(lost) > _MOST_NAMED else [])
        parts = [f"{len(lost)} of {len(wanted)} numbers ({', '.join(named)})"] if lost else []
        yield "; ".join([*parts, *([f"says {'no' if yes else 'yes'} where the author says the opposite"] * turned)])


def _new(text: str, question: str) -> list[Quantity]:
    asked = quantities(question)
    return [one for one in quantities(text) if not any(one.agrees(other) for other in asked)]


def _written(one: Quantity) -> str:
    return f"{one.value:g}{'' if one.unit is None else ' ' + one.unit}"


def _length(ground: Ground, answer: Answer) -> Iterator[str]:
    if ground.lengths is None or answer.reference is None:  # the author's range is that of answers to such questions
        return
    low, high = ground.lengths
    count = len(words(answer.text))
    if not low <= count <= high:
        yield f"{count_of(count, 'word')}; the author writes {low:.0f} to {high:.0f}"


def _failed(ground: Ground, answer: Answer) -> Iterator[str]:
    """Checks of the prompt, where it has some."""
    for prompt in ground.material.prompts:
        if prompt.id == answer.example:
            for check in prompt.failed(answer.text):
                yield f"{check.name} {check.argument}"


BADGES: tuple[tuple[str, Rule], ...] = (
    ("never stops", _no_stop),
    ("loops", _loop),
    ("leaks", _leak),
    ("copied", _copied),
    ("lost facts", _lost_facts),
    ("odd length", _length),
    ("fails check", _failed),
)


def badges(ground: Ground, answer: Answer) -> tuple[Badge, ...]:
    """All that an answer earns, in the order of `BADGES`."""
    return tuple(
        Badge(kind, f"{kind}: {detail}" if detail else kind) for kind, rule in BADGES for detail in rule(ground, answer)
    )
