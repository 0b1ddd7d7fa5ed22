"""`--extend`: longer than was planned, recorded, and otherwise the same run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.fake_engine import FakeBase
from tests.support.runs import Killed, assert_same, fake_train, killer, make_config, of_kind, without_times

import runoff.training.api as api
from runoff.errors import RunError
from runoff.runs import load_run
from runoff.training.state import load_checkpoint

SCHEDULE: dict[str, Any] = {"lr_schedule": {"name": "linear_schedule", "arguments": [0.1, 0.01, 8]}}


def refusal(config: Any, root: Path, **options: Any) -> str:
    with pytest.raises(RunError) as caught:
        fake_train(config, "run", root, **({"extend": True} | options))
    return str(caught.value).removeprefix(f"{root / 'run'}: ")


def test_extended_on_a_whole_update_it_is_the_run_that_was_planned_longer(
    tiny_model: Path, tiny_data: Path, tmp_path: Path
) -> None:
    root = tmp_path / "runs"
    fake_train(make_config(tiny_model, tiny_data, iters=12), "run", root)
    longer = make_config(tiny_model, tiny_data, iters=24)
    extended = fake_train(longer, "run", root, extend=True)
    whole = fake_train(longer, "whole", root)
    left, right = (load_checkpoint(run.folder.last_checkpoint) for run in (extended, whole))
    assert np.array_equal(left.parameters, right.parameters)
    assert without_times(of_kind(extended, "train")) == without_times(of_kind(whole, "train"))
    assert without_times(of_kind(extended, "validation")) == without_times(of_kind(whole, "validation"))
    assert extended.plan.settings["iters"].value == 24
    assert extended.identity.status == "finished"
    assert extended.identity.result["iterations"] == 24
    (change,) = extended.identity.changed
    assert {key: change[key] for key in ("key", "then", "now", "iteration")} == {
        "key": "iters",
        "then": 12,
        "now": 24,
        "iteration": 12,
    }


def test_epochs_too(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    fake_train(make_config(tiny_model, tiny_data, iters=None, epochs=1), "run", tmp_path)
    run = fake_train(make_config(tiny_model, tiny_data, iters=None, epochs=2.5), "run", tmp_path, extend=True)
    assert run.identity.result["iterations"] == 15
    assert [change["key"] for change in run.identity.changed] == ["iters", "epochs"]


def test_an_extension_that_is_killed_goes_on_as_one(
    tiny_model: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, longer = tmp_path / "runs", make_config(tiny_model, tiny_data, iters=24)
    for name in ("run", "whole"):
        fake_train(make_config(tiny_model, tiny_data, iters=12), name, root)
    whole = fake_train(longer, "whole", root, extend=True)

    def die(*_: Any) -> None:
        raise Killed

    monkeypatch.setattr(api, "_write_plan", die)
    with pytest.raises(Killed):
        fake_train(longer, "run", root, extend=True)
    monkeypatch.undo()
    with pytest.raises(Killed):
        fake_train(longer, "run", root, resume=True, listen=killer(9))
    run = fake_train(longer, "run", root, resume=True)
    assert_same(run, whole)
    assert len(run.identity.changed) == 1
    assert run.plan.settings["iters"].value == 24


PUT_BACK = " Put them back, or start a new run under another --name."


@pytest.mark.parametrize(
    ("now", "says"),
    [
        ({"iters": 20}, "--extend trains longer, but iters is 20 and was 20. Set a larger iters."),
        ({"iters": 10}, "--extend trains longer, but iters is 10 and was 20. Set a larger iters."),
        (
            {"iters": 30, "seed": 1},
            "can't be extended, since it was started with other values: seed (0 then, 1 now)." + PUT_BACK,
        ),
        (
            {"iters": 30, "lr_schedule": {"name": "linear_schedule", "arguments": [0.1, 0.01, 12]}},
            "can't be extended, since it was started with other values: lr_schedule.arguments ([0.1, 0.01, 8.0] then, "
            "[0.1, 0.01, 12.0] now). The schedule of a run stays what its first updates followed." + PUT_BACK,
        ),
    ],
    ids=["same", "shorter", "seed", "schedule"],
)
def test_what_is_no_extension_is_refused(
    tiny_model: Path, tiny_data: Path, tmp_path: Path, now: dict[str, Any], says: str
) -> None:
    run = fake_train(make_config(tiny_model, tiny_data, **SCHEDULE), "run", tmp_path)
    before = {path: path.read_bytes() for path in run.folder.path.rglob("*") if path.is_file()}
    assert refusal(make_config(tiny_model, tiny_data, **(SCHEDULE | now)), tmp_path) == says
    assert {path: path.read_bytes() for path in run.folder.path.rglob("*") if path.is_file()} == before


def test_an_early_stop_is_not_overruled(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    stopping: dict[str, Any] = {"early_stopping": {"patience": 1, "min_improvement": 5.0}}
    fake_train(make_config(tiny_model, tiny_data, **stopping), "run", tmp_path)
    said = refusal(make_config(tiny_model, tiny_data, iters=40, **stopping), tmp_path)
    assert said.startswith("can't be extended: early stop after iteration 12: ")
    assert said.endswith("Start a new run with a larger early_stopping.patience.")
    again = refusal(make_config(tiny_model, tiny_data, **stopping), tmp_path, extend=False, resume=True)
    assert again == said.replace("extended", "resumed")


def test_resume_alone_still_refuses_another_length(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    fake_train(make_config(tiny_model, tiny_data), "run", tmp_path)
    said = refusal(make_config(tiny_model, tiny_data, iters=30), tmp_path, extend=False, resume=True)
    assert said.startswith("can't be resumed, since it was started with other values: iters (20 then, 30 now). ")
    assert said.endswith(" Train it longer with --extend.")


def test_what_the_schedule_does_in_the_added_updates_is_said_where_there_is_one(
    tiny_model: Path, tiny_data: Path, tmp_path: Path
) -> None:
    for name, settings, count in (("plain", {}, 0), ("schedule", SCHEDULE, 1)):
        said: list[str] = []
        fake_train(make_config(tiny_model, tiny_data, iters=12, **settings), name, tmp_path)
        longer = make_config(tiny_model, tiny_data, iters=30, **settings)
        fake_train(longer, name, tmp_path, extend=True, say=said.append, base=FakeBase())
        schedule = [text for text in said if "lr_schedule" in text]
        assert len(schedule) == count
    assert schedule == [
        "lr_schedule is not stretched to the new length: update 5 has the rate 0.055 and the last, update 10, 0.01."
    ]
    assert load_run("schedule", tmp_path).identity.result["optimizer_updates"] == 10
