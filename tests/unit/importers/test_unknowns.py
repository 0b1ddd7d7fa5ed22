"""What a log leaves open stays open: rows of a validation, blocks of an unknown base, an update that was not made."""

from __future__ import annotations

from pathlib import Path

from tests.unit.importers.given import count, mlx_config, old_log, one, setting, train_line, validation_line, write

from runoff.importers import ImportedRun


def finding(run: ImportedRun, code: str) -> str:
    return " ".join(str(found) for found in run.merged.plan.findings if found.code == code)


def adapter(tmp_path: Path, **changes: object) -> Path:
    return write(tmp_path / "run" / "adapter_config.json", mlx_config(**changes))


def test_the_rows_of_a_validation_are_unknown_without_those_of_the_set(tmp_path: Path) -> None:
    log = write(tmp_path / "run.log", old_log())
    run = one(tmp_path, adapter(tmp_path), log)
    rows = count(run, "validation_rows")
    assert not rows.known
    assert "at most 50 (25 batches of 2 rows" in (rows.origin.why or "")
    assert "is of 50 rows at most; of more rows they are drawn anew each time." in finding(run, "I110")
    told = one(tmp_path, adapter(tmp_path), log, assignments=["valid_rows=13"])
    assert (count(told, "validation_rows").value, finding(told, "I110")) == (12, "")
    told = one(tmp_path, adapter(tmp_path), log, assignments=["valid_rows=130"])
    assert "is of 50 of the 130 rows, drawn anew each time." in finding(told, "I110")


def test_a_log_without_validations_claims_none(tmp_path: Path) -> None:
    lines = [line for line in old_log().splitlines(keepends=True) if "Val loss" not in line]
    run = one(tmp_path, adapter(tmp_path), write(tmp_path / "run.log", "".join(lines)))
    assert (count(run, "validations").known, count(run, "validations").declared) == (False, 3)
    assert "there was none, or its lines are missing" in (count(run, "validations").origin.why or "")
    assert finding(run, "I110") == ""
    tail = write(tmp_path / "run.log", "".join(lines[-2:]))
    assert count(one(tmp_path, adapter(tmp_path), tail), "validations").value == 3


def test_a_validation_alone_does_not_make_its_iteration(tmp_path: Path) -> None:
    text = train_line(10) + train_line(20) + validation_line(40)
    run = one(tmp_path, adapter(tmp_path), write(tmp_path / "run.log", text))
    assert not count(run, "iterations").known
    assert "The log ends at iteration 20 of 40." in finding(run, "I108")


def test_the_blocks_of_an_unknown_base_need_a_run_that_began(tmp_path: Path) -> None:
    asked = write(tmp_path / "asked.yaml", "model: mine\nnum_layers: 8\niters: 10\n")
    blocks = count(one(tmp_path, asked, tool="mlx-lm@0.28.3"), "adapted_blocks")
    assert (blocks.known, blocks.declared) == (False, 8)
    assert count(one(tmp_path, adapter(tmp_path, model="mine", num_layers=8)), "adapted_blocks").value == 8


def test_a_run_that_starts_from_weights_says_so(tmp_path: Path) -> None:
    run = one(tmp_path, adapter(tmp_path, resume_adapter_file="old/adapters.safetensors").parent)
    assert "The adapter starts from old/adapters.safetensors, not from scratch." in finding(run, "I111")
    log = write(tmp_path / "a.log", "Loading fine-tuned weights from old/adapters.safetensors\n" + old_log())
    assert setting(one(tmp_path, log), "resume_adapter_file").value == "old/adapters.safetensors"
    assert finding(one(tmp_path, adapter(tmp_path)), "I111") == ""


def test_an_unknown_version_is_called_unknown(tmp_path: Path) -> None:
    run = one(tmp_path, write(tmp_path / "a.yaml", "model: m\niters: 10\nlora_parameters: {rank: 8}\n"))
    why = setting(run, "lora_parameters.scale").origin.why or ""
    assert "which is unknown" in why
    assert "only known as unknown" not in str(run.merged.plan)


def test_updates_that_start_again_are_not_called_iterations(tmp_path: Path) -> None:
    text = "".join(
        f"Step {update}/20 | Loss: 1.5 | Grad: 0.1 | LR: 2.00e-04 | Tok/s: 812 | Peak: 8.08 GB\n"
        for update in (5, 10, 5)
    )
    run = one(tmp_path, write(tmp_path / "a.log", text))
    assert "The optimizer updates start again once (a.log:3)." in finding(run, "I106")
