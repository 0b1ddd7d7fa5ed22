"""Which adapter ships, and when an early stop ends a run; the record says both and why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tests.support.runs import fake_train, make_config, make_data, of_kind
from tests.support.scripted import ScriptedBase

from runoff.engines.adapters.folders import read_adapter
from runoff.engines.base import Vector
from runoff.runs import Run
from runoff.training.state import load_checkpoint, load_snapshot


def adapter_of(run: Run, model: Path) -> Vector:
    from runoff.plan import read_model_facts

    return read_adapter(run.folder.adapter, read_model_facts(model))[1]


def test_the_adapter_with_the_lowest_validation_loss_ships(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    base = ScriptedBase(losses=[3.0, 2.0, 1.0, 1.5, 1.25])
    run = fake_train(make_config(tiny_model, tiny_data, save_every=1), "run", tmp_path / "runs", base=base)
    assert run.identity.result["adapter_iteration"] == 12
    assert run.identity.result["best_validation_loss"] == 1.0
    assert run.identity.result["adapter_reason"] == "the lowest loss on the 5 validation rows"
    shipped = adapter_of(run, tiny_model)
    assert np.array_equal(shipped, load_snapshot(run.folder.snapshot(12)))
    assert not np.array_equal(shipped, load_snapshot(run.folder.snapshot(20)))
    assert np.array_equal(shipped, load_snapshot(run.folder.best_snapshot))


def test_the_untrained_adapter_never_ships(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    base = ScriptedBase(losses=[0.5, 2.0, 2.0, 2.0, 3.0])
    run = fake_train(make_config(tiny_model, tiny_data), "run", tmp_path / "runs", base=base)
    assert run.identity.result["adapter_iteration"] == 6
    assert run.identity.result["adapter_reason"] == (
        "the lowest loss on the 5 validation rows after training began, 2.0000: worse than the untrained model's 0.5000"
    )


def test_without_a_valid_set_the_last_adapter_ships_and_says_so(tiny_model: Path, tmp_path: Path) -> None:
    data = make_data(tmp_path / "data", valid=0)
    run = fake_train(make_config(tiny_model, data), "run", tmp_path / "runs")
    assert run.plan.counts["validations"].value == len(of_kind(run, "validation")) == 0
    assert run.identity.result["adapter_iteration"] == 20
    assert run.identity.result["adapter_reason"] == "the last one: there was no validation to choose by"
    assert run.identity.result["best_validation_loss"] is None
    assert np.array_equal(adapter_of(run, tiny_model), load_snapshot(run.folder.snapshot(20)))


def test_early_stopping_stops_after_patience_validations_without_gain(
    tiny_model: Path, tiny_data: Path, tmp_path: Path
) -> None:
    config = make_config(tiny_model, tiny_data, early_stopping={"patience": 2}, steps_per_eval=2)
    base = ScriptedBase(losses=[3.0, 2.0, 1.0, 1.5, 1.0, 0.1, 0.1])
    run = fake_train(config, "run", tmp_path / "runs", base=base)
    assert run.identity.status == "finished"
    assert run.identity.result["reason"] == (
        "early stop after iteration 8: 2 validations in a row without improvement on the loss after iteration 4"
    )
    assert run.identity.result["iterations"] == 8
    assert run.identity.result["adapter_iteration"] == 4
    assert load_checkpoint(run.folder.last_checkpoint).progress.iteration == 8


def test_a_fall_below_min_improvement_stops_but_still_ships(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    stopping = {"patience": 2, "min_improvement": 0.1}
    config = make_config(tiny_model, tiny_data, early_stopping=stopping, steps_per_eval=2)
    base = ScriptedBase(losses=[3.0, 2.0, 1.96, 1.92, 0.1])
    run = fake_train(config, "run", tmp_path / "runs", base=base)
    assert run.identity.result["iterations"] == 6
    assert "without improvement on the loss after iteration 2" in run.identity.result["reason"]
    assert run.identity.result["adapter_iteration"] == 6
    assert run.identity.result["best_validation_loss"] == 1.92


def test_slow_gains_that_add_up_put_off_the_early_stop(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    stopping = {"patience": 2, "min_improvement": 0.1}
    config = make_config(tiny_model, tiny_data, early_stopping=stopping, steps_per_eval=5)
    base = ScriptedBase(losses=[3.0, 2.0, 1.94, 1.88, 1.82])
    run = fake_train(config, "run", tmp_path / "runs", base=base)
    assert run.identity.result["iterations"] == 20
