"""The gate for continuous integration: is a candidate safe to take in place of the baseline?

Owns: the three answers and their exit codes. A candidate passes when the data rule out that its held-out loss is worse
by the margin (a one-sided test at 5 %), fails when they show that it is worse, and otherwise the evidence does not
suffice. It fails too where the verdict would not ship it: what it must not have broken (comparison/requirements.py)
counts as far as it was measured. Must not: compute statistics.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from runoff.comparison.compare import Comparison
from runoff.comparison.facts import Sentence, Side, listed
from runoff.comparison.requirements import Required, required, unmeasured_of
from runoff.comparison.statistics import Outcome, PairedDifference, minimum_clusters_for, outcome
from runoff.comparison.yardstick import Yardstick
from runoff.errors import RunError
from runoff.words import count_of, owned, signed

__all__ = ["Gate", "GateResult", "gate"]


class Gate(Enum):
    """What the gate says; the value is the exit code (2 is bad input)."""

    PASS = 0
    FAIL = 1
    EVIDENCE_DOES_NOT_SUFFICE = 3


@dataclass(frozen=True)
class GateResult:
    """The worst answer over all candidates, and a sentence for each."""

    answer: Gate
    sentences: tuple[Sentence, ...]


def gate(comparison: Comparison, baseline: str | None = None) -> GateResult:
    """Hold every other run against the baseline (by default the first run).

    Raises:
        RunError: no run of that name is in the comparison.
    """
    loss = comparison.evidence.loss
    labels = list(loss.values) if loss is not None else [side.label for side in comparison.sides]
    chosen = baseline or comparison.baseline or labels[0]
    chosen = next((name for name, group in comparison.groups.items() if chosen in _labels(group)), chosen)
    if chosen not in labels:
        raise RunError(f"--baseline {chosen}: is not one of the compared runs ({', '.join(labels)}).")
    if comparison.blocked or loss is None:
        return GateResult(Gate.EVIDENCE_DOES_NOT_SUFFICE, tuple(check.sentence for check in comparison.blocked))
    candidates = [label for label in labels if label != chosen]
    answers = [_judge(loss, label, chosen) for label in candidates]
    open_gates = [one for one in required(comparison.evidence) if one.status != "passed"]
    answers += [_required(one) for one in open_gates if one.label in candidates]
    result = _worst([answer for answer, _ in answers])
    return GateResult(result, (*(sentence for _, sentence in answers), *_beside(comparison, chosen, open_gates)))


def _required(one: Required) -> tuple[Gate, Sentence]:
    """As in a verdict: what is undecided is said, and holds nobody back."""
    return (Gate.FAIL if one.failed else Gate.PASS), one.sentence


def _beside(comparison: Comparison, baseline: str, open_gates: Sequence[Required]) -> Iterator[Sentence]:
    """That the baseline is no better, and what nobody looked at."""
    failed = [one.gate for one in open_gates if one.failed and one.label == baseline]
    if failed:
        yield Sentence(f"The baseline {baseline} would not pass itself ({listed(failed)}).")
    evidence = comparison.evidence
    left = unmeasured_of(evidence, [label for label in evidence.evaluations if label != baseline])
    if left:
        yield Sentence(f"The gate did not look at {listed(left)}: not measured (runoff evaluate --generate).")


def _labels(group: Sequence[Side]) -> list[str]:
    return [side.label for side in group]


def _judge(loss: Yardstick, label: str, baseline: str) -> tuple[Gate, Sentence]:
    pair, margin = loss.pairs[label, baseline], loss.margin
    ends = pair.interval(0.90)
    cites = (f"held_out.{label}-{baseline}",)
    if pair.exact_zero:
        text = f"{label} passes by held-out loss: it gives every answer the same as {baseline}."
        return Gate.PASS, Sentence(text, cites)
    if ends is None or pair.clusters < minimum_clusters_for():
        are = "is" if pair.clusters == 1 else "are"
        text = f"{label}: {count_of(pair.clusters, 'source')} {are} too few to hold it against {baseline}."
        return Gate.EVIDENCE_DOES_NOT_SUFFICE, Sentence(text, cites)
    if ends[1] < margin:
        by = f"it is worse than {owned(baseline)} by less than {margin:g} {loss.unit}{', if at all' * (ends[0] <= 0)}"
        by = f"it is lower than {owned(baseline)}" if ends[1] < 0 else by
        return Gate.PASS, Sentence(f"{label} passes by held-out loss: {by} ({_ends(pair)}).", cites)
    if outcome(pair, margin) is Outcome.WORSE:
        return Gate.FAIL, Sentence(
            f"{label} fails by held-out loss: it is higher than {owned(baseline)} ({_ends(pair)}).", cites
        )
    text = f"{label}: it can't be ruled out that its held-out loss is worse than {owned(baseline)} by {margin:g} or "
    text += f"more ({_ends(pair)})."
    return Gate.EVIDENCE_DOES_NOT_SUFFICE, Sentence(text, cites)


def _ends(pair: PairedDifference) -> str:
    ends = pair.interval(0.90)
    value = signed(pair.difference.value or 0.0)
    return f"difference {value}, 90 % interval {signed(ends[0])} to {signed(ends[1])}" if ends else ""


def _worst(answers: Sequence[Gate]) -> Gate:
    order = (Gate.FAIL, Gate.EVIDENCE_DOES_NOT_SUFFICE, Gate.PASS)
    return next(answer for answer in order if answer in answers)
