"""Hugging Face datasets: which split and which fields, as mlx-lm reads them. The library is played by a stand-in."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runoff.config import Settings
from runoff.data import load_dataset
from runoff.errors import DataError


class Library:
    """`datasets.load_dataset` over splits in memory; a slice of a split is asked for by its whole label."""

    def __init__(self, splits: dict[str, list[dict[str, Any]]]) -> None:
        self.splits = splits
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def load_dataset(self, name: str, /, **options: Any) -> Any:
        self.asked.append((name, options))
        if name == "nobody/nothing":
            raise ConnectionError("Couldn't reach the Hub\n(details)")
        split = options.get("split")
        return self.splits if split is None else self.splits[split]


def rows(*texts: str) -> list[dict[str, Any]]:
    return [{"text": text} for text in texts]


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    made = Library({"train": rows("a", "b"), "validation": rows("c"), "test": rows("d")})
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=made.load_dataset))
    return made


def test_an_id_gives_its_train_valid_and_test(library: Library) -> None:
    dataset = load_dataset(Settings(data="someone/recipes"))
    assert [row.text for row in dataset.train.rows] == ["a", "b"]
    assert dataset.train.place == "someone/recipes[train]"
    assert dataset.valid is not None
    assert dataset.valid.place == "someone/recipes[validation]"
    assert dataset.test is not None
    assert [row.text for row in dataset.test.rows] == ["d"]
    assert library.asked == [("someone/recipes", {})]


def test_a_split_called_valid_wins_over_validation(library: Library) -> None:
    library.splits["valid"] = rows("e")
    valid = load_dataset(Settings(data="someone/recipes")).valid
    assert valid is not None
    assert valid.place == "someone/recipes[valid]"


def test_hf_dataset_asks_for_mlx_lms_slices_by_default(library: Library) -> None:
    library.splits |= {"train[:80%]": rows("a"), "train[-10%:]": rows("b")}
    dataset = load_dataset(Settings(hf_dataset={"path": "recipes"}))
    assert library.asked == [("recipes", {"split": "train[:80%]"}), ("recipes", {"split": "train[-10%:]"})]
    assert [row.text for row in dataset.train.rows] == ["a"]
    assert dataset.test is None


def test_hf_dataset_passes_its_splits_config_and_features_on(library: Library) -> None:
    library.splits |= {"train[:5]": [{"q": "1", "a": "2"}], "dev": [{"q": "3", "a": "4"}]}
    wanted = {
        "path": "recipes",
        "config": {"name": "bread", "revision": "v2"},
        "train_split": "train[:5]",
        "valid_split": "dev",
        "test_split": "dev",
        "prompt_feature": "q",
        "completion_feature": "a",
    }
    dataset = load_dataset(Settings(hf_dataset=wanted))
    assert dataset.train.rows[0].messages[1]["content"] == "2"
    assert dataset.test is not None
    assert dataset.test.rows[0].question == "3"
    options = {"name": "bread", "revision": "v2"}
    assert library.asked == [
        ("recipes", {"split": "train[:5]", **options}),
        ("recipes", {"split": "dev", **options}),
        ("recipes", {"split": "dev", **options}),
    ]


def refusal(**settings: Any) -> str:
    with pytest.raises(DataError) as caught:
        load_dataset(Settings(**settings))
    return str(caught.value)


def test_a_broken_row_is_named_by_split_and_number(library: Library) -> None:
    library.splits["train"].append({"text": None})
    assert refusal(data="someone/recipes") == "someone/recipes[train]:3: text must be a text."


def test_without_a_train_split_the_splits_are_named(library: Library) -> None:
    del library.splits["train"]
    assert refusal(data="someone/recipes") == (
        "someone/recipes: has no split 'train'; it has validation, test. Name the splits in hf_dataset."
    )


def test_an_empty_split_is_named(library: Library) -> None:
    library.splits["validation"] = []
    assert refusal(data="someone/recipes") == "someone/recipes[validation]: is empty. It needs at least one row."


@pytest.mark.usefixtures("library")
def test_a_dataset_that_cannot_be_had() -> None:
    assert refusal(data="nobody/nothing") == (
        "nobody/nothing: no such folder, and the Hugging Face dataset can't be loaded (Couldn't reach the Hub). Check "
        "the name and the network, or export the rows to a folder with train.jsonl."
    )


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert refusal(data="someone/recipes") == (
        "someone/recipes: no such folder. To read it as a Hugging Face dataset, install: pip install datasets."
    )


@pytest.mark.parametrize("name", ["recipes", "./someone/recipes", "/someone/recipes", "a/b/c"])
def test_what_can_be_no_id_is_taken_for_a_folder(library: Library, name: str) -> None:
    assert refusal(data=name) == (
        f"{name}: no such folder. data names a folder with train.jsonl, or a Hugging Face dataset id."
    )
    assert library.asked == []


def test_the_real_library_reads_local_files_the_same_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "all.jsonl").write_text("".join(f'{{"text": "row {number}"}}\n' for number in range(20)))
    config = {"data_files": str(tmp_path / "all.jsonl"), "cache_dir": str(tmp_path / "cache")}
    dataset = load_dataset(Settings(hf_dataset={"path": "json", "config": config}))
    assert [row.text for row in dataset.train.rows] == [f"row {number}" for number in range(16)]
    assert dataset.valid is not None
    assert [row.text for row in dataset.valid.rows] == ["row 18", "row 19"]
