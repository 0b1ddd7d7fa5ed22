"""Evaluation as a whole on the fake engine: what is scored, left out, stored, and not computed twice."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.support.fake_engine import FakeBase, FakeEngine
from tests.support.runs import chat_row, fake_train, make_config, make_data, write_rows

from runoff.data import load_rows
from runoff.engines.generation import batches, generate
from runoff.engines.scoring import ScoredRow
from runoff.errors import DataError
from runoff.evaluation import Answering, Evaluation, evaluate, held_out_loss, load_evaluations
from runoff.evaluation.evaluate import largest_in_common
from runoff.files import write_json
from runoff.plan import AdapterSpec
from runoff.runs import Run, load_run

FEW = Answering(questions=4, training_questions=4, suite=False)


@pytest.fixture
def runs(tiny_model: Path, tmp_path: Path) -> list[Run]:
    data = make_data(tmp_path / "data")
    write_rows(data / "test.jsonl", [chat_row(number) for number in range(30, 42)])
    return [
        fake_train(make_config(tiny_model, data, iters=iters), name, tmp_path / "runs")
        for name, iters in (("long", 20), ("short", 4))
    ]


class NoBase(FakeBase):
    """A base that must not be used."""

    def attach(self, spec: AdapterSpec | None, *, seed: int = 0, checkpointing: bool = False) -> FakeEngine:
        pytest.fail("nothing was left to compute")


def test_every_run_and_the_base_are_scored_on_every_answer(runs: list[Run]) -> None:
    found = evaluate(runs, base=FakeBase())
    assert [one.run for one in found] == ["long", "short"]
    assert all(len(one.rows) == len(one.base_rows) == 12 for one in found)
    base, long = held_out_loss(found[0].base_rows).value, held_out_loss(found[0].rows).value
    assert base is not None
    assert long is not None
    assert long < base
    assert found[0].base_rows == found[1].base_rows


def test_what_is_stored_is_not_computed_again(runs: list[Run]) -> None:
    first = evaluate(runs, base=FakeBase(), answering=FEW)
    assert evaluate(runs, base=NoBase(), answering=FEW) == first


def test_an_evaluation_of_another_adapter_does_not_count(runs: list[Run]) -> None:
    evaluate(runs, base=FakeBase())
    (runs[0].folder.adapter / "note.txt").write_text("changed")
    assert load_evaluations(runs[0]) == []
    assert len(load_evaluations(runs[1])) == 1


def test_rows_that_a_run_was_trained_on_are_left_out_and_named(runs: list[Run], tmp_path: Path) -> None:
    said: list[str] = []
    leaky = write_rows(tmp_path / "leaky.jsonl", [chat_row(2), chat_row(30), chat_row(3), chat_row(31)])
    (one, _) = evaluate(runs, leaky, base=FakeBase(), say=said.append)
    assert [row.row for row in one.rows] == [2, 4]
    assert sorted(one.test["left_out"]) == ["1", "3"]
    assert f"2 rows of {leaky} are left out, since long was trained on them: lines 1, 3." in said


def test_a_test_set_of_training_rows_is_refused(runs: list[Run], tmp_path: Path) -> None:
    leaky = write_rows(tmp_path / "leaky.jsonl", [chat_row(1), chat_row(2)])
    with pytest.raises(DataError, match="every row of it is among the training rows of"):
        evaluate(runs, leaky, base=FakeBase())


def test_no_test_set_is_one_sentence(runs: list[Run], tmp_path: Path) -> None:
    (tmp_path / "data" / "test.jsonl").unlink()
    with pytest.raises(DataError, match=r"there is no test set beside the training data\. Name one: runoff evaluate"):
        evaluate(runs, base=FakeBase())


def test_answers_are_measured_and_kept_beside_each_run(runs: list[Run]) -> None:
    found = evaluate(runs, base=FakeBase(), answering=FEW)
    measures = found[0].measures
    assert {"style", "broken", "facts", "copied"} <= set(measures)
    assert len(found[0].answers()) == len(found[0].answers(base=True)) == 4
    assert measures["retention"].run.value is None
    assert measures["retention"].run.unknown


def test_an_interrupted_evaluation_goes_on_where_it_was(runs: list[Run], monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of three rows: what an interrupted one gives is what an uninterrupted one gives, and nothing twice."""
    from runoff.evaluation import asking

    sizes: list[int] = []
    dies_at = 4

    def counted(engine: Any, prompts: Sequence[Any], *rest: Any) -> Any:
        if len(sizes) == dies_at:
            raise KeyboardInterrupt
        sizes.append(len(prompts))
        return generate(engine, prompts, *rest)

    monkeypatch.setattr(asking, "batches", partial(batches, rows=3))
    monkeypatch.setattr(asking, "generate", counted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(runs, base=FakeBase(), answering=FEW)
    dies_at = 1000
    resumed = evaluate(runs, base=FakeBase(), answering=FEW)
    assert sum(sizes) == 4 * 4  # the base on test and training questions, both runs on test questions
    for run in runs:
        shutil.rmtree(run.folder.evaluation(resumed[0].key).parent)
    whole_again = evaluate(runs, base=FakeBase(), answering=FEW)
    assert [one.answers() for one in whole_again] == [one.answers() for one in resumed]
    assert [one.measures for one in whole_again] == [one.measures for one in resumed]


def test_two_prompts_of_one_name_are_refused(runs: list[Run], tmp_path: Path) -> None:
    from runoff.evaluation.suite import general_prompts

    taken = general_prompts()[0].id
    (tmp_path / "own.yaml").write_text(
        f"prompts:\n- id: {taken}\n  ask: Hello?\n  category: mine\n  checks: [{{contains: hi}}]\n"
    )
    with pytest.raises(DataError, match=f"the id {taken} is taken by another prompt"):
        evaluate(runs, base=FakeBase(), answering=Answering(prompts=tmp_path / "own.yaml"))


def stored(**rows: int) -> dict[str, Evaluation]:
    """A run's evaluations by key, of so many rows."""
    one = ScoredRow(1, None, "f" * 64, 2.0, 1, 0.1)
    return {key: Evaluation("run", key, {}, {}, "", (one,) * count, ()) for key, count in rows.items()}


def test_runs_are_held_against_each_other_on_the_largest_test_set_that_all_have() -> None:
    assert largest_in_common([stored(small=2, large=3, own=9), stored(large=3, small=2)]) == "large"
    assert largest_in_common([stored(one=2, two=2), stored(two=2, one=2)]) == "two"
    assert largest_in_common([stored(one=2), stored(two=2)]) is None
    assert largest_in_common([stored(one=2), stored()]) is None


def other_rows(runs: list[Run], tmp_path: Path) -> list[Run]:
    """The second run as if it had been trained on other rows, which are at hand."""
    path = write_rows(tmp_path / "other.jsonl", [chat_row(number) for number in range(50, 60)])
    rows = load_rows(path, name="train").rows
    body = json.loads(runs[1].folder.identity.read_text("utf-8"))
    body["data"]["train"] |= {"place": str(path), "sha256": "0" * 64, "row_sha256": [row.sha256[:16] for row in rows]}
    write_json(runs[1].folder.identity, body)
    return [runs[0], load_run(runs[1].folder.path)]


def test_a_measure_knows_how_it_was_taken(runs: list[Run], tmp_path: Path) -> None:
    apart = other_rows(runs, tmp_path)
    one, other = (evaluate([run], base=FakeBase(), answering=FEW)[0].measures for run in apart)
    for key in ("copied", "style", "facts", "persona_bleed"):
        assert one[key].taken["training rows"] != other[key].taken["training rows"]
    assert one["copied"].taken.keys() == {"temperature", "longest answer", "training rows"}
    assert one["no_stop"].taken == other["no_stop"].taken == {"temperature": 0.0, "longest answer": 108}
    assert one["end_chance"].taken == {}


def test_runs_that_are_measured_together_are_measured_alike_whatever_their_order(
    runs: list[Run], tmp_path: Path
) -> None:
    pair = other_rows(runs, tmp_path)
    first = {one.run: one.measures for one in evaluate(pair, base=FakeBase(), answering=FEW)}
    assert {key: one.taken for key, one in first["long"].items()} == {
        key: one.taken for key, one in first["short"].items()
    }
    assert {one.run: one.measures for one in evaluate(pair[::-1], base=FakeBase(), answering=FEW)} == first


def test_drawn_answers_are_taken_with_their_seed(runs: list[Run]) -> None:
    wanted = Answering(questions=4, training_questions=4, suite=False, sampled_temperature=0.7, seed=5)
    measures = evaluate(runs, base=FakeBase(), answering=wanted)[0].measures
    drawn = {"temperature": 0.7, "top-p": 0.95, "seed": 5, "longest answer": 108}
    assert measures["broken_sampled"].taken == drawn
    assert "seed" not in measures["broken"].taken
