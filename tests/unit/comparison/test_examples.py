"""Which examples are shown: both sides, and only where something differs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tests.support.run_folders import make_run, random_losses

from runoff.comparison import compare

LOSSES = random_losses(1)


def test_the_most_convincing_and_the_most_contrary_are_shown(tmp_path: Path) -> None:
    shift = np.full(len(LOSSES), 0.1)
    shift[[3, 70]] = (0.9, -0.8)
    runs = [make_run(tmp_path, "a", losses=LOSSES), make_run(tmp_path, "b", losses=LOSSES + shift)]
    found = compare(runs).examples
    assert (found[0].leader, found[0].rival, found[0].ahead) == ("a", "b", True)
    assert found[0].said.question == "Question 4?"
    (against,) = [one for one in found if not one.ahead]
    assert against.said.question == "Question 71?"
    assert against.losses["a"] > against.losses["b"]


def test_equal_runs_have_no_telling_example(tmp_path: Path) -> None:
    runs = [make_run(tmp_path, "a", losses=LOSSES), make_run(tmp_path, "b", losses=LOSSES)]
    assert compare(runs).examples == ()


def test_nothing_measured_nothing_shown(tmp_path: Path) -> None:
    assert compare([make_run(tmp_path, "a"), make_run(tmp_path, "b")]).examples == ()
