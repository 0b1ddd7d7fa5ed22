"""Keeping states: what comes out is what went in, whatever was cut off, and never more than the budget."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runoff.engines.trunk import DiskStates, MemoryStates, State, TrunkStates, open_states

BIG = 10**9


def state(tokens: int, seed: int = 0) -> State:
    return np.random.Generator(np.random.PCG64(seed)).standard_normal((tokens, 8)).astype(np.float32)


@pytest.fixture(params=["memory", "disk"])
def states(request: pytest.FixtureRequest, tmp_path: Path) -> TrunkStates:
    return open_states(BIG, tmp_path / "trunk" if request.param == "disk" else None)


def test_a_kept_state_comes_back_to_the_bit(states: TrunkStates) -> None:
    for seed, tokens in enumerate((3, 17, 1)):
        states.put(f"row {seed}", state(tokens, seed))
    for seed, tokens in enumerate((3, 17, 1)):
        found = states.get(f"row {seed}")
        assert found is not None
        assert np.array_equal(found, state(tokens, seed))
    assert states.get("another") is None
    assert states.holds(["row 0", "another", "row 2"]) == 2


def test_the_bits_of_another_type_survive(tmp_path: Path) -> None:
    bits = np.arange(24, dtype=np.int16).reshape(3, 8)
    DiskStates(tmp_path, BIG).put("row", bits)
    found = DiskStates(tmp_path, BIG).get("row")
    assert found is not None
    assert found.dtype == np.int16
    assert np.array_equal(found, bits)


def test_nothing_is_kept_beyond_the_budget(tmp_path: Path) -> None:
    for kept in (MemoryStates(state(4).nbytes), DiskStates(tmp_path, state(4).nbytes)):
        kept.put("first", state(4))
        kept.put("second", state(1))
        assert kept.holds(["first", "second"]) == 1


def test_a_memory_state_is_a_copy_of_its_own() -> None:
    whole, kept = state(8), MemoryStates(BIG)
    kept.put("row", whole[:2])
    whole[:] = 0
    found = kept.get("row")
    assert found is not None
    assert np.array_equal(found, state(8)[:2])


def test_two_processes_can_append_to_one_file(tmp_path: Path) -> None:
    one, two = DiskStates(tmp_path, BIG), DiskStates(tmp_path, BIG)
    one.put("a", state(3, 1))
    two.put("b", state(5, 2))
    one.put("c", state(2, 3))
    again = DiskStates(tmp_path, BIG)
    for key, tokens, seed in (("a", 3, 1), ("b", 5, 2), ("c", 2, 3)):
        found = again.get(key)
        assert found is not None
        assert np.array_equal(found, state(tokens, seed))


@settings(max_examples=60)
@given(cut=st.integers(0, 600), garbage=st.binary(max_size=40))
def test_files_that_were_cut_or_damaged_give_whole_states_or_none(cut: int, garbage: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        states = DiskStates(folder, BIG)
        for seed in range(4):
            states.put(f"row {seed}", state(4, seed))
        raw = (folder / "states.bin").read_bytes()
        (folder / "states.bin").write_bytes(raw[: max(len(raw) - cut, 0)])
        with (folder / "index.jsonl").open("ab") as index:
            index.write(garbage)
        again = DiskStates(folder, BIG)
        for seed in range(4):
            found = again.get(f"row {seed}")
            assert found is None or np.array_equal(found, state(4, seed))


def test_a_folder_that_can_not_be_written_keeps_nothing_and_says_nothing(tmp_path: Path) -> None:
    states = DiskStates(tmp_path / "trunk", BIG)
    (tmp_path / "trunk" / "states.bin").mkdir()
    states.put("row", state(3))
    assert states.get("row") is None
