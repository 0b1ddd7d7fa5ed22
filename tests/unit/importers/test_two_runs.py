"""A real decision between two runs, in the shapes of its files: what was believed, and what the files say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.importers.given import codes, count, mlx_config, one, setting, train_line, validation_line, write

from runoff.importers import ImportedRun

YAML = """\
# as its owner wrote it
model: HuggingFaceTB/SmolLM3-3B
data: data/training
adapter_path: models/SmolLM3-3B_{name}
train: true
fine_tune_type: lora
optimizer: adamw
num_layers: {layers}
lora_rank: 8
{more}learning_rate: 1e-5
batch_size: 2
iters: {iters}
max_seq_length: {length}
grad_accumulation_steps: {accumulation}
grad_checkpoint: true
use_dora: false
steps_per_report: 50
save_every: 500
seed: 42
"""
RUN3: dict[str, Any] = {"iters": 1800, "num_layers": 16, "grad_accumulation_steps": 4, "max_seq_length": 512}
RUN4: dict[str, Any] = {"iters": 1600, "num_layers": 12, "grad_accumulation_steps": 16, "max_seq_length": 700}


def config(name: str, **changes: Any) -> dict[str, Any]:
    shared = {
        "data": "data/training",
        "lora_rank": 8,
        "use_dora": False,
        "steps_per_report": 50,
        "save_every": 500,
        "steps_per_eval": 200,
    }
    place = {"adapter_path": f"models/SmolLM3-3B_{name}", "config": f"{name}.yaml"}
    return mlx_config(**(shared | place | changes))


@pytest.fixture
def run3(tmp_path: Path) -> ImportedRun:
    yaml = YAML.format(name="run3", layers=16, more="", iters=1800, length=512, accumulation=4)
    metrics = """{
  "SmolLM3-3B_run3": {
    "final_iteration": 1800,
    "final_train_loss": 1.443,
    "final_val_loss": 1.629,
    "final_learning_rate": 1e-05,
    "final_tokens_per_sec": 180.235,
    "final_iterations_per_sec": 0.417,
    "total_trained_tokens": 751673,
    "peak_memory_gb": 8.082,
    "final_val_time_sec": 28.928
  }
}"""
    tail = (
        validation_line(1800)
        + train_line(1800)
        + "Saved final weights to models/SmolLM3-3B_run3/adapters.safetensors.\n"
    )
    return one(
        tmp_path,
        write(tmp_path / "run3.yaml", yaml),
        write(tmp_path / "SmolLM3-3B_run3" / "adapter_config.json", config("run3", **RUN3)).parent,
        write(tmp_path / "run3_tail.log", tail),
        write(tmp_path / "run3_metrics.json", metrics),
        assignments=["train_rows=1367", "valid_rows=342"],
    )


@pytest.fixture
def run4(tmp_path: Path) -> ImportedRun:
    more = "lora_alpha: 8\nlora_dropout: 0.1\nsteps_per_eval: 50\n"
    yaml = YAML.format(name="run4", layers=12, more=more, iters=1600, length=800, accumulation=16)
    body = config("run4", lora_alpha=8, lora_dropout=0.1, **(RUN4 | {"steps_per_eval": 50}))
    return one(
        tmp_path,
        write(tmp_path / "run4.yaml", yaml),
        write(tmp_path / "SmolLM3-3B_run4" / "adapter_config.json", body).parent,
        name="run4",
        assignments=["train_rows=1600", "valid_rows=109"],
    )


def counts(run: ImportedRun, *keys: str) -> list[Any]:
    return [count(run, key).value for key in keys]


def test_row_1_and_2_alpha_and_dropout_were_not_read(run3: ImportedRun, run4: ImportedRun) -> None:
    for run in (run3, run4):
        values = [setting(run, f"lora_parameters.{key}").value for key in ("rank", "scale", "dropout")]
        assert values == [8, 20.0, 0.0]
        assert count(run, "alpha").value == 160
    ignored = [finding for finding in run4.merged.plan.findings if finding.code == "I101"]
    assert {finding.what.split()[4] for finding in ignored if finding.level == "warning"} == {
        "lora_alpha:",
        "lora_dropout:",
    }
    assert all(finding.place.startswith("run4.yaml:") for finding in ignored)


def test_row_3_adapted_blocks(run3: ImportedRun, run4: ImportedRun) -> None:
    assert counts(run3, "blocks", "adapted_blocks", "lowest_adapted_block") == [36, 16, 20]
    assert counts(run4, "blocks", "adapted_blocks", "lowest_adapted_block") == [36, 12, 24]


def test_rows_4_and_5_epochs(run3: ImportedRun, run4: ImportedRun) -> None:
    assert count(run3, "epochs").value == pytest.approx(3600 / 1367)
    assert "2.64 (683 iterations an epoch, 1 of the rows is never used)" in (count(run3, "epochs").origin.why or "")
    assert count(run4, "epochs").value == 2.0


def test_rows_6_to_8_iterations_updates_and_batches(run3: ImportedRun, run4: ImportedRun) -> None:
    keys = ("iterations", "effective_batch_rows", "optimizer_updates", "rows_seen", "learning_rate_sum")
    assert counts(run3, *keys) == [1800, 8, 450, 3600, pytest.approx(450e-5)]
    assert counts(run4, *keys) == [1600, 32, 100, 3200, pytest.approx(100e-5)]


def test_rows_9_and_13_validations(run3: ImportedRun, run4: ImportedRun) -> None:
    assert counts(run3, "validations", "validation_rows") == [10, 50]
    assert counts(run4, "validations", "validation_rows") == [33, 50]
    assert "drawn anew" in (count(run3, "validation_rows").origin.why or "")
    assert "I110" in codes(run3)


def test_row_10_the_yaml_and_the_record_disagree(run4: ImportedRun) -> None:
    value = setting(run4, "max_seq_length")
    assert (value.value, value.declared) == (700, 800)
    (finding,) = [finding for finding in run4.merged.plan.findings if finding.code == "I102"]
    assert finding.place == "run4.yaml:16"
    assert "SmolLM3-3B_run4/adapter_config.json:" in finding.what


def test_rows_11_and_15_metrics_once_with_their_places(run3: ImportedRun) -> None:
    validation, train = run3.merged.rows
    assert (validation.nats_per_target_token, validation.seconds) == (1.629, 28.928)
    assert (train.nats_per_target_token, train.target_tokens, train.peak_memory_bytes) == (1.443, 751673, 8082000000)
    assert (train.place, train.tokens_per_second, train.iterations_per_second) == ("run3_tail.log:2", 180.235, 0.417)
    assert "I104" not in codes(run3)


def test_row_15_tokens_and_time_agree_with_each_other(run3: ImportedRun, run4: ImportedRun) -> None:
    keys = ("target_tokens", "target_tokens_per_iteration", "target_tokens_per_iteration_at_last", "training_seconds")
    assert counts(run3, *keys) == [751_673, 417.6, 432.2, 4317]  # 72 minutes
    assert count(run3, "target_tokens").origin.place == "run3_tail.log:2"
    assert not any(count(run4, key).known for key in keys)


def test_row_12_and_16_nothing_is_known_of_run_4s_losses(run4: ImportedRun) -> None:
    assert run4.merged.rows == ()
    assert "I105" in codes(run4)


def test_trainable_parameters(run3: ImportedRun, run4: ImportedRun) -> None:
    assert counts(run3, "trainable_parameters", "base_parameters") == [6_717_440, 3_075_098_624]
    assert counts(run4, "trainable_parameters") == [5_038_080]


def test_the_version_is_a_range_with_its_reasons(run3: ImportedRun, run4: ImportedRun) -> None:
    for run in (run3, run4):
        assert (run.merged.tool, run.merged.version) == ("mlx-lm", "0.28.3 or later, before 0.31.2")
        assert any("report_to without wandb" in why for why in run.merged.evidence)


def test_the_files_found_each_other(run3: ImportedRun) -> None:
    assert len(run3.files) == 4
    assert run3.merged.name == "SmolLM3-3B_run3"


def test_the_record_is_read_back_as_it_was(run3: ImportedRun) -> None:
    assert run3.run is not None
    assert run3.run.plan == run3.merged.plan
    assert run3.run.metrics == run3.merged.rows
    identity = run3.run.identity
    assert identity.data == {"train": {"rows": 1367}, "valid": {"rows": 342}}
    assert identity.status == "imported"
    assert "mlx-lm" in identity.result["loss_definition"]
