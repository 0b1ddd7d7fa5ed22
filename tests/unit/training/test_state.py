"""Checkpoints and snapshots come back as they were, and nothing else is taken for one."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from runoff.errors import RunError
from runoff.training.state import (
    Checkpoint,
    Progress,
    load_checkpoint,
    load_snapshot,
    save_checkpoint,
    save_snapshot,
)


def a_checkpoint() -> Checkpoint:
    random = np.random.Generator(np.random.PCG64(1))
    progress = Progress(
        **{  # type: ignore[arg-type]
            field.name: index + 1 if "int" in str(field.type) else 0.1 * (index + 1)
            for index, field in enumerate(fields(Progress))
        }
    )
    vectors = [random.standard_normal(7).astype(np.float32) for _ in range(5)]
    return Checkpoint(
        progress=progress,
        parameters=vectors[0],
        optimizer={"m": vectors[1], "v": vectors[2]},
        gradient=vectors[3],
        best=vectors[4],
        random_state=bytes(range(256)),
    )


def test_a_checkpoint_comes_back_to_the_bit(tmp_path: Path) -> None:
    saved = a_checkpoint()
    save_checkpoint(tmp_path / "last.safetensors", saved)
    loaded = load_checkpoint(tmp_path / "last.safetensors")
    assert loaded.progress == saved.progress
    assert loaded.random_state == saved.random_state
    for name in ("parameters", "gradient", "best"):
        assert np.array_equal(getattr(loaded, name), getattr(saved, name))
        assert getattr(loaded, name).dtype == np.float32
    assert loaded.optimizer.keys() == {"m", "v"}
    assert all(np.array_equal(loaded.optimizer[name], saved.optimizer[name]) for name in "mv")


def test_counters_of_a_newer_runoff_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    save_checkpoint(path, a_checkpoint())
    arrays = safetensors.numpy.load_file(path)
    safetensors.numpy.save_file(arrays, path, {"progress": '{"iteration": 9, "phase_of_the_moon": 3}'})
    assert load_checkpoint(path).progress == Progress(iteration=9)


@pytest.mark.parametrize("missing", ["parameters", "gradient", "best", "random_state", "progress"])
def test_a_checkpoint_with_a_part_missing_is_refused(tmp_path: Path, missing: str) -> None:
    path = tmp_path / "last.safetensors"
    save_checkpoint(path, a_checkpoint())
    arrays = {name: array for name, array in safetensors.numpy.load_file(path).items() if name != missing}
    safetensors.numpy.save_file(arrays, path, {} if missing == "progress" else {"progress": "{}"})
    with pytest.raises(RunError) as caught:
        load_checkpoint(path)
    assert str(caught.value) == (
        f"{path}: is not a checkpoint of this Runoff ('{missing}'). Train from the start with --overwrite."
    )


def test_no_checkpoint_says_so(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    with pytest.raises(RunError) as caught:
        load_checkpoint(path)
    assert str(caught.value) == (
        f"{path}: there is no checkpoint to go on from. Train from the start with --overwrite."
    )


def test_a_snapshot_comes_back_with_its_layout_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "0000005.safetensors"
    parameters = np.arange(5, dtype=np.float32)
    save_snapshot(path, parameters, 5, ["layers.0.q.lora_a"])
    assert np.array_equal(load_snapshot(path), parameters)
    with safetensors.safe_open(path, framework="numpy") as file:
        assert file.metadata() == {"iteration": "5", "layout": '["layers.0.q.lora_a"]'}


def test_something_else_is_not_taken_for_a_snapshot(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    safetensors.numpy.save_file({"weights": np.zeros(2, np.float32)}, path)
    with pytest.raises(RunError, match=r"is not a snapshot of Runoff's \(it has no parameters\)"):
        load_snapshot(path)
