"""What a run must not have broken before it may be shipped, whatever its loss or style.

Owns: the gates in their order (broken output, then forgetting and persona, then facts), each passed, failed, undecided
or not measured. Must not: rank.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from runoff.comparison.evidence import Evidence
from runoff.comparison.facts import Sentence
from runoff.comparison.statistics import Outcome, PairedDifference
from runoff.comparison.yardstick import Yardstick
from runoff.evaluation import Estimate
from runoff.words import owned, signed

__all__ = ["REQUIREMENTS", "Required", "required", "unmeasured", "unmeasured_of"]

Status = Literal["passed", "failed", "undecided"]

BROKEN_POINTS = 0.03
KEPT_SHARE = 0.95
COUNTING_ERROR = 1e-6


@dataclass(frozen=True, slots=True)
class Required:
    """One gate's answer for one run."""

    gate: str
    label: str
    status: Status
    sentence: Sentence

    @property
    def failed(self) -> bool:
        """Whether the run must not be shipped for it; what is undecided holds nobody back."""
        return self.status == "failed"


def not_broken(evidence: Evidence) -> Iterator[Required]:
    """The upper limit of the rate of broken answers is at most the base's plus 3 points."""
    found = evidence.measures.get("broken")
    if found is None or found.base.value is None:
        return
    limit = found.base.value + BROKEN_POINTS
    for label, rate in found.values.items():
        if rate.value is None or rate.low is None or rate.high is None:
            continue
        status: Status = "passed" if rate.high <= limit else "failed" if rate.low > limit else "undecided"
        text = (
            f"{label}: {_part(rate, '', 'answers are broken')}95 % interval {_percent(rate.low)} to "
            f"{_percent(rate.high)}; base {_percent(found.base.value)}, at most {_points(BROKEN_POINTS)} points above "
            f"it allowed): {_WORDS[status]}."
        )
        yield Required("broken output", label, status, Sentence(text, (f"{label}.measures.broken",)))


def kept_abilities(evidence: Evidence) -> Iterator[Required]:
    """Of what the base could do, at least 95 % is kept."""
    found = evidence.measures.get("retention")
    if found is None:
        return
    for label, kept in found.values.items():
        if kept.value is None or kept.low is None or kept.high is None:
            continue
        status: Status = "passed" if kept.low >= KEPT_SHARE else "failed" if kept.high < KEPT_SHARE else "undecided"
        text = (
            f"{label} still passes {_part(kept, 'the ', 'general prompts that the base passes')}95 % interval "
            f"{_percent(kept.low)} to {_percent(kept.high)}; wanted {_percent(KEPT_SHARE)}): {_WORDS[status]}."
        )
        yield Required("forgetting", label, status, Sentence(text, (f"{label}.measures.retention",)))


def persona_at_home(evidence: Evidence) -> Iterator[Required]:
    """The persona of the training answers does not spread over prompts of another subject."""
    found = evidence.measures.get("persona_bleed")
    if found is None:
        return
    for label, pair in _against_base(found):
        ends = pair.interval(0.95)
        if ends is None or pair.difference.value is None:
            continue
        status: Status = "failed" if ends[0] > found.margin else "passed" if ends[1] <= found.margin else "undecided"
        text = (
            f"The share of {pair.n} general prompts that {label} answers in persona is "
            f"{_points(abs(pair.difference.value))} percentage points "
            f"{'above' if pair.difference.value >= 0 else 'below'} the base's (95 % interval {_points(ends[0])} to "
            f"{_points(ends[1])}; at most {_points(found.margin)} above allowed): {_WORDS[status]}."
        )
        yield Required("persona", label, status, Sentence(text, (f"{label}.measures.persona_bleed",)))


def facts_not_worse(evidence: Evidence) -> Iterator[Required]:
    """Agreement with the author's facts is not shown to be worse than the base's."""
    found = evidence.measures.get("facts")
    if found is None:
        return
    for label, pair in _against_base(found):
        outcome = found.outcome(pair)
        if pair.difference.value is None:
            continue
        worse = outcome is Outcome.WORSE and -found.advantage(pair) > 0
        status: Status = "failed" if worse else "undecided" if outcome is Outcome.INSUFFICIENT else "passed"
        ends = pair.interval(0.95)
        interval = f"; 95 % interval {signed(ends[0], 3)} to {signed(ends[1], 3)}" if ends else ""
        text = (
            f"{owned(label)} agreement with the author's facts differs from the base's by "
            f"{signed(pair.difference.value, 3)} ({found.unit}{interval}; {pair.n} answers): {_WORDS[status]}."
        )
        yield Required("facts", label, status, Sentence(text, (f"{label}.measures.{found.key}",)))


REQUIREMENTS: tuple[Callable[[Evidence], Iterator[Required]], ...] = (
    not_broken,
    kept_abilities,
    persona_at_home,
    facts_not_worse,
)

_WORDS: dict[Status, str] = {"passed": "passed", "failed": "failed", "undecided": "can't be decided with these answers"}


def required(evidence: Evidence) -> tuple[Required, ...]:
    """Every gate's answer for every run that was measured for it; of a run that was not it says nothing."""
    alone = [replace(evidence, measures=measures) for measures in evidence.apart.values()]
    return tuple(found for check in REQUIREMENTS for some in (evidence, *alone) for found in check(some))


def _against_base(found: Yardstick) -> Iterator[tuple[str, PairedDifference]]:
    """In the order of the runs."""
    return ((label, found.against_base[label]) for label in found.values if label in found.against_base)


def _part(rate: Estimate, the: str, noun: str) -> str:
    """`13 of 16 answers ...`: of few, the count says more than its share, which stands behind it."""
    value = rate.value or 0.0
    count = round(value * rate.n)
    if abs(count - value * rate.n) > COUNTING_ERROR:  # no plain share of n
        return f"{_percent(value)} of {the}{rate.n} {noun} ("
    return f"{count} of {the}{rate.n} {noun} ({_percent(value)}, "


def _points(share: float) -> str:
    """A difference of two shares, in percentage points: a tenth of one is finer than any answer count allows."""
    text = f"{100 * share:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def unmeasured_of(evidence: Evidence, labels: Iterable[str]) -> tuple[str, ...]:
    """What nobody looked at in one of these runs or more; without runs, what nobody looked at."""
    looked: list[Mapping[str, Yardstick]] = [
        {**evidence.measures, **evidence.apart.get(label, {})} for label in labels
    ] or [evidence.measures]
    return tuple(dict.fromkeys(title for measures in looked for title in unmeasured(measures)))


def unmeasured(measures: Mapping[str, Yardstick]) -> tuple[str, ...]:
    """What nobody looked at."""
    wanted = {
        "style": "style",
        "facts": "facts in generated answers",
        "retention": "what was forgotten",
        "broken": "broken output",
    }
    return tuple(title for key, title in wanted.items() if key not in measures)
