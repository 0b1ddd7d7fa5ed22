"""Whatever the settings and wherever it is killed: a resumed run is the run that was never killed."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.runs import Killed, assert_same, fake_train, killer, make_config, make_data, without_times

from runoff.config import Config
from runoff.training.spikes import FEWEST, LOSS_FACTOR, NORM_FACTOR, why_bad
from runoff.training.state import load_checkpoint

FEW = settings(max_examples=8, suppress_health_check=list(HealthCheck))

LENGTHS = st.fixed_dictionaries(
    {
        "iters": st.integers(2, 14),
        "batch_size": st.integers(1, 4),
        "grad_accumulation_steps": st.integers(1, 5),
        "steps_per_report": st.integers(1, 6),
        "steps_per_eval": st.integers(1, 6),
        "save_every": st.integers(1, 6),
        "seed": st.integers(0, 3),
        "optimizer": st.sampled_from(["adam", "adamw", "sgd", "adafactor", "muon"]),
        "max_grad_norm": st.sampled_from([None, 0.5]),
        "on_bad_loss": st.sampled_from(["stop", "skip"]),
    }
)


def config_of(model: Path, data: Path, given: dict[str, Any], **changed: Any) -> Config:
    own_rate = {"optimizer_config": {"adafactor": {"relative_step": False}}}
    return make_config(model, data, **given | (own_rate if given["optimizer"] == "adafactor" else {}) | changed)


@FEW
@given(given_settings=LENGTHS, share=st.floats(0, 0.999))
def test_a_kill_anywhere_leaves_no_trace(tiny_model: Path, given_settings: dict[str, Any], share: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root, heard = Path(folder), list[object]()
        config = config_of(tiny_model, make_data(root / "data"), given_settings)
        whole = fake_train(config, "whole", root, listen=heard.append)
        with pytest.raises(Killed):
            fake_train(config, "killed", root, listen=killer(int(share * len(heard))))
        assert_same(fake_train(config, "killed", root, resume=True), whole)


@FEW
@given(given_settings=LENGTHS, windows=st.integers(1, 4), more=st.integers(1, 6))
def test_an_extension_from_a_whole_window_is_the_longer_run(
    tiny_model: Path, given_settings: dict[str, Any], windows: int, more: int
) -> None:
    """Up to reports and validations at the old end, which the longer run did not make."""
    first = windows * given_settings["grad_accumulation_steps"]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        data = make_data(root / "data")
        short, longer = (config_of(tiny_model, data, given_settings, iters=length) for length in (first, first + more))
        fake_train(short, "run", root)
        extended, whole = fake_train(longer, "run", root, extend=True), fake_train(longer, "whole", root)
        left, right = (load_checkpoint(run.folder.last_checkpoint) for run in (extended, whole))
        assert np.array_equal(left.parameters, right.parameters)
        assert left.random_state == right.random_state
        last = [
            [row for row in without_times(run.metrics) if row["kind"] == "validation"][-1]["nats_per_target_token"]
            for run in (extended, whole)
        ]
        assert last[0] == last[1]


POSITIVE = st.floats(1e-3, 1e3)


@given(history=st.lists(st.tuples(POSITIVE, POSITIVE), min_size=FEWEST, max_size=80), loss=POSITIVE, norm=POSITIVE)
def test_nothing_that_has_been_seen_before_is_a_spike(
    history: list[tuple[float, float]], loss: float, norm: float
) -> None:
    losses, norms = [one for one, _ in history], [two for _, two in history]
    bad = why_bad(loss, norm, losses, norms)
    if loss <= LOSS_FACTOR * min(losses) or norm <= NORM_FACTOR * min(norms):
        assert not bad
    if loss > LOSS_FACTOR * max(losses) and norm > NORM_FACTOR * max(norms):
        assert bad
