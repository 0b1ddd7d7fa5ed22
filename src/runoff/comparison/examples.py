"""The examples that tell most: where the leader is furthest ahead of the next run, and where it is furthest behind.

Owns: the choice, and what each said there. Both sides are always shown, so that nobody reads the flattering half. Must
not: rank runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from runoff.comparison.evidence import Evidence
from runoff.comparison.facts import Side
from runoff.engines.scoring import ScoredRow
from runoff.evaluation import Evaluation
from runoff.evaluation.answers import Answer
from runoff.evaluation.gather import together, trained_on
from runoff.evaluation.material import BASE, Material
from runoff.evaluation.side_by_side import REFERENCE, Prompted, grounds, prompted
from runoff.runs import Run

__all__ = ["EACH", "Told", "examples"]

EACH = 2
"""Examples of either kind at most."""


@dataclass(frozen=True)
class Told:
    """One example of the leader and the next best run.

    ahead: whether the leader is. among: questions that it was chosen from. losses: nats per target token of the
    author's answer, by label. said: the author's answer and what was generated; without generated answers the author's
    alone, held against nothing.
    """

    leader: str
    rival: str
    ahead: bool
    source: str
    losses: Mapping[str, float]
    said: Prompted
    among: int


def examples(evidence: Evidence, sides: Mapping[str, Side]) -> tuple[Told, ...]:
    """The most convincing and the most contrary ones; none where the questions were not kept or nothing differs.

    sides: by the labels of the evidence; of runs that stand for a setting, the one whose answers are shown.
    """
    loss = evidence.loss
    leader = loss.leader if loss else None
    if loss is None or leader is None:
        return ()
    rival = min((label for label in loss.values if label != leader), key=lambda label: loss.values[label].value or 0.0)
    one, other = evidence.evaluations[leader], evidence.evaluations[rival]
    scored = {BASE: _losses(one.base_rows), leader: _losses(one.rows), rival: _losses(other.rows)}
    lead = {sha256: value - scored[rival][sha256] for sha256, value in scored[leader].items()}
    shown = _Shown(one, {leader: one, rival: other}, {label: sides[label].run for label in (leader, rival)})
    order = sorted(shown.of(lead), key=lambda sha256: (lead[sha256], sha256))
    ahead = [sha256 for sha256 in order[:EACH] if lead[sha256] < 0]
    behind = [sha256 for sha256 in reversed(order[-EACH:]) if lead[sha256] > 0]
    return tuple(
        Told(
            leader,
            rival,
            lead[sha256] < 0,
            shown.sources[sha256] or "not named",
            {label: losses[sha256] for label, losses in scored.items()},
            shown.said(sha256),
            len(order),
        )
        for sha256 in [*ahead, *behind]
    )


class _Shown:
    """What the author, the base and two runs said; read once for all examples."""

    def __init__(self, one: Evaluation, evaluations: Mapping[str, Evaluation], runs: Mapping[str, Run]) -> None:
        self.asked = one.examples()
        self.sources = {row.sha256: row.source for row in one.rows}
        found = {BASE: one.answers(base=True), **{label: each.answers() for label, each in evaluations.items()}}
        self.answers = {label: {answer.example: answer for answer in some} for label, some in found.items()}
        # Without generated answers nothing can have been copied.
        own = trained_on(runs) if any(found.values()) else {}
        self.grounds = grounds(Material({}, together(own)), own, (REFERENCE, *found))

    def of(self, hashes: Iterable[str]) -> list[str]:
        """Those whose question was kept; where answers were generated, those that all three answered."""
        kept = [sha256 for sha256 in hashes if sha256 in self.asked]
        return [one for one in kept if all(one[:16] in some for some in self.answers.values())] or kept

    def said(self, sha256: str) -> Prompted:
        """The author first."""
        asked, example = self.asked[sha256], sha256[:16]
        author = Answer(example, self.sources[sha256], asked.question, asked.reference, asked.reference)
        given = {label: some[example] for label, some in self.answers.items() if example in some}
        return prompted({REFERENCE: author, **given}, self.grounds)


def _losses(rows: Sequence[ScoredRow]) -> dict[str, float]:
    """Nats per target token, by the row's hash."""
    return {row.sha256: row.nats / row.target_tokens for row in rows}
