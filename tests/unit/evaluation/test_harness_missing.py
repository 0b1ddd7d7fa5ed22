"""Where lm-evaluation-harness is not installed, or can't have a run, one sentence says so and the rest goes on."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.support.fake_engine import FakeBase
from tests.support.runs import chat_row, fake_train, make_config, make_data, write_rows

from runoff.engines.adapters.folders import write_mlx
from runoff.engines.harness import TaskScore
from runoff.evaluation import evaluate, harness
from runoff.evaluation.harness import run_harness
from runoff.evaluation.stored import load_measures
from runoff.plan import FullSpec, read_model_facts


def test_it_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "lm_eval" else whole(name))
    said: list[str] = []
    assert not run_harness([], [], ["arc_easy"], say=said.append)
    assert said == ['Not run: lm-evaluation-harness is not installed. Install it: pip install "lm_eval[hf]==0.4.13".']


class Standing:
    """In the harness's place, which is not installed everywhere: one task, one question, always right."""

    version, tasks, problems = "1", ("one",), {}  # type: ignore[var-annotated]

    def __init__(self, _tasks: list[str]) -> None: ...

    def scores(self, _model: Path, _adapter: Path | None, tasks: list[str], **_options: object) -> Iterator[object]:
        for task in tasks:
            yield task, [TaskScore(task, "acc", "1", True, 1.0, None, 1, {"0": 1.0})]


def test_a_run_with_whole_weights_is_left_out_and_the_others_go_on(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_data(tmp_path / "data")
    write_rows(data / "test.jsonl", [chat_row(number) for number in range(30, 36)])
    runs = [fake_train(make_config(tiny_model, data), name, tmp_path / "runs") for name in ("whole", "lora")]
    evaluations = evaluate(runs, base=FakeBase())
    facts = read_model_facts(tiny_model)
    for path in runs[0].folder.adapter.iterdir():
        path.unlink()
    spec = FullSpec(facts.block_tensors[-9:])
    write_mlx(runs[0].folder.adapter, spec, np.zeros(spec.trainable_parameters, np.float32), "base", facts.blocks)
    monkeypatch.setattr(harness, "Harness", Standing)
    said: list[str] = []
    assert run_harness(runs, evaluations, ["one"], say=said.append)
    left_out = [text for text in said if text.startswith("Not run: ")]
    assert len(left_out) == 1
    assert left_out[0].startswith(f"Not run: whole: {runs[0].folder.adapter}: holds whole weights")
    assert [bool(load_measures(one.folder).keys() & {"harness_one_acc"}) for one in evaluations] == [False, True]
