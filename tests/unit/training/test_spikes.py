"""Bad updates: named, kept out of the adapter, and skipped only if the settings say so."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.fake_engine import FakeBase, FakeEngine
from tests.support.runs import Killed, assert_same, fake_train, killer, make_config, of_kind

from runoff.data import Batch
from runoff.errors import EngineError
from runoff.plan import AdapterSpec
from runoff.runs import load_run
from runoff.training.spikes import FEWEST, MOST_IN_A_ROW, why_bad
from runoff.training.state import load_checkpoint

STEADY = [1.0, 1.2, 0.9, 1.1] * 5


def test_a_spike_needs_both_the_loss_and_the_gradient() -> None:
    assert why_bad(4.0, 20.0, STEADY, STEADY) == (
        "the loss jumped to 4 and the gradient norm to 20 (medians of the last 20 updates: 1.05 and 1.05)"
    )
    assert why_bad(4.0, 5.0, STEADY, STEADY) == ""
    assert why_bad(1.5, 20.0, STEADY, STEADY) == ""


def test_the_first_updates_are_no_spikes_but_must_be_numbers() -> None:
    few = STEADY[: FEWEST - 1]
    assert why_bad(400.0, 2000.0, few, few) == ""
    assert why_bad(math.nan, 1.0, [], []) == "the loss is nan"
    assert why_bad(1.0, math.inf, [], []) == "the gradient is not made of numbers (norm inf)"


def test_a_fall_is_no_spike_and_neither_are_losses_that_scatter() -> None:
    random = np.random.default_rng(3)
    losses = (2.5 * np.exp(-np.arange(400) / 100) * random.lognormal(0, 0.4, 400)).tolist()
    norms = random.lognormal(0, 0.5, 400).tolist()
    assert not any(why_bad(losses[at], norms[at], losses[:at], norms[:at]) for at in range(400))


@dataclass
class Spiky(FakeEngine):
    """Real gradients, but for the iterations of the script."""

    script: dict[int, str] = field(default_factory=dict)
    iterations: int = 0

    def accumulate(self, batch: Batch, weight: float = 1.0) -> float:
        self.iterations += 1
        kind = self.script.get(self.iterations)
        nats = super().accumulate(batch, weight)
        if kind == "nan":
            self._gradient[:] = np.nan
            return math.nan
        if kind == "spike":
            self._gradient *= 1e4
            return nats * 10
        return nats


@dataclass
class SpikyBase(FakeBase):
    script: dict[int, str] = field(default_factory=dict)
    skipped_before: int = 0

    def attach(self, spec: AdapterSpec | None, *, seed: int = 0, checkpointing: bool = False) -> FakeEngine:
        random = np.random.Generator(np.random.PCG64(seed))
        return Spiky(spec, random, script=self.script, iterations=self.skipped_before)


PLAIN: dict[str, Any] = {"iters": 60, "grad_accumulation_steps": 2, "lora_parameters": {"rank": 2, "scale": 2.0}}


def test_a_spike_stops_the_run_before_it_is_learnt(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError) as caught:
        fake_train(make_config(tiny_model, tiny_data, **PLAIN), "run", tmp_path, base=SpikyBase(script={48: "spike"}))
    said = str(caught.value)
    assert said.startswith("iteration 48: the loss jumped to ")
    assert "(training rows " in said
    assert said.endswith("Or leave such updates out: --resume --set on_bad_loss=skip.")
    run = load_run("run", tmp_path)
    assert run.identity.status == "failed"
    assert load_checkpoint(run.folder.last_checkpoint).progress.iteration == 45


@pytest.mark.parametrize("kind", ["nan", "spike"])
def test_a_skipped_update_changes_nothing_and_is_counted(
    tiny_model: Path, tiny_data: Path, tmp_path: Path, kind: str
) -> None:
    config = make_config(tiny_model, tiny_data, on_bad_loss="skip", save_every=1, **PLAIN)
    run = fake_train(config, "run", tmp_path, base=SpikyBase(script={47: kind}))
    assert run.identity.status == "finished"
    assert run.identity.result["updates_left_out"] == 1
    assert run.identity.result["optimizer_updates"] == 29
    from runoff.training.state import load_snapshot

    before, after = (load_snapshot(run.folder.snapshot(at)) for at in (46, 48))
    assert np.array_equal(before, after)
    (event,) = of_kind(run, "event")
    assert event.iteration == 48
    assert (event.text or "").startswith("Update left out: the loss ")
    assert "(training rows " in (event.text or "")
    assert all(math.isfinite(row.nats_per_target_token or 0.0) for row in of_kind(run, "train"))


def test_a_run_that_stopped_goes_on_with_skip_and_says_so(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    script = {47: "nan"}
    with pytest.raises(EngineError):
        fake_train(make_config(tiny_model, tiny_data, **PLAIN), "run", tmp_path, base=SpikyBase(script=script))
    skipping = make_config(tiny_model, tiny_data, on_bad_loss="skip", **PLAIN)
    run = fake_train(skipping, "run", tmp_path, resume=True, base=SpikyBase(script=script, skipped_before=45))
    assert run.identity.result["updates_left_out"] == 1
    assert [change["key"] for change in run.identity.changed] == ["on_bad_loss"]
    assert run.plan.settings["on_bad_loss"].value == "skip"


def test_killed_inside_a_window_with_a_nan_it_is_still_left_out(
    tiny_model: Path, tiny_data: Path, tmp_path: Path
) -> None:
    config = make_config(tiny_model, tiny_data, on_bad_loss="skip", save_every=1, **PLAIN)
    script = {47: "nan"}
    whole = fake_train(config, "whole", tmp_path, base=SpikyBase(script=script))
    events: list[Any] = []
    fake_train(config, "count", tmp_path, base=SpikyBase(script=script), listen=events.append)
    at = next(index for index, event in enumerate(events) if getattr(event, "iteration", 0) == 47) + 1
    with pytest.raises(Killed):
        fake_train(config, "run", tmp_path, base=SpikyBase(script=script), listen=killer(at))
    assert load_checkpoint(load_run("run", tmp_path).folder.last_checkpoint).progress.iteration == 47
    resumed = fake_train(config, "run", tmp_path, resume=True, base=SpikyBase(script={}, skipped_before=47))
    assert_same(resumed, whole)


def test_nothing_but_bad_updates_ends_the_run(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    config = make_config(tiny_model, tiny_data, on_bad_loss="skip", **PLAIN)
    base = SpikyBase(script=dict.fromkeys(range(10, 100), "nan"))
    with pytest.raises(EngineError) as caught:
        fake_train(config, "run", tmp_path, base=base)
    said = str(caught.value)
    assert f"after {MOST_IN_A_ROW} updates in a row were left out" in said
    assert "on_bad_loss=skip" not in said


@pytest.mark.parametrize(
    ("loss", "norm", "bad"), [(6.01, 5.01, True), (6.0, 5.01, False), (6.01, 5.0, False), (9.0, 1.0, False)]
)
def test_a_spike_is_above_three_median_losses_and_ten_median_norms(loss: float, norm: float, bad: bool) -> None:
    assert bool(why_bad(loss, norm, [2.0] * 20, [0.5] * 20)) is bad
    assert why_bad(loss, norm, [2.0] * 19, [0.5] * 19) == "", "too few updates to look back on"
