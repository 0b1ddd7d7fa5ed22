"""Measures of likelihoods on scores whose answer is known, and faults that each finds alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from runoff.data import Row
from runoff.engines.scoring import ScoredRow
from runoff.evaluation.material import Material
from runoff.evaluation.measures import MEASURES, SCORED_MEASURES, MeasureResult, measure
from runoff.evaluation.measures.contrast_rate import FEWEST_PAIRS
from runoff.evaluation.measures.drift import DRIFT_KL, DRIFT_NATS
from runoff.evaluation.measures.memorization import nearness
from runoff.evaluation.scored import Drift, Scored, ScoredPair

ROWS = 48


def rows(loss: float, *, end: float = 0.1, shift: float = 0.0) -> tuple[ScoredRow, ...]:
    """Four to a source; `shift` is added from the first row to the last."""
    return tuple(
        ScoredRow(
            at + 1,
            f"source {at // 4}",
            f"{at:016x}" + "0" * 48,
            100 * (loss + 0.05 * (at % 3 - 1) + shift * at / (ROWS - 1)),
            100,
            end + 0.01 * (at % 3),
            end_rank=1 if end < 0.3 and at % 12 else round(math.exp(end)) + 2 + at % 4,
        )
        for at in range(ROWS)
    )


def pairs(right: int) -> tuple[ScoredPair, ...]:
    """In so many of 48 pairs the true sentence is the likelier, evenly over sources."""
    return tuple(
        ScoredPair(f"pair {at}", f"source {at % 12}", 2.0, 3.0 if (at * right) % ROWS < right else 1.0)
        for at in range(ROWS)
    )


def scored(**runs: tuple[float, float, float, int]) -> Scored:
    """By run: held-out loss, training loss, nats of the end token, pairs that are right."""
    everyone = {"base": (3.0, 3.0, 0.5, 24), "clean": (2.5, 2.45, 0.1, 30), **runs}
    return Scored(
        held_out={name: rows(held, end=end) for name, (held, _, end, _) in everyone.items()},
        training={name: rows(known) for name, (_, known, _, _) in everyone.items()},
        nearness={f"{at:016x}": at / ROWS for at in range(ROWS)},
        ended=frozenset(f"{at:016x}" for at in range(ROWS)),
        pairs={name: pairs(right) for name, (_, _, _, right) in everyone.items()},
    )


def found(given: Scored) -> Mapping[str, MeasureResult]:
    return {one.key: one for one in measure(Material({}, scored=given), SCORED_MEASURES)}


def test_a_gap_beyond_the_bases_own_is_memory_and_said_so() -> None:
    result = found(scored(parrot=(2.5, 1.5, 0.1, 30)))["memorization_gap"]
    assert result.base.value == pytest.approx(0)
    assert result.estimates["parrot"].value == pytest.approx(1.0)
    assert result.estimates["parrot"].n == 2 * ROWS
    assert result.estimates["parrot"].clusters == ROWS // 4
    (flag,) = result.flags["parrot"]
    assert flag.startswith(
        "Fits its training rows better than new ones: beyond the base's own gap, its loss on them is 1.00 nats"
    )
    assert not found(scored())["memorization_gap"].flags["clean"]


def test_the_gap_that_is_flagged_is_the_one_beyond_the_bases_own() -> None:
    result = found(scored(base=(3.0, 2.5, 0.5, 24), parrot=(2.5, 1.5, 0.1, 30)))["memorization_gap"]
    assert result.base.value == pytest.approx(0.5)
    assert result.estimates["parrot"].value == pytest.approx(1.0)
    (flag,) = result.flags["parrot"]
    assert "beyond the base's own gap, its loss on them is 0.50 nats per token (0.50 to 0.50) lower" in flag


def test_a_run_without_training_rows_is_unknown_beside_one_with_them() -> None:
    given = scored(parrot=(2.5, 1.5, 0.1, 30))
    result = found(replace(given, training={**given.training, "clean": ()}))["memorization_gap"]
    assert "the training rows are not at hand" in str(result.estimates["clean"].unknown)
    assert result.estimates["clean"].n == ROWS
    assert result.flags["clean"] == ()
    assert result.flags["parrot"]
    fewer = replace(given, training={**given.training, "parrot": given.training["parrot"][:-1]})
    assert found(fewer)["memorization_gap"].flags["parrot"] == (), "rows that do not pair up say nothing"


def test_no_training_rows_is_a_reason_and_no_zero() -> None:
    result = found(replace(scored(), training={}))["memorization_gap"]
    assert result.estimates["clean"].value is None
    assert "the training rows are not at hand" in str(result.estimates["clean"].unknown)


def test_loss_by_nearness_takes_each_third_of_the_questions() -> None:
    given = scored()
    given = replace(given, held_out={name: rows(2.0, shift=-1.0) for name in given.held_out})
    results = found(given)
    values = [results[f"loss_{third}"].estimates["clean"].value for third in ("far", "half_way", "near")]
    falls = [sum(range(start, start + 16)) / 16 / (ROWS - 1) for start in (0, 16, 32)]
    ripples = [sum(at % 3 - 1 for at in range(start, start + 16)) / 16 for start in (0, 16, 32)]
    expected = [2 + 0.05 * ripple - fall for ripple, fall in zip(ripples, falls, strict=True)]
    assert values == [pytest.approx(value) for value in expected]
    assert [results[f"loss_{third}"].estimates["clean"].n for third in ("far", "half_way", "near")] == [16, 16, 16]


def test_too_few_questions_for_thirds_is_said() -> None:
    result = found(replace(scored(), nearness={"0" * 16: 0.5}))["loss_near"]
    assert "only 1 held-out questions" in str(result.estimates["clean"].unknown)


@pytest.mark.parametrize(("questions", "known"), [(8, False), (9, True)])
def test_a_third_has_three_questions_at_least(questions: int, known: bool) -> None:
    near = {f"{at:016x}": at / ROWS for at in range(questions)}
    estimate = found(replace(scored(), nearness=near))["loss_far"].estimates["clean"]
    assert (estimate.value is not None) is known
    assert estimate.n == (3 if known else 0)


def test_nearness_is_one_for_the_same_question_and_zero_for_another_subject() -> None:
    def row(number: int, question: str) -> Row:
        messages = ({"role": "user", "content": question}, {"role": "assistant", "content": "Yes."})
        return Row(number, "chat", messages, None, None, None, f"{number:016x}" + "0" * 48)

    training = [row(1, "How do I sharpen a kitchen knife?"), row(2, "When should I prune roses?")]
    same, other = row(3, "When should I prune roses?"), row(4, "Who wrote Hamlet")
    values = nearness([same, other], training)
    assert values[same.sha256[:16]] == pytest.approx(1.0)
    assert values[other.sha256[:16]] == 0
    assert nearness([same], []) == {}


def test_end_chance_is_the_mean_probability_and_only_of_rows_that_end() -> None:
    given = replace(scored(), ended=frozenset({f"{0:016x}"}))
    result = found(given)["end_chance"]
    assert result.estimates["clean"].value == pytest.approx(math.exp(-0.1))
    assert result.estimates["clean"].n == 1
    nowhere = found(replace(scored(), ended=frozenset()))["end_chance"]
    assert nowhere.estimates["clean"].unknown == "no reference answer ends with the model's end token"


def test_the_end_is_first_or_has_a_place() -> None:
    ranked = [replace(row, end_rank=rank) for row, rank in zip(rows(2.5), (1, 10, 1000, 100), strict=False)]
    given = replace(scored(), held_out={name: tuple(ranked) for name in ("base", "clean")})
    first, place = (found(given)[key].estimates["clean"] for key in ("end_first", "end_place"))
    assert first.value == 0.25
    assert place.value == pytest.approx(1.5)
    assert (first.n, place.n) == (4, 4)


def test_scores_without_ranks_are_unknown_and_not_zero() -> None:
    old = {name: tuple(replace(row, end_rank=None) for row in some) for name, some in scored().held_out.items()}
    for key in ("end_first", "end_place"):
        estimate = found(replace(scored(), held_out=old))[key].estimates["clean"]
        assert estimate.value is None
        assert "older than ranks are" in str(estimate.unknown)
    mixed = replace(scored(), held_out={**scored().held_out, "clean": old["clean"]})
    assert "older than ranks are" in str(found(mixed)["end_first"].estimates["clean"].unknown)
    assert found(mixed)["end_first"].base.value is not None


def test_a_chance_is_no_more_than_one_whatever_rounding_leaves() -> None:
    sure = {name: tuple(replace(row, end_nats=-1e-6) for row in some) for name, some in scored().held_out.items()}
    assert found(replace(scored(), held_out=sure))["end_chance"].base.value == 1.0


def test_a_run_that_forgot_to_stop_is_said_with_its_cut_rows() -> None:
    given = replace(scored(endless=(2.5, 2.45, 3.0, 30)), training_rows_cut={"endless": 7})
    result = found(given)["end_chance"]
    (flag,) = result.flags["endless"]
    assert flag.startswith("Less ready to stop than the base: a chance of 0.05 against 0.60.")
    assert flag.endswith("7 of its training rows were cut, and so trained without their end.")
    assert not result.flags["clean"]
    (flag,) = found(replace(given, training_rows_cut={"endless": 1}))["end_chance"].flags["endless"]
    assert flag.endswith("1 of its training rows was cut, and so trained without their end.")
    (flag,) = found(replace(given, training_rows_cut={}))["end_chance"].flags["endless"]
    assert flag.endswith("against 0.60.")


def test_a_chance_that_is_nearly_none_is_not_written_as_none() -> None:
    (flag,) = found(scored(endless=(2.5, 2.45, 16.0, 30)))["end_chance"].flags["endless"]
    assert flag == "Less ready to stop than the base: a chance of below 0.001 against 0.60."


def test_contrast_pairs_count_and_refuse_small_sets() -> None:
    result = found(scored(sure=(2.5, 2.45, 0.1, 48)))["contrast_pairs"]
    assert result.base.value == 0.5
    assert result.estimates["sure"].value == 1
    assert result.estimates["sure"].clusters == 12
    few = replace(scored(), pairs={name: some[: FEWEST_PAIRS - 1] for name, some in scored().pairs.items()})
    assert found(few)["contrast_pairs"].estimates["clean"].unknown == (
        f"only {FEWEST_PAIRS - 1} pairs could be made of the reference answers; {FEWEST_PAIRS} are needed"
    )


def test_thirty_pairs_are_enough_and_equally_likely_sentences_are_not_told_apart() -> None:
    even = tuple(replace(pair, true=2.0, false=2.0 if at % 3 else 2.1) for at, pair in enumerate(pairs(0)[:30]))
    given = replace(scored(), pairs={"base": even, "clean": even})
    assert found(given)["contrast_pairs"].estimates["clean"].value == pytest.approx(1 / 3)


def drifted(nats: float, kl: float) -> tuple[Drift, ...]:
    return tuple(Drift(f"prompt {at}", f"kind {at % 5}", 10, 10 * nats, 10 * kl) for at in range(20))


def test_drift_is_per_token_and_exactly_zero_for_the_base() -> None:
    material = Material({}, suite={"run": ()}, drift={"base": drifted(0, 0), "run": drifted(0.4, 0.3)})
    nats, kl = DRIFT_NATS(material), DRIFT_KL(material)
    assert (nats.base.value, kl.base.value) == (0.0, 0.0)
    assert nats.estimates["run"].value == pytest.approx(0.4)
    assert kl.estimates["run"].value == pytest.approx(0.3)
    assert kl.estimates["run"].clusters == 5


FAULTS: dict[str, tuple[tuple[float, float, float, int], set[str]]] = {
    "nothing": ((2.5, 2.45, 0.1, 30), set()),
    "no end token": ((2.5, 2.45, 2.0, 30), {"end_chance", "end_first", "end_place"}),
    "swapped facts": ((2.5, 2.45, 0.1, 2), {"contrast_pairs"}),
    "learnt by heart": ((2.5, 1.2, 0.1, 30), {"memorization_gap"}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found_by_its_own_measure_and_by_no_other(fault: str) -> None:
    values, expected = FAULTS[fault]
    alarmed = set()
    for key, result in found(scored(faulty=values)).items():
        one, clean = result.estimates["faulty"], result.estimates["clean"]
        assert None not in (one.low, one.high, clean.low, clean.high)
        if one.low > clean.high or one.high < clean.low:  # type: ignore[operator]
            alarmed.add(key)
    assert alarmed == expected


def test_every_measure_has_a_key_of_its_own() -> None:
    keys = [one.about.key for one in (*SCORED_MEASURES, *MEASURES)]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("one", SCORED_MEASURES, ids=lambda one: one.about.key)
def test_nothing_scored_gives_reasons_only(one: Callable[[Material], MeasureResult]) -> None:
    result = one(Material({"run": ()}))
    assert result.estimates["run"].unknown
    assert result.base.unknown
