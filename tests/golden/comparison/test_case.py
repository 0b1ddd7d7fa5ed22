"""A real decision between two runs: what its owner believed, and what a report has to say instead, claim by claim."""

# ruff: noqa: E501  (lines of a log and sentences stand whole)

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.golden.comparison.said import lines, numbers, table
from tests.support.recipes import MODEL

from runoff.comparison import compare, verdict
from runoff.importers import import_runs
from runoff.report import Report, report

SHARED: dict[str, object] = {
    "model": MODEL, "data": "data/pool", "train": True, "fine_tune_type": "lora", "optimizer": "adamw", "batch_size": 2,
    "learning_rate": 1e-5, "grad_checkpoint": True, "use_dora": False, "lora_rank": 8, "steps_per_report": 50,
    "save_every": 500, "seed": 42,
}  # fmt: skip
LONG: dict[str, object] = {"num_layers": 16, "iters": 1800, "grad_accumulation_steps": 4, "max_seq_length": 512}
SHORT: dict[str, object] = {
    "num_layers": 12, "iters": 1600, "grad_accumulation_steps": 16, "max_seq_length": 800, "steps_per_eval": 50,
    "lora_alpha": 8, "lora_dropout": 0.1,
}  # fmt: skip
DEFAULTS: dict[str, object] = {
    "lora_parameters": {"rank": 8, "dropout": 0.0, "scale": 20.0}, "lr_schedule": None, "mask_prompt": False,
    "optimizer_config": {"adamw": {}}, "project_name": None, "report_to": None, "resume_adapter_file": None,
    "steps_per_eval": 200, "test": False, "test_batches": 500, "val_batches": 25,
}  # fmt: skip
TAIL = """Iter 1800: Val loss 1.629, Val took 28.928s
Iter 1800: Train loss 1.443, Learning Rate 1.000e-05, It/sec 0.417, Tokens/sec 180.235, Trained Tokens 751673, Peak mem 8.082 GB
Saved final weights to out/run3/adapters.safetensors.
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("case")
    long = _files(folder, "run3", LONG, {}, TAIL)
    short = _files(folder, "run4", SHORT, {"max_seq_length": 700}, None)
    root = folder / "runs"
    told = {"run3": (long, 1367, 342), "run4": (short, 1600, 109)}
    runs = [
        import_runs(
            [place],
            name=name,
            root=root,
            tool="mlx-lm@0.28.3",
            assignments=[f"train_rows={train}", f"valid_rows={valid}", "longest_row_tokens=739"],
        ).runs[0]
        for name, (place, train, valid) in told.items()
    ]
    comparison = compare(runs)
    return report(comparison, verdict(comparison))


def _files(folder: Path, name: str, own: dict[str, object], recorded: dict[str, object], log: str | None) -> Path:
    place = folder / name
    place.mkdir()
    asked = SHARED | own | {"adapter_path": f"out/{name}"}
    (place / f"{name}.yaml").write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in asked.items()))
    record = DEFAULTS | asked | recorded | {"config": f"{name}.yaml"}
    (place / "adapter_config.json").write_text(json.dumps(record, indent=4))
    if log:
        (place / "tail.log").write_text(log)
    return place


def says(finished: Report, *wanted: str) -> None:
    told = "\n".join(lines(finished))
    for text in wanted:
        assert text in told, f"{text!r} is not in\n{told}"


def test_1_and_2_alpha_dropout_and_rank_were_not_read(finished: Report) -> None:
    held = {(row[0], row[2]): row[3] for row in table(finished, "Declared, and what held")}
    assert "scale 20.0" in held["run4", "mlx-lm does not read lora_alpha: 8 here."]
    assert "which at rank 8 is alpha 160" in held["run4", "mlx-lm does not read lora_alpha: 8 here."]
    assert "dropout 0.0" in held["run4", "mlx-lm does not read lora_dropout: 0.1 here."]
    for run in ("run3", "run4"):
        assert held[run, "mlx-lm does not read lora_rank: 8 here."].endswith("the same, but not by this key.")
    counts = numbers(finished, "Counts and rates")
    assert (counts["adapter scale"], counts["alpha (scale x rank)"]) == ([20.0, 20.0], [160.0, 160.0])
    differing = {row[0] for row in table(finished, "Settings that differ")}
    assert not differing & {"lora_parameters.scale", "lora_parameters.dropout", "lora_parameters.rank"}
    restraint = next(row for row in table(finished, "Capacity, budget and restraint") if row[0] == "restraint")
    assert restraint[1:] == ("weight decay 0.01", "weight decay 0.01")


def test_3_a_quarter_fewer_blocks_leaves_a_fifth_more_untouched(finished: Report) -> None:
    says(
        finished,
        "Of the base's 36 blocks run3 adapts 16 and leaves 20 untouched, run4 adapts 12 and leaves 24 untouched. "
        "run4 adapts 25 % fewer than run3 and leaves 20 % more untouched. The base's own weights change in neither. "
        "Trainable parameters: run3 6,717,440, run4 5,038,080.",
    )


def test_4_to_8_epochs_iterations_batches_and_updates(finished: Report) -> None:
    says(
        finished,
        "run3 makes 450 optimizer updates of 8 rows (2.63 epochs) and run4 makes 100 optimizer updates of 32 rows (2.00 "
        "epochs). run4 makes 11 % fewer iterations than run3. run3 makes 4.5 times as many optimizer updates as run4. The "
        "learning rate is the same constant 1e-05 in both",
    )
    notes = " ".join(block.note for section in finished.sections for block in section.blocks if hasattr(block, "note"))
    assert (
        "Epochs of run3: 3600 rows seen / 1367; by full batches 2.64 (683 iterations an epoch, 1 of the rows" in notes
    )


def test_9_validations(finished: Report) -> None:
    says(finished, "Validations: run3 10 times 50 rows, run4 33 times 50 rows.")


def test_10_the_longest_row_is_cut_in_both(finished: Report) -> None:
    says(
        finished,
        "The longest row has 739 tokens: run3 and run4 cut it, and its end token is lost.",
        "max_seq_length is 800 here, but 700 in",
    )


def test_11_12_and_13_what_the_gap_can_not_say(finished: Report) -> None:
    says(
        finished,
        "run3: the last validation loss is 0.186 above the last training loss (12.9 % of it).",
        "The last validation loss and the last training loss are of different rows, and the training loss averages over "
        "weights that still moved: the gap alone shows neither overfitting nor its absence.",
        "run4 has no recorded metrics at all: nothing is known of how well it learnt.",
        "Each validation loss is of rows drawn anew at random (run3: 50 of 342 rows, run4: 50 of 109 rows)",
        "The last validation loss of run3 was taken before the last update",
        "run3: 1 of its 10 validations is recorded; one that is not may have been better.",
    )


def test_14_the_data_was_split_anew(finished: Report) -> None:
    says(
        finished,
        "at least 233 of run3's 342 validation rows are among run4's training rows",
        "The training rows differ (run3: 1367, run4: 1600 rows): the data was changed between the runs, though both name "
        "the same folder, data/pool.",
    )


def test_15_the_figures_of_the_log_agree_with_each_other(finished: Report) -> None:
    shown = {row[0]: row[1:] for row in table(finished, "Losses in nats")}
    assert shown["those tokens per second"] == ("180.2", "unknown")
    assert shown["iterations per second"] == ("0.417", "unknown")
    assert shown["tokens trained on, as the tool counts them"] == ("751,673", "unknown")
    assert shown["peak memory"] == ("8.08 GB", "unknown")
    assert shown["time of one validation"] == ("29 s", "unknown")
    assert shown["those tokens per iteration"] == ("417.6", "unknown")
    assert shown["the same in the last window reported"] == ("432.2", "unknown")
    assert shown["time of all iterations at that pace"] == ("72 min", "unknown")


def test_16_none_is_recommended_and_no_cause_assigned(finished: Report) -> None:
    assert (finished.decision, finished.ship) == ("insufficient evidence", None)
    says(
        finished,
        "4 settings (num_layers, iters, grad_accumulation_steps and max_seq_length) and the training rows differ at once, "
        "so no difference in the results can be put down to any one of them.",
        "Insufficient evidence: run3 and run4 were never scored on a held-out test set, so none is recommended.",
    )


def test_nothing_is_said_of_what_was_not_measured(finished: Report) -> None:
    told = "\n".join(lines(finished))
    for word in ("Ship", "better than", "overfits", "regulariz", "preserves", "diverged", "equivalent"):
        assert word not in told
