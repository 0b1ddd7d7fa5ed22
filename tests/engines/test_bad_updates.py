"""A loss that is not a number, from the real engines: the row is named, the update not made, or left out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from runoff.errors import EngineError
from runoff.runs import load_run
from runoff.training import train
from runoff.training.state import load_checkpoint, load_snapshot
from tests.support.runs import chat_row, make_config, make_data, of_kind, write_rows

BAD = 7
"""The number of the row with the character whose embedding is not a number."""


@pytest.fixture
def model(tiny: Path, tmp_path: Path) -> Path:
    """A base with one damaged embedding, as after a broken conversion; the head is whole."""
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    tensors = safetensors.numpy.load_file(folder / "model.safetensors")
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].copy()
    vocabulary = json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    tensors["model.embed_tokens.weight"][vocabulary["%"]] = np.nan
    safetensors.numpy.save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": False}))
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = make_data(tmp_path / "data")
    rows = [chat_row(number) for number in range(11)]
    rows[BAD - 1]["messages"][0]["content"] += " %"
    write_rows(folder / "train.jsonl", rows)
    return folder


def settings(engine: str, **more: Any) -> dict[str, Any]:
    own = {"engine": engine, "dtype": "float32", "batch_size": 1, "iters": 11, "save_every": 1, "seed": 3}
    return own | {"grad_accumulation_steps": 1, "steps_per_eval": 20} | more


def test_the_run_stops_before_the_update_and_names_the_row(
    engine: str, model: Path, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        EngineError, match=rf"the loss is nan \(training rows {BAD}\)\. The last good state is "
    ) as caught:
        train(make_config(model, data, **settings(engine)), "run", root=tmp_path)
    run = load_run("run", tmp_path)
    assert (run.identity.status, run.identity.result["reason"]) == ("failed", str(caught.value))
    good = load_checkpoint(run.folder.last_checkpoint)
    assert str(caught.value).startswith(f"iteration {good.progress.iteration + 1}: ")
    assert np.isfinite(good.parameters).all()


def test_or_leaves_that_update_out(engine: str, model: Path, data: Path, tmp_path: Path) -> None:
    run = train(make_config(model, data, **settings(engine, on_bad_loss="skip")), "run", root=tmp_path)
    result = run.identity.result
    assert (result["optimizer_updates"], result["updates_left_out"]) == (10, 1)
    (event,) = of_kind(run, "event")
    assert event.text == f"Update left out: the loss is nan (training rows {BAD})."
    before, after = (load_snapshot(run.folder.snapshot((event.iteration or 0) + at)) for at in (-1, 0))
    assert np.array_equal(before, after)
    assert np.isfinite(load_checkpoint(run.folder.last_checkpoint).parameters).all()
