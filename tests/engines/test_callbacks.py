"""The real trainers of mlx-lm and Hugging Face write a run folder that the rest of Runoff reads."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from runoff.cli.main import app
from runoff.comparison import compare, verdict
from runoff.data import Encoded, encode_for_training, load_rows, load_tokenizer
from runoff.errors import RunError
from runoff.evaluation import evaluate
from runoff.runs import Run, load_run
from tests.support.runs import chat_row, make_data, of_kind, write_rows

LORA: dict[str, Any] = {"rank": 2, "scale": 4.0, "dropout": 0.0, "keys": ["self_attn.q_proj", "self_attn.v_proj"]}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = make_data(tmp_path / "data")
    write_rows(folder / "test.jsonl", [chat_row(number) for number in range(40, 48)])
    return folder


def encoded(model: Path, file: Path) -> list[Encoded]:
    return list(encode_for_training(load_rows(file).rows, load_tokenizer(model), mask_prompt=False, max_seq_length=512))


def with_mlx_lm(model: Path, data: Path, root: Path, name: str = "mlx", *, breaks: bool = False, **options: Any) -> Run:
    """What a script does that trains with mlx_lm's own trainer."""
    import mlx.optimizers
    from mlx_lm.tuner.trainer import TrainingArgs, train
    from mlx_lm.tuner.utils import linear_to_lora_layers
    from mlx_lm.utils import load_model

    from runoff.callbacks.mlx_lm import recording

    base, _ = load_model(model)
    base.freeze()
    linear_to_lora_layers(base, 2, LORA)
    adapters = root.parent / "adapters"
    adapters.mkdir(exist_ok=True)
    args = TrainingArgs(
        batch_size=2,
        iters=8,
        val_batches=-1,
        steps_per_report=2,
        steps_per_eval=4,
        steps_per_save=8,
        adapter_file=str(adapters / "adapters.safetensors"),
        grad_accumulation_steps=2,
    )
    config = {
        "model": str(model),
        "data": str(data),
        "num_layers": 2,
        "lora_parameters": LORA,
        "learning_rate": 1e-2,
        "optimizer": "adam",
        "fine_tune_type": "lora",
    }
    train_set, valid_set = (
        [(row.ids.tolist(), 0) for row in encoded(model, data / f"{part}.jsonl")] for part in ("train", "valid")
    )
    with recording(name, config, args, root=root, **options) as callback:
        if breaks:
            broken = mlx.optimizers.Adam(learning_rate=lambda _updates: 1 / 0)
            train(base, broken, train_set, valid_set, args=args, training_callback=callback)
        optimizer = mlx.optimizers.Adam(learning_rate=1e-2)
        train(base, optimizer, train_set, valid_set, args=args, training_callback=callback)
    return load_run(name, root)


def with_trainer(model: Path, data: Path, root: Path, name: str = "hf", **options: Any) -> Run:
    """What a script does that trains with PEFT and Hugging Face's Trainer."""
    import torch
    import transformers
    from peft import LoraConfig, get_peft_model

    from runoff.callbacks.transformers import RunoffCallback

    base = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    lora = LoraConfig(r=2, lora_alpha=8, lora_dropout=0.0, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    arguments = transformers.TrainingArguments(
        output_dir=str(root.parent / "output"),
        per_device_train_batch_size=2,
        gradient_accumulation_steps=2,
        max_steps=6,
        logging_steps=1,
        eval_strategy="steps",
        eval_steps=3,
        save_strategy="no",
        learning_rate=1e-2,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )

    def collate(rows: list[dict[str, list[int]]]) -> dict[str, Any]:
        width = max(len(row["input_ids"]) for row in rows)
        ids = torch.tensor([row["input_ids"] + [0] * (width - len(row["input_ids"])) for row in rows])
        return {"input_ids": ids, "attention_mask": (ids != 0).long(), "labels": ids.masked_fill(ids == 0, -100)}

    sets = [
        [{"input_ids": row.ids.tolist()} for row in encoded(model, data / f"{part}.jsonl")]
        for part in ("train", "valid")
    ]
    trainer = transformers.Trainer(
        get_peft_model(base, lora), arguments, data_collator=collate, train_dataset=sets[0], eval_dataset=sets[1]
    )
    trainer.add_callback(RunoffCallback(name, data=data, root=root, **options))
    trainer.train()
    return load_run(name, root)


def test_mlx_lms_trainer_leaves_a_run(tiny: Path, data: Path, tmp_path: Path) -> None:
    pytest.importorskip("mlx_lm")
    run = with_mlx_lm(tiny, data, tmp_path / "runs")
    assert run.identity.status == "finished"
    assert (run.identity.imported or {})["tool"] == "mlx-lm"
    assert [(row.iteration, row.optimizer_updates) for row in of_kind(run, "train")] == [(2, 1), (4, 2), (6, 3), (8, 4)]
    assert [row.iteration for row in of_kind(run, "validation")] == [0, 3, 7], "mlx-lm validates before an iteration"
    assert all(row.peak_memory_bytes for row in of_kind(run, "train"))
    settings = run.plan.settings
    assert settings["lora_parameters.scale"].value == 4.0
    assert settings["iters"].value == 8
    assert settings["save_every"].value == 8
    assert settings["grad_accumulation_steps"].value == 2
    assert run.plan.counts["trainable_parameters"].value == 2 * (2 * (32 + 32) + 2 * (32 + 16))
    assert run.identity.data["train"]["rows"] == 11


def test_the_trainer_of_hugging_face_leaves_a_run(tiny: Path, data: Path, tmp_path: Path) -> None:
    for library in ("torch", "transformers", "peft", "accelerate"):
        pytest.importorskip(library)
    run = with_trainer(tiny, data, tmp_path / "runs")
    assert run.identity.status == "finished"
    assert run.identity.result["reason"] == "all 6 optimizer updates were made"
    assert [(row.iteration, row.optimizer_updates) for row in of_kind(run, "train")] == [
        (None, at) for at in range(1, 7)
    ]
    assert [row.optimizer_updates for row in of_kind(run, "validation")] == [3, 6]
    assert all(row.learning_rate is not None and row.gradient_norm is not None for row in of_kind(run, "train"))
    assert run.plan.settings["lora_parameters.scale"].value == 4.0
    assert run.plan.counts["optimizer_updates"].value == 6
    assert run.plan.counts["effective_batch_rows"].value == 4
    shown = CliRunner().invoke(app, ["watch", "hf", "--runs", str(tmp_path / "runs"), "--once"]).output
    assert shown.startswith("hf: update 6/6  epoch ")


@pytest.mark.parametrize("trained", [with_mlx_lm, with_trainer])
def test_such_a_run_is_shown_evaluated_and_compared(
    tiny: Path, data: Path, tmp_path: Path, trained: Callable[..., Run]
) -> None:
    pytest.importorskip("mlx_lm" if trained is with_mlx_lm else "accelerate")
    root = tmp_path / "runs"
    runs = [trained(tiny, data, root, name) for name in ("one", "two")]
    shown = CliRunner().invoke(app, ["show", "one", "--runs", str(root)]).output
    assert "lora_parameters.scale" in shown
    (first, _) = evaluate(runs)
    assert len(first.rows) == 8
    adapted, bare = (sum(row.nats for row in rows) for rows in (first.rows, first.base_rows))
    assert abs(adapted - bare) > 0.01, "the adapter changed nothing: it was not found"
    comparison = compare(runs)
    assert verdict(comparison) is not None


def test_a_training_that_breaks_is_failed_and_a_taken_name_refused(tiny: Path, data: Path, tmp_path: Path) -> None:
    pytest.importorskip("mlx_lm")
    root = tmp_path / "runs"
    with pytest.raises(ZeroDivisionError):
        with_mlx_lm(tiny, data, root, breaks=True)
    run = load_run("mlx", root)
    assert run.identity.status == "failed"
    assert "ZeroDivisionError" in run.identity.result["reason"]
    with pytest.raises(RunError, match=r"this run exists\. Choose another name, or pass overwrite=True\."):
        with_mlx_lm(tiny, data, root)
    assert with_mlx_lm(tiny, data, root, overwrite=True).identity.status == "finished"


def test_the_folder_can_be_watched_while_it_fills(tiny: Path, data: Path, tmp_path: Path) -> None:
    from runoff.callbacks.live import LiveRun
    from runoff.runs import MetricRow

    live = LiveRun("run", "mlx-lm", "mlx-lm", {"model": str(tiny), "data": str(data), "iters": 100}, root=tmp_path)
    live.record(MetricRow("train", 10, nats_per_target_token=2.0))
    run = load_run("run", tmp_path)
    assert run.identity.status == "running"
    assert run.folder.writer_lives is True
    assert [row.iteration for row in run.metrics] == [10]
    assert "run: running." in CliRunner().invoke(app, ["watch", "run", "--runs", str(tmp_path), "--once"]).output
    with pytest.raises(RunError, match="another training is writing"), run.folder.lock():
        pass
    live.end("finished", "done")
    with load_run("run", tmp_path).folder.lock():
        pass
    plan = json.loads(run.folder.plan.read_text("utf-8"))
    assert not [finding for finding in plan["findings"] if finding["code"] == "I105"]


@pytest.mark.parametrize(("number", "name"), [(0, "run-5"), (1, "run-6")])
def test_the_documents_examples_run_as_they_stand(
    tiny: Path, data: Path, monkeypatch: pytest.MonkeyPatch, number: int, name: str
) -> None:
    """But for the model, which would have to be fetched."""
    pytest.importorskip(("mlx_lm", "accelerate")[number])
    page = (Path(__file__).parents[2] / "docs" / "callbacks.md").read_text("utf-8")
    block = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[number]
    monkeypatch.chdir(data.parent)
    exec(compile(block.replace("Qwen/Qwen3-0.6B", str(tiny)), "callbacks.md", "exec"), {})
    run = load_run(name, data.parent / "runs")
    assert run.identity.status == "finished"
    assert run.folder.has_adapter
    assert run.identity.data["train"]["rows"] == 11
