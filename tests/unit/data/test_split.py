"""Splitting: nothing that belongs together crosses a border, and the same seed gives the same files."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runoff.data import load_dataset
from runoff.data.readers import Record
from runoff.data.split import split_files, split_records
from runoff.errors import DataError


def record(number: int, source: str | None, text: str | None = None) -> Record:
    words = text or " ".join(f"w{random.Random(number * 31 + at).randrange(10_000)}" for at in range(30))
    chat = [{"role": "user", "content": f"Question {number}?"}, {"role": "assistant", "content": words}]
    return Record(f"row {number}", {"messages": chat}, source)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 9), min_size=12, max_size=60), st.integers(0, 2**16))
def test_no_source_crosses_a_border_and_no_row_is_lost(sources: list[int], seed: int) -> None:
    records = [record(number, f"s{source}") for number, source in enumerate(sources)]
    try:
        done = split_records(records, valid=0.2, test=0.2, seed=seed)
    except DataError:
        assert len(set(sources)) < 3
        return
    parts = [set(done.sources(split)) for split in ("train", "valid", "test")]
    assert not parts[0] & parts[1]
    assert not (parts[0] | parts[1]) & parts[2]
    assert sorted(r.place for rows in done.splits.values() for r in rows) == sorted(r.place for r in records)
    assert all(done.splits.values())


def test_near_duplicates_stay_together_across_sources() -> None:
    words = " ".join(f"same{at}" for at in range(60))
    records = [record(number, f"s{number}") for number in range(40)]
    records += [record(100 + number, f"t{number}", f"{words} {number}") for number in range(3)]
    done = split_records(records, valid=0.3, test=0.3, seed=1)
    (home,) = {
        split for split, rows in done.splits.items() for r in rows if r.place.startswith("row 10") and len(r.place) == 7
    }
    assert done.splits[home]
    assert done.pairs_of_near_duplicates >= 2


def test_the_shares_are_met_where_groups_allow() -> None:
    done = split_records([record(n, f"s{n // 2}") for n in range(200)], valid=0.1, test=0.2, seed=3)
    assert {split: len(rows) for split, rows in done.splits.items()} == {"train": 140, "valid": 20, "test": 40}


def test_files_manifest_and_the_same_again(tmp_path: Path) -> None:
    source = tmp_path / "rows.jsonl"
    source.write_text(
        "".join(
            json.dumps(
                {"prompt": f"Q{n}?", "completion": record(n, None).body["messages"][1]["content"], "group": n // 3}
            )
            + "\n"
            for n in range(60)
        )
    )
    split_files([source], tmp_path / "a", valid=0.1, test=0.1, seed=5)
    split_files([source], tmp_path / "b", valid=0.1, test=0.1, seed=5)
    for name in ("train.jsonl", "valid.jsonl", "test.jsonl", "manifest.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    manifest = json.loads((tmp_path / "a" / "manifest.json").read_text())
    assert sum(part["rows"] for part in manifest["splits"].values()) == 60
    assert manifest["inputs"][0]["file"] == "rows.jsonl"
    from runoff.config import Settings

    dataset = load_dataset(Settings(data=str(tmp_path / "a")))
    assert dataset.train.rows[0].format == "chat"
    assert dataset.train.rows[0].source is not None


def test_an_old_split_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "valid.jsonl").write_text("")
    with pytest.raises(DataError, match=r"has valid\.jsonl already"):
        split_files([], tmp_path, valid=0.1, test=0.1, seed=0)


@pytest.mark.parametrize(("valid", "test"), [(0.5, 0.5), (-0.1, 0.1), (1.0, 0.0)])
def test_shares_that_leave_nothing(valid: float, test: float) -> None:
    with pytest.raises(DataError, match="leave nothing to train on"):
        split_records([record(1, None)], valid=valid, test=test, seed=0)


def test_one_source_cant_be_split() -> None:
    with pytest.raises(DataError, match="nothing can be held out for test"):
        split_records([record(n, "one") for n in range(10)], valid=0.1, test=0.1, seed=0)


def test_a_share_holds_out_one_group_at_least_or_says_why_not(tmp_path: Path) -> None:
    rows = [{"question": f"Question {n} about {n * 7}?", "answer": f"Answer {n}", "source": f"s{n}"} for n in range(3)]
    path = tmp_path / "few.json"
    path.write_text(json.dumps(rows), "utf-8")
    done = split_files([path], tmp_path / "out", valid=0.1, test=0.1, seed=0, source_key=None)
    assert {split: len(kept) for split, kept in done.splits.items()} == {"train": 1, "valid": 1, "test": 1}
    path.write_text(json.dumps(rows[:1]), "utf-8")
    with pytest.raises(DataError, match="there is only one row"):
        split_files([path], tmp_path / "one", valid=0.1, test=0.0, seed=0, source_key=None)
    assert not (tmp_path / "one").exists()


def test_plain_text_and_chats_are_not_mixed(tmp_path: Path) -> None:
    path = tmp_path / "both.jsonl"
    path.write_text('{"question": "Why?", "answer": "So."}\n{"text": "Just text."}\n', "utf-8")
    with pytest.raises(DataError, match="one folder can't hold both"):
        split_files([path], tmp_path / "out", valid=0.1, test=0.1, seed=0, source_key=None)
