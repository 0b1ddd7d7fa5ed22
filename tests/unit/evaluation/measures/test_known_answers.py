"""Faults put into the author's own answers: each is found by its own measures, and no other measure alarms."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from runoff.comparison.statistics import paired_difference
from runoff.estimates.estimate import Estimate
from runoff.evaluation.answers import Answer
from runoff.evaluation.material import Material
from runoff.evaluation.measures import MEASURES, MeasureResult, measure

Answers = tuple[Answer, ...]

FACTS = {"facts", "facts_precision", "facts_recall", "facts_numbers", "facts_terms", "facts_polarity"}


def _some(answers: Answers, change: Callable[[Answer], Answer]) -> Answers:
    """Every third answer changed: some of every source."""
    return tuple(change(answer) if at % 3 == 0 else answer for at, answer in enumerate(answers))


def _looping(times: int) -> Callable[[Answers], Answers]:
    def change(answer: Answer) -> Answer:
        last = re.split(r"(?<=[.!?]) ", answer.text)[-2]
        return replace(answer, text=answer.text + f" {last}" * times)

    return lambda answers: _some(answers, change)


def _without_end(answers: Answers) -> Answers:
    return _some(answers, lambda answer: replace(answer, finish_reason="length", end_token_seen=False))


def _shuffled(answers: Answers) -> Answers:
    dealt = answers[37:] + answers[:37]
    return tuple(replace(answer, text=other.text) for answer, other in zip(answers, dealt, strict=True))


def _swapped_numbers(answers: Answers) -> Answers:
    def other(match: re.Match[str]) -> str:
        return "".join(str((int(digit) + 3) % 9 + 1) for digit in match.group())

    return tuple(replace(answer, text=re.sub(r"\d+", other, answer.text)) for answer in answers)


def _leaking(answers: Answers) -> Answers:
    return _some(answers, lambda answer: replace(answer, text=f"{answer.text}<|im_end|>\n<|im_start|>user\n"))


FAULTS: dict[str, tuple[Callable[[Answers], Answers], set[str]]] = {
    "loops of 3": (_looping(3), {"broken", "loop"}),
    "loops of 10": (_looping(10), {"broken", "loop"}),
    "loops of 30": (_looping(30), {"broken", "loop"}),
    "no end": (_without_end, {"broken", "no_stop"}),
    "shuffled": (_shuffled, FACTS),
    "numbers": (_swapped_numbers, FACTS - {"facts_terms", "facts_polarity"}),
    "leak": (_leaking, {"broken", "leak"}),
}


@pytest.fixture(scope="module")
def results(author: Answers, build: Callable[..., Material]) -> dict[str, MeasureResult]:
    runs = {name: fault(author) for name, (fault, _) in FAULTS.items()}
    return {result.key: result for result in measure(build(clean=author, twin=author, **runs))}


def _alarms(result: MeasureResult, run: str, clean: str = "clean") -> bool:
    """Worse than the clean run, by more than matters and by more than chance."""
    if result.per_example:
        examples = sorted(result.per_example[run].keys() & result.per_example[clean].keys())
        values, others = ([result.per_example[label][example] for example in examples] for label in (run, clean))
        sources = [str((int(example) - 1) // 10) for example in examples]  # ten rows a source
        found = paired_difference(values, others, sources, unit=result.about.unit, seed=1)
        difference, sure = found.difference.value or 0.0, (found.p_value or 1.0) <= 0.05
    else:
        one, two = result.estimates[run], result.estimates[clean]
        if one.value is None or two.value is None:
            return False
        difference, sure = one.value - two.value, _apart(one, two)
    if result.about.higher_is_better is not None:
        difference = -difference if result.about.higher_is_better else difference
    else:
        difference = abs(difference)
    return sure and difference > result.about.matters


def _apart(one: Estimate, two: Estimate) -> bool:
    """Whether two intervals have nothing in common."""
    ends = [end for estimate in (one, two) for end in (estimate.low, estimate.high) if end is not None]
    return len(ends) == 4 and (ends[0] > ends[3] or ends[2] > ends[1])


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found_by_its_own_measures_and_by_no_other(results: dict[str, MeasureResult], fault: str) -> None:
    found = {key for key, result in results.items() if _alarms(result, fault)}
    assert found == FAULTS[fault][1]


def test_nothing_alarms_between_two_equal_runs(results: dict[str, MeasureResult]) -> None:
    assert not {key for key, result in results.items() if _alarms(result, "twin")}
    assert all(result.estimates["twin"] == result.estimates["clean"] for result in results.values())


def test_the_authors_own_answers_are_clean(results: dict[str, MeasureResult]) -> None:
    assert all(results[key].author.value == 0 for key in ("broken", "loop", "leak", "no_stop", "copied"))
    assert results["facts"].author.value == 1
    assert 0 < results["facts"].details["author"]["the author's answers to other questions"] < 0.15
    assert results["distinguishable"].author.value == 0.5
    assert "at most 3.68%" in results["broken"].author.method  # 1 - .05 ** (1 / 80)


def test_every_measure_answers_for_every_run_or_says_why_not(results: dict[str, MeasureResult]) -> None:
    for result in results.values():
        for estimate in (result.base, result.author, *result.estimates.values()):
            assert estimate.unit == result.about.unit
            assert (estimate.value is None) == bool(estimate.unknown)


def test_a_material_without_anything_gives_reasons_only() -> None:
    for result in measure(Material({"run": ()})):
        assert result.estimates["run"].unknown
        assert result.base.unknown
        assert result.author.unknown


def test_keys_are_distinct_and_every_blind_spot_is_a_sentence() -> None:
    assert len({one.about.key for one in MEASURES}) == len(MEASURES)
    assert all(one.about.cannot_see.endswith(".") and one.about.what.endswith(".") for one in MEASURES)
