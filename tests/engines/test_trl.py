"""TRL's SFTTrainer, really run, writes a run folder: its own measures, packing, early stopping, a resumed training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from runoff.cli.main import app
from runoff.data import encode_for_training, load_rows, load_tokenizer, make_batch
from runoff.errors import RunError
from runoff.runs import Run, load_run
from tests.engines.support import nats_of, open_any
from tests.support.runs import make_data, of_kind

for library in ("torch", "trl", "peft", "datasets"):
    pytest.importorskip(library, reason=f"{library} is not installed, so TRL's trainer can't be run")

ROWS = 16


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_data(tmp_path / "data", train=ROWS, valid=6)


def fit(model: Path, data: Path, root: Path, *more: Any, resume: bool = False, **options: Any) -> Run:
    """What a script does that trains with TRL."""
    import datasets
    import torch
    import trl
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from runoff.callbacks.transformers import RunoffCallback

    def rows(part: str) -> Any:
        chats = [json.loads(line)["messages"] for line in (data / f"{part}.jsonl").read_text("utf-8").splitlines()]
        return datasets.Dataset.from_list([{"prompt": chat[:1], "completion": chat[1:]} for chat in chats])

    defaults = {
        "output_dir": str(root.parent / "output"), "max_steps": 4, "logging_steps": 1, "eval_steps": 2, "save_steps": 2,
        "per_device_train_batch_size": 2, "gradient_accumulation_steps": 2, "learning_rate": 1e-2, "bf16": False,
        "eval_strategy": "steps", "save_strategy": "steps", "report_to": [], "use_cpu": True, "disable_tqdm": True,
        "gradient_checkpointing": False, "max_length": 256,
    }  # fmt: skip
    trainer = trl.SFTTrainer(
        AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32),
        args=trl.SFTConfig(**(defaults | options)),
        train_dataset=rows("train"),
        eval_dataset=rows("valid"),
        processing_class=AutoTokenizer.from_pretrained(model),
        peft_config=LoraConfig(r=2, lora_alpha=8, lora_dropout=0.1, target_modules=["q_proj", "v_proj"]),
        callbacks=[*more, RunoffCallback("trl", data=data, root=root)],
    )
    trainer.train(resume_from_checkpoint=resume or None)
    return load_run("trl", root)


def test_every_measure_of_trl_is_kept_under_a_name_with_its_unit(tiny: Path, data: Path, tmp_path: Path) -> None:
    run = fit(tiny, data, tmp_path / "runs")
    train, validation = of_kind(run, "train"), of_kind(run, "validation")
    assert [row.optimizer_updates for row in train] == [1, 2, 3, 4]
    assert [row.optimizer_updates for row in validation] == [2, 4]
    for row in [*train, *validation]:
        assert row.others.keys() == {"entropy_nats_per_target_token", "top_token_share", "read_tokens"}
        assert 4 < row.others["entropy_nats_per_target_token"] < 6, "of 259 nearly equal chances: 5.6 at most"
        assert 0 <= row.others["top_token_share"] <= 1
    encoded = encode_for_training(
        load_rows(data / "train.jsonl").rows, load_tokenizer(tiny), mask_prompt=True, max_seq_length=256
    )
    assert train[-1].others["read_tokens"] == sum(len(row.ids) for row in encoded), "one epoch, prompts too, no padding"
    settings, counts = run.plan.settings, run.plan.counts
    assert settings["mask_prompt"].value is True, "completion_only_loss was left to TRL"
    assert (settings["packing"].value, settings["lr_scheduler_type"].value) == (False, "linear")
    assert [counts[key].value for key in ("train_rows", "valid_rows", "effective_batch_rows")] == [ROWS, 6, 4]
    assert {"trl", "transformers", "peft", "torch"} <= run.identity.packages.keys()
    assert "trl: update 4/4" in CliRunner().invoke(app, ["watch", str(run.folder.path), "--once"]).output


def test_its_loss_is_in_nats_per_target_token(tiny: Path, data: Path, tmp_path: Path) -> None:
    """All rows in the first update: what this engine finds for the untrained model."""
    run = fit(tiny, data, tmp_path / "runs", max_steps=1, per_device_train_batch_size=ROWS // 2, save_strategy="no")
    rows = load_rows(data / "train.jsonl").rows
    batch = make_batch(list(encode_for_training(rows, load_tokenizer(tiny), mask_prompt=True, max_seq_length=256)))
    expected = nats_of(open_any("torch", tiny).attach(None), batch) / batch.target_tokens
    assert of_kind(run, "train")[0].nats_per_target_token == pytest.approx(expected, abs=1e-4)


def test_packed_rows_are_not_counted_as_rows_and_an_early_stop_says_which_adapter_ships(
    tiny: Path, data: Path, tmp_path: Path
) -> None:
    from transformers import EarlyStoppingCallback

    stop = EarlyStoppingCallback(early_stopping_patience=1, early_stopping_threshold=9.0)
    best: dict[str, Any] = {
        "load_best_model_at_end": True,
        "metric_for_best_model": "eval_loss",
        "greater_is_better": False,
    }
    run = fit(tiny, data, tmp_path / "runs", stop, max_steps=8, packing=True, **best)
    result = run.identity.result
    assert result["reason"] == ("ended after optimizer update 4 of 8, as early stopping or another callback asked")
    lowest = of_kind(run, "validation")[1].nats_per_target_token
    assert result["adapter_reason"] == f"the one of optimizer update 4, with the lowest eval_loss ({lowest:.4f})"
    counts = run.plan.counts
    assert counts["optimizer_updates"].value == 4
    assert not counts["effective_batch_rows"].known
    assert not counts["train_rows"].known
    assert run.plan.settings["packing"].value is True


def test_a_training_resumed_from_its_checkpoint_is_one_run(tiny: Path, data: Path, tmp_path: Path) -> None:
    from transformers import TrainerCallback

    class Breaks(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == 3:
                raise OSError("the cable")

    whole = fit(tiny, data, tmp_path / "whole" / "runs")
    root = tmp_path / "broken" / "runs"
    with pytest.raises(OSError, match="the cable"):
        fit(tiny, data, root, Breaks())
    with pytest.raises(RunError, match="this run exists"):
        fit(tiny, data, root)
    run = fit(tiny, data, root, resume=True)
    assert run.identity.status == "finished"
    assert [row.optimizer_updates for row in of_kind(run, "train")] == [1, 2, 3, 4]
    losses = ([row.nats_per_target_token for row in of_kind(one, "train")] for one in (run, whole))
    assert next(losses) == pytest.approx(next(losses))
    assert [row.optimizer_updates for row in of_kind(run, "validation")] == [2, 4]
    assert [row.text for row in of_kind(run, "event")] == ["trl goes on from its checkpoint after optimizer update 2."]
    seconds = [row.seconds or 0.0 for row in run.metrics]
    assert seconds == sorted(seconds)
