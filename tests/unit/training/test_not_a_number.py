"""Losses, gradients and weights that are not numbers end a run with a sentence and leave the last checkpoint good."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.runs import fake_train, make_config, of_kind
from tests.support.scripted import ScriptedBase

from runoff.data import epoch_order
from runoff.errors import EngineError
from runoff.runs import load_run
from runoff.training import prepare
from runoff.training.loop import _some
from runoff.training.state import load_checkpoint


def test_a_loss_that_is_nan_names_the_rows_and_keeps_the_last_checkpoint_good(
    tiny_model: Path, tiny_data: Path, tmp_path: Path
) -> None:
    config = make_config(tiny_model, tiny_data)
    ready = prepare(config)
    lengths = [len(example.ids) for example in ready.data.train]
    rows = epoch_order(lengths, 2, seed=0, epoch=1)[12 - 1 - 6]
    numbers = ", ".join(str(ready.data.train[row].row.number) for row in rows)
    with pytest.raises(EngineError) as caught:
        fake_train(config, "run", tmp_path / "runs", base=ScriptedBase(broken_iteration=12))
    folder = load_run("run", tmp_path / "runs").folder
    assert str(caught.value) == (
        f"iteration 12: the loss is nan (training rows {numbers}). The last good state is {folder.last_checkpoint}; "
        "lower learning_rate or set max_grad_norm: 1.0. Or leave such updates out: --resume --set on_bad_loss=skip."
    )
    run = load_run("run", tmp_path / "runs")
    assert run.identity.status == "failed"
    assert run.identity.result["reason"] == str(caught.value)
    checkpoint = load_checkpoint(run.folder.last_checkpoint)
    assert checkpoint.progress.iteration == 10
    assert np.isfinite(checkpoint.parameters).all()


def test_a_nan_before_the_first_checkpoint_points_to_none(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"No checkpoint was saved before it; lower learning_rate or set max_grad"):
        fake_train(make_config(tiny_model, tiny_data), "run", tmp_path / "runs", base=ScriptedBase(broken_iteration=4))


@pytest.mark.parametrize("script", [{"broken_iteration": 1}, {"losses": [math.nan]}], ids=["training", "validation"])
def test_a_nan_before_the_first_update_is_not_put_down_to_the_learning_rate(
    tiny_model: Path, tiny_data: Path, tmp_path: Path, script: dict[str, Any]
) -> None:
    with pytest.raises(EngineError) as caught:
        fake_train(make_config(tiny_model, tiny_data), "run", tmp_path / "runs", base=ScriptedBase(**script))
    assert (
        "No update was made before it, so the model gives this untrained: look at its files, or set dtype: float32."
        in str(caught.value)
    )
    assert "learning_rate" not in str(caught.value)


def test_of_many_broken_rows_the_first_are_named() -> None:
    assert _some(range(1, 11)) == "1, 2, 3, 4, 5, 6, 7, 8, 9, 10"
    assert _some(range(1, 1201)) == "1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 1,190 more"


def test_a_gradient_that_is_no_number_never_reaches_a_checkpoint(
    tiny_model: Path, tiny_data: Path, tmp_path: Path
) -> None:
    config = make_config(tiny_model, tiny_data, save_every=1, grad_accumulation_steps=1)
    with pytest.raises(EngineError) as caught:
        fake_train(config, "run", tmp_path / "runs", base=ScriptedBase(broken_gradient=4))
    folder = load_run("run", tmp_path / "runs").folder
    start = "iteration 4: the gradient is not made of numbers (norm inf) (training rows "
    assert str(caught.value).startswith(start), caught.value
    assert f"). The last good state is {folder.last_checkpoint}; lower learning_rate or" in str(caught.value)
    checkpoint = load_checkpoint(folder.last_checkpoint)
    assert checkpoint.progress.iteration == 3
    assert np.isfinite(checkpoint.parameters).all()


def test_a_learning_rate_that_overflows_is_named_not_saved(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    config = make_config(tiny_model, tiny_data, learning_rate=1e39, save_every=1)
    with pytest.raises(EngineError, match=r"^iteration 3: .*learning rate 1e\+39"):
        fake_train(config, "run", tmp_path / "runs")
    assert np.isfinite(load_checkpoint(load_run("run", tmp_path / "runs").folder.last_checkpoint).parameters).all()


def test_a_validation_that_is_no_number_ends_the_run_and_names_the_rows(
    tiny_model: Path, tiny_data: Path, tmp_path: Path
) -> None:
    with pytest.raises(EngineError) as caught:
        fake_train(
            make_config(tiny_model, tiny_data), "run", tmp_path / "runs", base=ScriptedBase(losses=[1, math.nan])
        )
    assert "validation after iteration 6: the loss of valid rows 1, 2, 3, 4, 5 is not a number." in str(caught.value)
    run = load_run("run", tmp_path / "runs")
    assert math.isnan(of_kind(run, "validation")[-1].nats_per_target_token or 0)
    assert not run.folder.best_snapshot.exists()
