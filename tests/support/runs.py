"""Small data folders, configs and trainings on the tiny model and the fake engine."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from runoff.config import Config, parse_config
from runoff.runs import MetricRow, Run
from runoff.training import Listener, Tick, train
from runoff.training.state import load_checkpoint
from tests.support.fake_engine import FakeBase

TEXT = "keep the bread tin warm and let it rest for an hour before the second fold of the dough"
WORDS = TEXT.split()


def chat_row(number: int) -> dict[str, Any]:
    """A question and an answer of differing lengths; three rows share a source."""
    answer = " ".join(WORDS[(number + at) % len(WORDS)] for at in range(2 + number * 7 % 11))
    question = f"Question {number}, {WORDS[number % len(WORDS)]}?"
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": messages, "source": f"chapter {number // 3}"}


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def make_data(folder: Path, *, train: int = 11, valid: int = 5) -> Path:
    """A folder with train.jsonl and (unless 0) valid.jsonl."""
    write_rows(folder / "train.jsonl", [chat_row(number) for number in range(train)])
    if valid:
        write_rows(folder / "valid.jsonl", [chat_row(number) for number in range(train, train + valid)])
    return folder


def make_config(model: Path, data: Path, **settings: Any) -> Config:
    """A short run on the last two of the tiny model's four blocks; JSON is YAML."""
    defaults: dict[str, Any] = {
        "model": str(model),
        "data": str(data),
        "num_layers": 2,
        "lora_parameters": {"rank": 2, "scale": 2.0, "dropout": 0.2},
        "batch_size": 2,
        "iters": 20,
        "learning_rate": 0.01,
        "mask_prompt": True,
        "steps_per_report": 4,
        "steps_per_eval": 6,
        "save_every": 5,
        "grad_accumulation_steps": 3,
    }
    given = {key: value for key, value in (defaults | settings).items() if value is not None}
    return parse_config(json.dumps(given))


class Killed(BaseException):
    """A process that ends without a chance to tidy up, as near as one process can play it."""


def killer(event: int) -> Listener:
    """A listener that dies at its n-th event, counted from 0."""
    seen = -1

    def listen(_event: MetricRow | Tick) -> None:
        nonlocal seen
        seen += 1
        if seen == event:
            raise Killed

    return listen


def fake_train(config: Config, name: str, root: Path, **options: Any) -> Run:
    """`train` on the fake engine."""
    return train(config, name, root=root, **({"base": FakeBase()} | options))


TIMES = ("seconds", "tokens_per_second", "peak_memory_bytes")


def without_times(rows: Sequence[MetricRow]) -> list[dict[str, Any]]:
    """Metric rows as far as they must be equal between two runs of the same plan: without times and memory."""
    return [{key: value for key, value in row.to_json().items() if key not in TIMES} for row in rows]


def of_kind(run: Run, kind: str) -> list[MetricRow]:
    """The rows of one kind."""
    return [row for row in run.metrics if row.kind == kind]


def assert_same(resumed: Run, whole: Run) -> None:
    """Everything that a run leaves, but for times."""
    left, right = (load_checkpoint(run.folder.last_checkpoint) for run in (resumed, whole))
    assert np.array_equal(left.parameters, right.parameters)
    assert np.array_equal(left.gradient, right.gradient)
    assert np.array_equal(left.best, right.best)
    assert left.optimizer.keys() == right.optimizer.keys()
    assert all(np.array_equal(left.optimizer[name], right.optimizer[name]) for name in right.optimizer)
    assert left.random_state == right.random_state
    ignored = {"seconds", "window_seconds", "metrics_bytes"}
    counters = ({k: v for k, v in vars(one.progress).items() if k not in ignored} for one in (left, right))
    assert next(counters) == next(counters)
    assert without_times(resumed.metrics) == without_times(whole.metrics)
    files = [
        sorted(path.relative_to(run.folder.path) for path in run.folder.path.rglob("*") if path.is_file())
        for run in (resumed, whole)
    ]
    assert files[0] == files[1]
    for path in files[0]:
        if path.suffix == ".jsonl" and path.parent.name == "validation":
            assert (resumed.folder.path / path).read_bytes() == (whole.folder.path / path).read_bytes()
    for path in whole.folder.adapter.iterdir():
        assert (resumed.folder.adapter / path.name).read_bytes() == path.read_bytes()
    ignored = {"seconds", "peak_memory_bytes"}
    results = ({k: v for k, v in run.identity.result.items() if k not in ignored} for run in (resumed, whole))
    assert next(results) == next(results)
