"""Trainings that are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runoff.errors import RunoffError
from tests.support.runs import fake_train, make_config


def refusal(kind: type[RunoffError], root: Path, **given: Any) -> str:
    """The sentence of a training that is refused; asserts that no run folder is left."""
    with pytest.raises(kind) as caught:
        fake_train(make_config(**given), "run", root / "runs")
    assert not (root / "runs").exists(), sorted(path.name for path in (root / "runs").rglob("*"))
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)
