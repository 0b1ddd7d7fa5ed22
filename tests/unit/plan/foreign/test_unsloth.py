"""unsloth's file of sections: what it reads, and where it stops."""

from __future__ import annotations

from pathlib import Path

from runoff.config import read_text
from runoff.plan.foreign import Around, ToolReport, tool_report

FILE = """\
model: unsloth/Qwen3-0.6B
data: {dataset: mine}
training:
  batch_size: 4
  max_steps: 60
lora:
  lora_r: 8
  lora_alpha: 16
"""


def report(text: str) -> ToolReport:
    return tool_report("unsloth", read_text(text, path=Path("run.yaml")).given, Around())


def test_its_own_file_is_read_with_its_defaults() -> None:
    found = report(FILE)
    assert found.stops == ()
    assert found.setting("training.batch_size") == 4
    assert found.setting("training.learning_rate") == 2e-4
    assert found.setting("scale") == 2.0
    assert {row.key: row.value for row in found.counts} == {"rows per update": 16, "optimizer updates": 60}


def test_the_defaults_alone() -> None:
    found = report("model: m\n")
    assert (found.setting("scale"), found.stops) == (0.25, ())
    assert [note.value for note in found.notes] == ["4 bit"]
    assert [row.key for row in found.counts] == ["rows per update"]
    assert report("model: m\nlora: {lora_r: 16, use_rslora: true}\n").setting("scale") == 4.0


def test_a_key_at_another_place_stops_it_and_the_fix_names_the_section() -> None:
    (stop,) = report("model: m\nlora_alpha: 8\n").stops
    assert stop.place == "run.yaml:2"
    assert (stop.text.split(";")[0], stop.fix) == ("lora_alpha belongs below lora:", "lora: {lora_alpha: 8}")
    (inside,) = report("lora: {model: m}\n").stops
    assert "belongs at the top level" in inside.text


def test_unknown_keys_and_sections_that_are_no_sections() -> None:
    unknown, section = report("learning_rat: 1.0e-4\ntraining: 5\n").stops
    assert "the nearest that it has is learning_rate" in unknown.text
    assert "training is a section" in section.text
    (far,) = report("iters: 5\n").stops
    assert far.text == "it does not know iters, and ends before training"
