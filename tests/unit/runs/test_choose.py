"""Runs by name, path, pattern and filter."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.run_folders import Told, make_run

from runoff.errors import RunError
from runoff.runs import choose_runs


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, rate in (("seed-1", 1e-4), ("seed-2", 2e-4), ("other", 1e-4)):
        make_run(tmp_path, name, Told(settings={"learning_rate": rate}))
    return tmp_path


def test_names_and_patterns_in_the_order_asked_for_each_once(root: Path) -> None:
    assert choose_runs(["other", "seed-*", "seed-1"], root=root) == ["other", "seed-1", "seed-2"]


def test_a_pattern_of_paths(root: Path, tmp_path: Path) -> None:
    found = choose_runs([str(root / "seed-?")], root=tmp_path / "elsewhere")
    assert found == [str(root / "seed-1"), str(root / "seed-2")]


def test_a_name_that_is_no_pattern_is_left_to_whoever_loads_it(root: Path) -> None:
    assert choose_runs(["nowhere"], root=root) == ["nowhere"]


def test_where_chooses_among_all_or_among_those_named(root: Path) -> None:
    assert choose_runs([], where="learning_rate < 1.5e-4", root=root) == ["other", "seed-1"]
    assert choose_runs(["seed-*"], where="learning_rate < 1.5e-4", root=root) == ["seed-1"]


@pytest.mark.parametrize(
    ("names", "where", "sentence"),
    [
        (["x*"], None, r"x\*: fits no run. `runoff runs"),
        ([], "learning_rate > 1", "--where 'learning_rate > 1': fits no run"),
        ([], "rate > 1", "no run has rate"),
    ],
)
def test_what_fits_nothing_is_one_sentence(root: Path, names: list[str], where: str | None, sentence: str) -> None:
    with pytest.raises(RunError, match=sentence):
        choose_runs(names, where=where, root=root)
