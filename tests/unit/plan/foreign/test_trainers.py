"""TRL, axolotl and LLaMA-Factory: what of a file they read, and what an unknown key does to them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from runoff.config import read_text
from runoff.plan.foreign import Around, ToolReport, tool_report


def report(tool: str, text: str) -> ToolReport:
    return tool_report(tool, read_text(text, path=Path("run.yaml")).given, Around())


def test_trl_stops_at_mlx_keys_and_trains_the_whole_model_by_default() -> None:
    found = report("trl", "learning_rate: 1e-5\niters: 5\n")
    assert [stop.text.split(",")[0] for stop in found.stops] == ["it does not know iters"]
    assert found.setting("learning_rate") == 1e-5
    assert any("the whole model is trained" in note.why for note in found.notes)
    assert report("trl", "use_peft: true\nlora_r: 8\nlora_alpha: 16\n").setting("scale") == 2.0


def test_rank_stabilised_scale() -> None:
    assert report("trl", "use_peft: true\nlora_r: 16\nlora_alpha: 16\nuse_rslora: true\n").setting("scale") == 4.0


def test_rsloras_switch_has_axolotls_own_name() -> None:
    text = "base_model: m\nadapter: lora\nlora_r: 16\nlora_alpha: 16\n"
    assert report("axolotl", f"{text}peft_use_rslora: true\n").setting("scale") == 4.0
    found = report("axolotl", f"{text}use_rslora: true\n")
    assert (found.setting("scale"), [ignored.key for ignored in found.ignored]) == (1.0, ["use_rslora"])


def test_trainers_on_transformers_share_its_defaults() -> None:
    keys = ("lr_scheduler_type", "warmup_steps", "num_train_epochs", "max_steps", "gradient_accumulation_steps", "seed")
    trl, llama_factory = (report(tool, "learning_rate: 1e-5\n") for tool in ("trl", "llama-factory"))
    assert [trl.setting(key) for key in keys] == [llama_factory.setting(key) for key in keys] == [
        "linear", 0, 3.0, -1, 1, 42,
    ]  # fmt: skip


def test_llama_factory_doubles_the_rank_for_alpha() -> None:
    found = report("llama-factory", "lora_rank: 16\ncutoff_len: 512\n")
    assert (found.setting("scale"), found.stops) == (2.0, ())


def test_axolotl_passes_over_what_it_does_not_know() -> None:
    found = report("axolotl", "base_model: m\nadapter: lora\nlora_r: 8\nlora_alpha: 16\nlora_rank: 4\n")
    assert [ignored.key for ignored in found.ignored] == ["lora_rank"]
    assert (found.setting("scale"), found.stops) == (2.0, ())


def test_another_version_is_said_aloud() -> None:
    assert report("axolotl@0.4.0", "adapter: lora\n").notes[0].value == "0.18.0"


def test_trl_names_and_defaults_are_those_of_the_installed_version() -> None:
    trl = pytest.importorskip("trl")
    if trl.__version__ != "1.16.0":
        pytest.skip("the rules are of 1.16.0")
    from runoff.plan.foreign.trainer_keys import TRL

    fields = {f.name: f.default for cls in (trl.SFTConfig, trl.ModelConfig) for f in dataclasses.fields(cls)}
    assert set(fields) <= TRL
    ours = {row.key: row.value for row in report("trl", "seed: 42\n").settings if row.key in fields}
    del ours["model_name_or_path"]
    assert {key: fields[key] for key in ours if fields[key] is not dataclasses.MISSING} == ours
