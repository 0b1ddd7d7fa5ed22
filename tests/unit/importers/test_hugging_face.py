"""PEFT's and Trainer's records: what they leave out, write in any order, or write without meaning it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.unit.importers.given import count, one, setting, write

PEFT = {"peft_type": "LORA", "r": 4, "lora_alpha": 16, "lora_dropout": 0.0, "bias": "none", "init_lora_weights": True}


def state(folder: Path, *, step: int = 20, **changes: Any) -> Path:
    history = [{"step": at, "epoch": at / 20, "loss": 2.0} for at in range(5, step + 1, 5)]
    history += [{"step": 10, "epoch": 0.5, "eval_loss": 2.1}, {"step": 20, "epoch": 1.0, "eval_loss": 2.0}]
    history = sorted((entry for entry in history if entry["step"] <= step), key=lambda entry: entry["step"])
    body = {"global_step": step, "max_steps": 20, "epoch": step / 20, "log_history": history}
    body |= {"logging_steps": 5, "eval_steps": 10, "save_steps": 500} | changes
    return write(folder / "trainer_state.json", body)


def test_target_modules_come_in_one_order(tmp_path: Path) -> None:
    for name, modules in (("a", ["v_proj", "q_proj"]), ("b", ["q_proj", "v_proj"])):
        path = write(tmp_path / name / "adapter_config.json", PEFT | {"target_modules": modules})
        assert setting(one(tmp_path, path), "lora_parameters.keys").value == ["q_proj", "v_proj"]
    regex = write(tmp_path / "c" / "adapter_config.json", PEFT | {"target_modules": r".*\.[qv]_proj"})
    assert setting(one(tmp_path, regex), "lora_parameters.keys").value == r".*\.[qv]_proj"


def test_what_has_no_name_of_ours_is_shown_or_named(tmp_path: Path) -> None:
    body = PEFT | {"modules_to_save": ["lm_head"], "init_lora_weights": "pissa", "brand_new": 3, "revision": None}
    run = one(tmp_path, write(tmp_path / "a" / "adapter_config.json", body))
    assert (setting(run, "modules_to_save").value, setting(run, "init_lora_weights").value) == (["lm_head"], "pissa")
    assert setting(run, "bias").value == "none"
    assert run.merged.plan.notes == ("Keys that are not interpreted here: brand_new.",)
    plain = one(tmp_path, write(tmp_path / "b" / "adapter_config.json", PEFT))
    assert (plain.merged.plan.notes, setting(plain, "init_lora_weights").value) == ((), True)
    assert "modules_to_save" not in plain.merged.plan.settings


def test_alpha_under_rslora_is_shown_beside_the_one_asked_for(tmp_path: Path) -> None:
    run = one(tmp_path, write(tmp_path / "a" / "adapter_config.json", PEFT | {"use_rslora": True}))
    assert (setting(run, "lora_parameters.scale").value, count(run, "alpha").value, count(run, "alpha").declared) == (
        8.0,
        32.0,
        16.0,
    )


def test_intervals_that_trainer_writes_without_using_them(tmp_path: Path) -> None:
    used = one(tmp_path, state(tmp_path / "a" / "checkpoint-20", save_steps=20)).merged.plan.settings
    assert [used[key].declared for key in ("steps_per_report", "steps_per_eval", "save_every")] == [5, 10, 20]
    unused = one(tmp_path, state(tmp_path / "b", eval_steps=500, logging_steps=7)).merged.plan.settings
    assert not {"steps_per_report", "steps_per_eval", "save_every"} & set(unused)


def test_an_early_end_in_updates(tmp_path: Path) -> None:
    early = one(tmp_path, state(tmp_path / "a", step=10)).merged.plan.findings
    assert [found.what for found in early if found.code == "I108"] == ["The files end at optimizer update 10 of 20."]
    whole = one(tmp_path, state(tmp_path / "b")).merged.plan.findings
    assert not [found for found in whole if found.code == "I108"]


def test_an_exact_epoch_goes_before_a_printed_one(tmp_path: Path) -> None:
    exact = state(tmp_path / "a", epoch=0.38095)
    log = write(tmp_path / "a" / "a.log", "{'train_runtime': '1.0', 'train_loss': '2.0', 'epoch': '0.381'}\n")
    assert count(one(tmp_path, exact, log, name="a"), "epochs").value == 0.38095


def test_rows_in_updates_of_an_unknown_tool(tmp_path: Path) -> None:
    rows = [{"global_step/max_steps": f"{at}/20", "loss": 2.0, "epoch": at / 20} for at in (5, 20)]
    run = one(tmp_path, write(tmp_path / "logging.jsonl", "".join(json.dumps(row) + "\n" for row in rows)))
    assert (run.merged.tool, count(run, "optimizer_updates").value, count(run, "epochs").value) == (None, 20, 1.0)
