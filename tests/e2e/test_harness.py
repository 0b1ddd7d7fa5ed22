"""lm-evaluation-harness on a tiny random model with a task of our own: its numbers are kept, and nothing runs twice."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.support.fake_engine import FakeBase
from tests.support.runs import chat_row, fake_train, make_config, make_data, write_rows

from runoff.engines.adapters.folders import read_lora, write_mlx, write_peft
from runoff.engines.harness import INSTALL
from runoff.evaluation import Evaluation, evaluate, load_evaluations
from runoff.evaluation.harness import DIMENSION, run_harness
from runoff.evaluation.stored import StoredMeasure
from runoff.plan import read_model_facts
from runoff.runs import Run

pytest.importorskip("lm_eval", reason=f"lm-evaluation-harness is not installed: {INSTALL}")
QUESTIONS = [("2", "1"), ("3", "2"), ("5", "4"), ("7", "6"), ("9", "8"), ("4", "3")]


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Multiple choice on local rows."""
    folder = tmp_path_factory.mktemp("task")
    rows = [{"question": f"After {one}?", "choices": [two, "0"], "answer": 0} for two, one in QUESTIONS]
    data = write_rows(folder / "rows.jsonl", rows)
    body = {
        "task": "what_comes_next",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}, "cache_dir": str(folder / "cache")},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "Question: {{question}}\nAnswer:",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": "{{answer}}",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        "metadata": {"version": 3},
    }
    path = folder / "what_comes_next.yaml"
    path.write_text(json.dumps(body))
    return path


@pytest.fixture(scope="module")
def runs(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Two runs, scored; the second one's adapter as mlx-lm keeps it, and the same."""
    folder = tmp_path_factory.mktemp("harness")
    data = make_data(folder / "data")
    write_rows(data / "test.jsonl", [chat_row(number) for number in range(30, 36)])
    made = [fake_train(make_config(tiny_model, data), name, folder / "runs") for name in ("peft", "mlx")]
    facts = read_model_facts(tiny_model)
    spec, parameters = read_lora(made[0].folder.adapter, facts)
    strong = (np.random.default_rng(3).standard_normal(parameters.shape) * 2).astype(np.float32)
    write_peft(made[0].folder.adapter, spec, strong, str(tiny_model))
    for path in made[1].folder.adapter.iterdir():
        path.unlink()
    write_mlx(made[1].folder.adapter, spec, strong, str(tiny_model), facts.blocks)
    evaluate(made, base=FakeBase())
    _as_if_by_torch(made)
    return made


def _as_if_by_torch(runs: list[Run]) -> None:
    """The fake engine calls its arithmetic float64, which no model is loaded in."""
    for run in runs:
        for path in run.folder.evaluation("").glob("*/evaluation.json"):
            body = json.loads(path.read_text())
            path.write_text(json.dumps(body | {"engine": {"name": "torch", "dtype": "float32"}}))


def found(runs: list[Run]) -> list[Evaluation]:
    return [load_evaluations(run)[0] for run in runs]


def measured(runs: list[Run]) -> list[StoredMeasure]:
    return [one.measures["harness_what_comes_next_acc"] for one in found(runs)]


def test_its_own_numbers_are_kept_beside_ours_and_nothing_runs_twice(
    runs: list[Run], task: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    assert run_harness(runs, found(runs), [str(task), "no_such.yaml"], say=said.append), said
    assert "Not run: no_such.yaml: no such file." in said
    peft, mlx = measured(runs)
    assert peft.dimension == DIMENSION
    assert peft.title.startswith("what_comes_next 3, 6 questions, lm-evaluation-harness 0.")
    assert peft.run.method.startswith("Wilson")
    assert (peft.run, peft.per_example) == (mlx.run, mlx.per_example)
    assert peft.run.n == len(peft.per_example) == 6
    assert any(own != base for own, base in peft.per_example.values()), "the adapter changes an answer"

    import lm_eval

    own = lm_eval.simple_evaluate(
        model="hf",
        model_args={"pretrained": str(tiny_model), "peft": str(runs[0].folder.adapter), "dtype": "float32"},
        tasks=[str(task)],
        device="cpu",
    )
    assert own["results"]["what_comes_next"]["acc,none"] == peft.run.value

    monkeypatch.setattr("runoff.engines.harness.Harness.scores", lambda *_args, **_given: pytest.fail("run again"))
    assert run_harness(runs, found(runs), [str(task)])
    assert measured(runs) == [peft, mlx]


def test_a_task_whose_data_can_not_be_reached_costs_a_sentence(
    runs: list[Run], tmp_path: Path, task: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets.config
    import huggingface_hub.constants

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    away = tmp_path / "away.yaml"
    body = json.loads(task.read_text()) | {"task": "away", "dataset_path": "nobody/has-this-set", "dataset_kwargs": {}}
    away.write_text(json.dumps(body))
    said: list[str] = []
    before = [one.measures for one in found(runs)]
    assert not run_harness(runs, found(runs), [str(away)], say=said.append)
    assert len(said) == 1
    assert said[0].startswith(f"Not run: {away}: its data can't be reached (")
    assert [one.measures for one in found(runs)] == before
