"""The runs that would tell several changed settings apart, and their commands."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from tests.support.run_folders import Told, make_run

from runoff.comparison import Comparison, compare, verdict
from runoff.comparison.separation import Separation, separation
from runoff.config import flatten, load_config, parse_config
from runoff.files import write_text
from runoff.runs import Run


def run_of(root: Path, name: str, **settings: Any) -> Run:
    """A run whose config.yaml and record agree."""
    text = json.dumps({"model": "smollm2-135m", **settings})
    told = flatten(parse_config(text).settings)
    run = make_run(root, name, Told(settings=told))
    write_text(run.folder.config, text)
    return run


def separated(*runs: Run) -> Separation:
    found = separation(compare(runs))
    assert found is not None
    return found


def overrides(command: str) -> list[str]:
    words = shlex.split(command)
    return [words[at + 1] for at, word in enumerate(words) if word == "--set"]


def test_each_command_changes_one_setting_of_one_run_to_the_others(tmp_path: Path) -> None:
    a = run_of(tmp_path, "a", num_layers=8, iters=100, lora_parameters={"rank": 4})
    b = run_of(tmp_path, "b", num_layers=4, iters=200, lora_parameters={"rank": 16})
    found = separated(a, b)
    assert found.sentence.text == (
        "To tell which change matters, train b again with one thing of a at a time: num_layers 8, lora_parameters.rank "
        "4 and iters 100."
    )
    assert [overrides(command) for command in found.commands] == [
        ["num_layers=8"],
        ["lora_parameters.rank=4"],
        ["iters=100"],
    ]
    config = tmp_path / "b" / "config.yaml"
    assert found.commands[0] == (f"runoff train {config} --name b-num_layers-of-a --runs {tmp_path} --set num_layers=8")
    wanted = flatten(load_config(b.folder.config).settings)
    for command, (key, value) in zip(
        found.commands, [("num_layers", 8), ("lora_parameters.rank", 4), ("iters", 100)], strict=True
    ):
        made = flatten(load_config(b.folder.config, overrides(command)).settings)
        assert {name for name in wanted if made[name] != wanted[name]} == {key}
        assert made[key] == value


def test_the_order_of_the_runs_changes_nothing(tmp_path: Path) -> None:
    a, b = run_of(tmp_path, "a", num_layers=8, iters=100), run_of(tmp_path, "b", num_layers=4, iters=200)
    assert separated(a, b).commands == separated(b, a).commands
    assert separated(a, b).sentence.text == separated(b, a).sentence.text


def test_a_schedule_is_one_setting_and_keeps_its_parts_together(tmp_path: Path) -> None:
    schedule = {"name": "cosine_decay", "arguments": [1e-4, 50.0], "warmup": 5}
    a = run_of(tmp_path, "a", lr_schedule=schedule, seed=1)
    b = run_of(tmp_path, "b", learning_rate=1e-4, seed=2)
    found = separated(a, b)
    (wanted,) = [overrides(command) for command in found.commands if "lr_schedule" in command]
    made = load_config(b.folder.config, wanted).settings
    assert made.lr_schedule == load_config(a.folder.config).settings.lr_schedule
    back = separated(run_of(tmp_path, "c", learning_rate=2e-4, seed=1), run_of(tmp_path, "d", lr_schedule=schedule))
    (wanted,) = [overrides(command) for command in back.commands if "lr_schedule" in command]
    made = load_config(tmp_path / "d" / "config.yaml", wanted).settings
    assert (made.lr_schedule, made.learning_rate) == (None, 2e-4)
    assert "no lr_schedule" in back.sentence.text


def test_a_value_that_the_configuration_refuses_has_no_command(tmp_path: Path) -> None:
    a, b = run_of(tmp_path, "a", iters=100, seed=1), run_of(tmp_path, "b", epochs=2, seed=2)
    commands = separated(a, b).commands
    assert [overrides(command) for command in commands if "seed" in command] == [["seed=1"]]
    for command in commands:
        load_config(b.folder.config, overrides(command))


def test_a_run_of_another_tool_has_the_sentence_alone(tmp_path: Path) -> None:
    told = [Told(settings={"num_layers": n, "seed": n}, identity={"imported": {"tool": "mlx-lm"}}) for n in (4, 8)]
    found = separated(*(make_run(tmp_path, name, one) for name, one in zip("ab", told, strict=True)))
    assert found.commands == ()
    assert "train b again with one thing of a at a time: num_layers 4 and seed 4." in found.sentence.text


def test_one_change_needs_no_separation(tmp_path: Path) -> None:
    comparison: Comparison = compare([run_of(tmp_path, "a", num_layers=8), run_of(tmp_path, "b", num_layers=4)])
    assert separation(comparison) is None
    assert not any("one thing of a at a time" in text.text for text in verdict(comparison).would_change)
