"""The README.md that Trainer writes beside its adapter."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.importers.given import codes, count, kind_of, one, read, setting, write

from runoff.importers import import_runs

BULLETS = (
    "The following hyperparameters were used during training:\n"
    "- learning_rate: 0.0002\n- train_batch_size: 2\n- eval_batch_size: 8\n- seed: 7\n"
    "- gradient_accumulation_steps: 4\n- total_train_batch_size: 8\n"
    "- optimizer: Use OptimizerNames.ADAMW_TORCH_FUSED with betas=(0.9,0.999) and epsilon=1e-08\n"
    "- lr_scheduler_type: cosine\n- lr_scheduler_warmup_steps: 3\n- num_epochs: 2\n"
)
TABLE = (
    "\n### Training results\n\n| Training Loss | Epoch  | Step | Validation Loss |\n|:---:|:---:|:---:|:---:|\n"
    "| No log        | 0.8333 | 5    | 5.9125          |\n| 5.9539        | 1.6667 | 10   | 5.8330          |\n\n"
    "### Framework versions\n\n- PEFT 0.21.2\n- Transformers 5.23.0\n"
)
CARD = f"---\nlibrary_name: peft\n---\n\n# out\n\n### Training hyperparameters\n\n{BULLETS}{TABLE}"


def test_hyperparameters_and_validations_of_a_card(tmp_path: Path) -> None:
    write(tmp_path / "out" / "README.md", CARD)
    run = one(tmp_path, tmp_path / "out")
    values = {key: setting(run, key).value for key in ("learning_rate", "seed", "optimizer", "epochs", "batch_size")}
    assert values == {
        "learning_rate": 0.0002,
        "seed": 7,
        "optimizer": "adamw_torch_fused",
        "epochs": 2,
        "batch_size": 2,
    }
    assert (setting(run, "lr_scheduler_type").value, setting(run, "warmup_steps").value) == ("cosine", 3)
    assert setting(run, "learning_rate").origin.place == "out/README.md:10"
    assert count(run, "effective_batch_rows").value == 8
    assert [(row.kind, row.optimizer_updates, row.epoch, row.nats_per_target_token) for row in run.merged.rows] == [
        ("validation", 5, 0.8333, 5.9125),
        ("validation", 10, 1.6667, 5.833),
    ]
    assert "Transformers 5.23.0" in run.merged.evidence[0]


def test_what_a_card_leaves_out_is_one(tmp_path: Path) -> None:
    text = CARD.replace("- gradient_accumulation_steps: 4\n- total_train_batch_size: 8\n", "")
    run = one(tmp_path, write(tmp_path / "README.md", text))
    told = setting(run, "grad_accumulation_steps")
    assert (told.value, told.origin.place) == (1, "README.md:9 (left out, so 1)")
    assert count(run, "effective_batch_rows").value == 2


def test_a_card_is_rounded_and_agrees_with_trainers_own_state(tmp_path: Path) -> None:
    write(tmp_path / "out" / "README.md", CARD)
    history = [
        {"step": 5, "epoch": 0.83333, "eval_loss": 5.912497},
        {"step": 10, "epoch": 1.666666, "eval_loss": 5.833027},
    ]
    write(tmp_path / "out" / "trainer_state.json", {"global_step": 12, "max_steps": 12, "log_history": history})
    run = one(tmp_path, tmp_path / "out")
    assert [row.nats_per_target_token for row in run.merged.rows] == [5.912497, 5.833027]
    assert not {"I104", "I106"} & set(codes(run))


@pytest.mark.parametrize("text", ["# Mine\n\nIter 10: Train loss 2.0, It/sec 1.0, Tokens/sec 9.0\n", ""])
def test_any_other_readme_below_a_folder_is_passed_over(text: str, tmp_path: Path) -> None:
    write(tmp_path / "out" / "README.md", text)
    write(tmp_path / "out" / "m.csv", "iteration,train_loss\n10,2.5\n")
    report = import_runs([tmp_path / "out"], root=tmp_path / "runs", dry_run=True)
    assert [file.name for file in report.files] == ["out/m.csv"]


def test_a_card_named_on_the_command_line(tmp_path: Path) -> None:
    assert kind_of(write(tmp_path / "README.md", CARD)) == "model card"


def test_a_row_of_the_table_that_is_no_row_is_named(tmp_path: Path) -> None:
    reading = read(write(tmp_path / "README.md", CARD.replace("| 10   |", "| ten  |")))
    assert [row.optimizer_updates for row in reading.facts[0].rows] == [5]
    assert reading.tally.samples == ["README.md:26: | 5.9539        | 1.6667 | ten  | 5.8330          |"]
