"""PEFT's and Trainer's records: what they leave out, write in any order, or write without meaning it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
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


def test_a_loop_of_ones_own_is_not_taken_for_trainers(tmp_path: Path) -> None:
    """An adapter folder says PEFT, but nothing of how the losses beside it were averaged."""
    adapter = write(tmp_path / "a" / "adapter_config.json", PEFT)
    table = write(tmp_path / "a" / "losses.csv", "iteration,train_loss\n1,2.5\n2,2.4\n")
    assert one(tmp_path, adapter, table, name="a").merged.loss_definition is None
    definition = one(tmp_path, adapter, state(tmp_path / "a"), name="b").merged.loss_definition
    assert definition is not None
    assert definition.startswith("Hugging Face Trainer")


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


KNOWN = {"base_model_name_or_path": "HuggingFaceTB/SmolLM2-135M", "target_modules": ["q_proj", "v_proj"]}
PLAIN = {"layers_to_transform": None, "exclude_modules": None}


@pytest.mark.parametrize("empty", [None, []])
@pytest.mark.parametrize("target", [["q_proj", "self_attn.v_proj"], "all-linear"])
def test_no_layers_to_transform_is_every_block(target: Any, empty: Any, tmp_path: Path) -> None:
    body = PEFT | KNOWN | PLAIN | {"target_modules": target, "layers_to_transform": empty}
    run = one(tmp_path, write(tmp_path / "a" / "adapter_config.json", body))
    told = setting(run, "num_layers")
    assert (told.value, told.origin.why) == (-1, "layers_to_transform is empty, which in PEFT is every block")
    assert (count(run, "adapted_blocks").value, count(run, "lowest_adapted_block").value) == (30, 0)
    assert setting(run, "layers_to_transform").value is None, "known, so a run with some is told apart"


@pytest.mark.parametrize(
    "change",
    [
        {"target_modules": r".*layers\.(28|29)\..*q_proj"},
        {"target_modules": ["model.layers.3.self_attn.q_proj"]},
        {"exclude_modules": r".*layers\.0\..*"},
    ],
)
def test_names_that_choose_blocks_leave_their_number_open(change: dict[str, Any], tmp_path: Path) -> None:
    run = one(tmp_path, write(tmp_path / "a" / "adapter_config.json", PEFT | KNOWN | PLAIN | change))
    (key,) = change
    assert setting(run, "num_layers").origin.why == (
        f"{key} is a pattern or names blocks itself; the adapter's tensors would tell"
    )
    assert not count(run, "adapted_blocks").known
    assert not count(run, "trainable_parameters").known


@pytest.mark.parametrize(
    ("chosen", "blocks", "lowest", "parameters"), [([0, 1], 2, 0, 15_360), (2, 1, 2, 7_680), ([29, 30], 1, 29, 7_680)]
)
def test_the_chosen_blocks_are_the_adapted_ones(
    chosen: Any, blocks: int, lowest: int, parameters: int, tmp_path: Path
) -> None:
    """Not the last ones, as mlx-lm's num_layers has it. 4 x (576 + 576 + 576 + 192) parameters a block."""
    run = one(tmp_path, write(tmp_path / "a" / "adapter_config.json", PEFT | KNOWN | {"layers_to_transform": chosen}))
    counted = [count(run, key).value for key in ("adapted_blocks", "lowest_adapted_block", "trainable_parameters")]
    assert counted == [blocks, lowest, parameters]
    assert setting(run, "layers_to_transform").value == (chosen if isinstance(chosen, list) else [chosen])


def test_a_rank_pattern_leaves_rank_and_parameters_open(tmp_path: Path) -> None:
    body = PEFT | KNOWN | PLAIN | {"rank_pattern": {"q_proj": 8}}
    run = one(tmp_path, write(tmp_path / "a" / "adapter_config.json", body))
    rank = setting(run, "lora_parameters.rank")
    assert (rank.declared, rank.origin.why) == (4, "rank_pattern gives the layers different ranks")
    assert not count(run, "trainable_parameters").known


def test_trainers_of_peft_without_a_key_for_blocks_adapt_every_one(tmp_path: Path) -> None:
    yaml = "model_name_or_path: Qwen/Qwen3-0.6B\nstage: sft\nfinetuning_type: lora\nlora_target: q_proj,v_proj\n"
    run = one(tmp_path, write(tmp_path / "a.yaml", yaml + "cutoff_len: 512\nlora_rank: 4\n"))
    assert (setting(run, "num_layers").value, count(run, "adapted_blocks").value) == (-1, 28)
    axolotl = "base_model: Qwen/Qwen3-0.6B\nmicro_batch_size: 2\nadapter: lora\nlora_r: 4\nlora_target_linear: true\n"
    run = one(tmp_path, write(tmp_path / "b.yaml", axolotl + "peft_layers_to_transform: [26, 27]\n"))
    assert (setting(run, "num_layers").value, count(run, "lowest_adapted_block").value) == (2, 26)


@pytest.mark.parametrize(
    ("change", "kind"), [({}, "lora"), ({"use_dora": True}, "dora"), ({"peft_type": "IA3"}, "ia3")]
)
def test_pefts_kinds(change: dict[str, Any], kind: str, tmp_path: Path) -> None:
    run = one(tmp_path, write(tmp_path / "a" / "adapter_config.json", PEFT | KNOWN | PLAIN | change))
    assert setting(run, "fine_tune_type").value == kind
    assert count(run, "trainable_parameters").known == (kind in ("lora", "dora"))


@pytest.mark.parametrize(
    ("line", "kind"), [("adapter: qlora", "lora"), ("adapter:", "full"), ("finetuning_type: freeze", "freeze")]
)
def test_kinds_that_a_configuration_asks_for(line: str, kind: str, tmp_path: Path) -> None:
    text = f"base_model: m\nmicro_batch_size: 2\nsequence_len: 512\n{line}\n"
    assert setting(one(tmp_path, write(tmp_path / "a.yaml", text)), "fine_tune_type").value == kind
