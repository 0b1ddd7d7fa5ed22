"""The example of docs/python.md, from a config to a report, run as it stands."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from runoff.runs import load_run
from tests.support.runs import chat_row, make_data, write_rows

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


def test_the_example_runs_as_it_stands(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for library in ("torch", "transformers", "peft"):
        pytest.importorskip(library)
    data = make_data(tmp_path / "data")
    write_rows(data / "test.jsonl", [chat_row(number) for number in range(40, 52)])
    config = {"model": str(tiny), "data": str(data), "num_layers": 2, "batch_size": 2, "engine": "torch"}
    (tmp_path / "run.yaml").write_text(json.dumps(config))
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    exec(compile(block, "python.md", "exec"), {})
    said = capsys.readouterr().out
    assert said.startswith("12 updates, ")
    assert load_run("quick").plan.settings["learning_rate"].value == 1e-3
    assert {path.name for path in (tmp_path / "report").iterdir()} >= {"report.md", "report.html", "report.json"}
