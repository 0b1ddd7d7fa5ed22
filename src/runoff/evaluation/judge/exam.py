"""What a judge must know before it counts. Owns: pairs with a known answer, and how many it must get right.

Most small models fail: they prefer what stands first. Must not: judge a run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from runoff.evaluation.answers import Answer
from runoff.evaluation.judge.criteria import Criterion, Question
from runoff.evaluation.judge.deciding import Asker, Decision, Pair
from runoff.evaluation.measures.contrast import propose_pairs

__all__ = ["Exam", "Part", "Sat", "hold_exam"]

SHARE_RIGHT = 0.8
_MOST, _FEWEST, _EQUAL = 10, 4, 5
_FILLER = (
    " That is really all there is to say about it, and it is worth saying once more that it is really all there is to "
    "say about it. As with so many things in life, there is always more that could be said, and then again there is "
    "always less. We hope that this answer, which has now come to its end, was an answer, and that it has an end."
)


@dataclass(frozen=True, slots=True)
class Sat:
    """A question of the exam, as the material has it: the author's own answer, and the base's."""

    question: Question
    base: str


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of exam question."""

    name: str
    right: int
    of: int


@dataclass(frozen=True)
class Exam:
    """The result of one criterion's exam. consistent: pairs on which both orders agree, of those put in both orders.

    author_over_base: what the judge says of the author's answers against the base's, the anchor of its scale.
    """

    parts: tuple[Part, ...]
    consistent: int
    in_both_orders: int
    unreadable: int
    author_over_base: tuple[Decision, ...] = ()

    @property
    def passed(self) -> bool:
        """At least 80 % right in every part, and the same verdict in both orders on at least 80 % of the pairs."""
        enough = bool(self.parts) and self.in_both_orders > 0
        right = all(part.right >= SHARE_RIGHT * part.of for part in self.parts)
        return enough and right and self.consistent >= SHARE_RIGHT * self.in_both_orders

    @property
    def summary(self) -> str:
        """The result in a few words."""
        if not self.parts:
            return "no exam"
        right, of = (sum(getattr(part, name) for part in self.parts) for name in ("right", "of"))
        return f"exam {'passed' if self.passed else 'failed'} with {right} of {of}"

    @property
    def sentence(self) -> str:
        """What came of it."""
        if not self.parts:
            return f"no exam could be held, since fewer than {_FEWEST} questions have an answer of the author's"
        told = "; ".join(f"{part.name}: {part.right} of {part.of}" for part in self.parts)
        word = "passed" if self.passed else "failed"
        unreadable = f"; {self.unreadable} unreadable" if self.unreadable else ""
        return (
            f"exam {word} ({told}; same verdict in both orders: {self.consistent} of {self.in_both_orders}{unreadable}"
            f"; needed: {100 * SHARE_RIGHT:.0f} % of each)"
        )


Right = Callable[[Decision], bool]
Items = Iterator[Pair]


def hold_exam(asker: Asker, criterion: Criterion, material: Sequence[Sat]) -> Exam:
    """Put every part to the judge; parts with fewer than 4 questions are left out."""
    held: list[tuple[str, Right, list[Pair]]] = []
    for name, right, build in _PARTS[criterion.key]:
        pairs = list(build(criterion, material))
        if len(pairs) >= _FEWEST:
            held.append((name, right, pairs))
    if not held or held[0][0] != _PARTS[criterion.key][0][0]:
        return Exam((), 0, 0, 0)
    decisions = asker.decide([pair for _, _, pairs in held for pair in pairs], f"exam in {criterion.key}")
    parts, start = [], 0
    author_over_base: tuple[Decision, ...] = ()
    for name, right, pairs in held:
        own = tuple(decisions[start : start + len(pairs)])
        parts.append(Part(name, sum(right(one) for one in own), len(own)))
        author_over_base = own if name == _OVER_BASE else author_over_base
        start += len(pairs)
    both = [one for one in decisions if len(one.verdicts) == 2]
    unreadable = sum(one.missing for one in decisions)
    return Exam(tuple(parts), sum(one.consistent for one in both), len(both), unreadable, author_over_base)


def _over_base(criterion: Criterion, material: Sequence[Sat]) -> Items:
    for one in material[:_MOST]:
        yield Pair(criterion, one.question, one.question.reference, one.base)


def _over_other(criterion: Criterion, material: Sequence[Sat]) -> Items:
    """The author's answer against his answer to a question half the test set away: same voice, other matter."""
    for at, one in enumerate(material[:_MOST]):
        other = material[(at + len(material) // 2) % len(material)].question.reference
        if other != one.question.reference:
            yield Pair(criterion, one.question, one.question.reference, other)


def _over_false(criterion: Criterion, material: Sequence[Sat]) -> Items:
    """The author's answer against the same with one fact turned around."""
    asked = {one.question.example: one.question for one in material}
    author = [Answer(q.example, q.cluster, q.question, q.reference, q.reference) for q in asked.values()]
    for edit in propose_pairs(author, most_per_answer=1)[:_MOST]:
        question = asked[edit.example]
        turned = edit.before + question.reference[len(edit.before) :].replace(edit.true, edit.false, 1)
        yield Pair(criterion, question, question.reference, turned)


def _padded(criterion: Criterion, material: Sequence[Sat]) -> Items:
    for one in material[: _MOST // 2]:
        yield Pair(criterion, one.question, one.question.reference, one.question.reference + _FILLER)


def _equal(criterion: Criterion, material: Sequence[Sat]) -> Items:
    for one in material[:_EQUAL]:
        yield Pair(criterion, one.question, one.base, one.base)


def _prefers_first(decision: Decision) -> bool:
    return decision.score == 1


def _not_second(decision: Decision) -> bool:
    return decision.score in (0, 1)


def _tie(decision: Decision) -> bool:
    return decision.verdicts == ("TIE",)


_OVER_BASE = "prefers the author's answer to the base's"
_Builder = Callable[[Criterion, Sequence[Sat]], Items]
_PARTS: dict[str, tuple[tuple[str, Right, _Builder], ...]] = {
    "style": (
        (_OVER_BASE, _prefers_first, _over_base),
        ("calls equal answers a tie", _tie, _equal),
    ),
    "correctness": (
        ("prefers the author's answer to his answer to another question", _prefers_first, _over_other),
        ("prefers the author's answer to one with a fact turned around", _prefers_first, _over_false),
        ("does not prefer the author's answer with filler added", _not_second, _padded),
        ("calls equal answers a tie", _tie, _equal),
    ),
}
