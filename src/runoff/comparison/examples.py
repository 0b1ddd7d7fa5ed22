"""The examples that tell most: where the leader is furthest ahead of the next run, and where it is furthest behind.

Owns: the choice. Both sides are always shown, so that nobody reads the flattering half. Must not: rank runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from runoff.comparison.evidence import Evidence

__all__ = ["Told", "examples"]

EACH = 2


@dataclass(frozen=True)
class Told:
    """One example. losses: nats per target token of the author's answer, by label. answers: generated ones, if any."""

    kind: str
    source: str
    question: str
    reference: str
    losses: Mapping[str, float]
    answers: Mapping[str, str]


def examples(evidence: Evidence) -> tuple[Told, ...]:
    """The most convincing and the most contrary ones; none where the questions were not kept or nothing differs."""
    loss = evidence.loss
    leader = loss.leader if loss else None
    if loss is None or leader is None:
        return ()
    rival = min((label for label in loss.values if label != leader), key=lambda label: loss.values[label].value or 0.0)
    first = {row.sha256: row.nats / row.target_tokens for row in evidence.evaluations[leader].rows}
    second = {row.sha256: row.nats / row.target_tokens for row in evidence.evaluations[rival].rows}
    order = sorted(first, key=lambda sha256: (first[sha256] - second[sha256], sha256))
    ahead = [sha256 for sha256 in order[:EACH] if first[sha256] < second[sha256]]
    behind = [sha256 for sha256 in reversed(order[-EACH:]) if first[sha256] > second[sha256]]
    return (
        *_told(evidence, f"For {leader} against {rival}", ahead),
        *_told(evidence, f"Against {leader}, for {rival}", behind),
    )


def _told(evidence: Evidence, kind: str, chosen: Sequence[str]) -> Iterator[Told]:
    leader = next(iter(evidence.evaluations.values()))
    known, base_answers = leader.examples(), leader.answers(base=True)
    answers = {label: one.answers() for label, one in evidence.evaluations.items()}
    for sha256 in chosen:
        if sha256 not in known:
            continue
        row = next(row for row in leader.rows if row.sha256 == sha256)
        base = next(row for row in leader.base_rows if row.sha256 == sha256)
        losses = {"base": base.nats / base.target_tokens}
        for label, one in evidence.evaluations.items():
            own = next(row for row in one.rows if row.sha256 == sha256)
            losses[label] = own.nats / own.target_tokens
        written = {label: one.get(sha256[:16]) for label, one in {"base": base_answers, **answers}.items()}
        yield Told(
            kind,
            row.source or "not named",
            known[sha256].question,
            known[sha256].reference,
            losses,
            {label: text for label, text in written.items() if text is not None},
        )
