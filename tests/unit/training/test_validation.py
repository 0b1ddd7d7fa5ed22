"""Which held-out rows are scored, in which batches, and what is kept of each."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.fake_engine import FakeBase
from tests.support.runs import fake_train, make_config, make_data, of_kind

from runoff.data import Encoded
from runoff.training import prepare
from runoff.training.validation import make_validator


@pytest.fixture
def examples(tiny_model: Path, tmp_path: Path) -> tuple[Encoded, ...]:
    return prepare(make_config(tiny_model, make_data(tmp_path / "many", valid=21))).data.valid


def numbers(validator: object) -> list[int]:
    return sorted(example.row.number for batch in validator.batches for example in batch.examples)  # type: ignore[attr-defined]


def test_the_whole_set_is_scored_by_default(tiny_model: Path, examples: tuple[Encoded, ...], tmp_path: Path) -> None:
    validator = make_validator(examples, make_config(tiny_model, tmp_path).settings)
    assert validator.rows == 21
    assert numbers(validator) == list(range(1, 22))


def test_a_part_is_drawn_by_the_seed_once_and_stays(
    tiny_model: Path, examples: tuple[Encoded, ...], tmp_path: Path
) -> None:
    def drawn(seed: int) -> list[int]:
        return numbers(make_validator(examples, make_config(tiny_model, tmp_path, val_batches=3, seed=seed).settings))

    assert len(drawn(0)) == 6
    assert drawn(0) == drawn(0)
    assert len({tuple(drawn(seed)) for seed in range(5)}) > 1


def test_rows_come_back_in_row_order_with_their_own_nats(tiny_model: Path, examples: tuple[Encoded, ...]) -> None:
    validator = make_validator(examples, make_config(tiny_model, Path("unused")).settings)
    engine = FakeBase().attach(None)
    scored = validator.score(engine)
    assert [row.row for row in scored] == list(range(1, 22))
    by_number = {example.row.number: example for example in examples}
    for row in scored:
        assert row.target_tokens == by_number[row.row].target_tokens
        assert row.sha256 == by_number[row.row].row.sha256
        assert row.nats == pytest.approx(row.target_tokens * 3.4657359, rel=1e-6)
        assert row.end_nats == pytest.approx(3.4657359, rel=1e-6)


def test_val_batches_of_the_run_are_what_the_plan_says(tiny_model: Path, tmp_path: Path) -> None:
    data = make_data(tmp_path / "data", valid=9)
    run = fake_train(make_config(tiny_model, data, val_batches=2), "part", tmp_path / "runs")
    assert run.plan.counts["validation_rows"].value == 4
    assert {row.rows for row in of_kind(run, "validation")} == {4}
    drawn = {tuple(row["row"] for row in run.validation_rows(iteration)) for iteration in (0, 6, 12, 18, 20)}
    assert len(drawn) == 1


def test_val_batches_0_means_no_validation(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    run = fake_train(make_config(tiny_model, tiny_data, val_batches=0), "none", tmp_path / "runs")
    assert run.plan.counts["validations"].value == 0
    assert of_kind(run, "validation") == []
    assert run.identity.status == "finished"


def test_valid_rows_without_a_target_are_left_out_and_counted(
    tiny_model: Path, tiny_data: Path, tmp_path: Path
) -> None:
    starts = [example.target_start for example in prepare(make_config(tiny_model, tiny_data)).data.valid]
    config = make_config(tiny_model, tiny_data, max_seq_length=max(starts))
    ready = prepare(config)
    left_out = starts.count(max(starts))
    assert len(ready.data.valid) == 5 - left_out > 0
    assert ready.plan.data.valid is not None
    assert len(ready.plan.data.valid.rows_without_target) == left_out
    assert ready.plan.counts.validation_rows == 5 - left_out
    run = fake_train(config, "cut", tmp_path / "runs", prepared=ready)
    assert {row.rows for row in of_kind(run, "validation")} == {5 - left_out}


def test_a_valid_set_with_no_target_at_all_is_no_validation(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    rows = (tiny_data / "valid.jsonl").read_text("utf-8").replace("Question", "Question " + "very " * 20)
    (tiny_data / "valid.jsonl").write_text(rows, "utf-8")
    config = make_config(tiny_model, tiny_data, max_seq_length=90)
    ready = prepare(config)
    assert ready.data.valid == ()
    assert (ready.plan.counts.validations, ready.plan.counts.validation_rows) == (0, 0)
    assert fake_train(config, "run", tmp_path / "runs").identity.status == "finished"
