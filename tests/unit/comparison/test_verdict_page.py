"""docs/verdict.md: its figures are those of the rules."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

from runoff.comparison import Decision
from runoff.comparison.requirements import BROKEN_POINTS, KEPT_SHARE, REQUIREMENTS
from runoff.estimates.estimate import rate

PAGE = (Path(__file__).parents[3] / "docs" / "verdict.md").read_text("utf-8")


def test_every_decision_has_a_row() -> None:
    assert re.findall(r"^\| (.*?) \|", PAGE.partition("**Better")[0], re.MULTILINE)[1:] == [
        one.value for one in Decision
    ]


def test_every_gate_has_a_row() -> None:
    rows = re.findall(r"^\| .* \| `(\w+)` \|$", PAGE, re.MULTILINE)
    assert rows == ["broken", "retention", "persona_bleed", "facts"]
    assert len(rows) == len(REQUIREMENTS)


def test_how_many_answers_the_gates_take_is_what_their_intervals_take() -> None:
    unbroken, kept = (int(re.findall(text, PAGE)[0]) for text in (r"takes (\d+) unbroken", r"fewer than (\d+) of the"))
    assert [rate(0, n).high <= BROKEN_POINTS for n in (unbroken - 1, unbroken)] == [False, True]  # type: ignore[operator]
    assert [rate(n, n).low >= KEPT_SHARE for n in (kept - 1, kept)] == [False, True]  # type: ignore[operator]


def test_a_difference_of_loss_in_chances() -> None:
    assert "1.22 times" in PAGE
    assert round(math.exp(0.2), 2) == 1.22


@pytest.mark.parametrize("low", [0.2, 0.05, None])
def test_the_gate_of_ones_own_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, low: float | None
) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    facts = {"measures": {"says_please": {"runs": {"a": {"low": low, "value": 0.3}}}}}
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "report.json").write_text(json.dumps({"facts": facts}))
    monkeypatch.chdir(tmp_path)
    if low == 0.2:
        with pytest.raises(SystemExit, match="a: says please in 30% of its answers"):
            exec(compile(block, "verdict.md", "exec"), {})
    else:
        exec(compile(block, "verdict.md", "exec"), {})
