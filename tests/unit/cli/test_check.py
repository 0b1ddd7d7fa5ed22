"""`runoff check`: what a person sees, the exit code, JSON, and that nothing heavy is loaded."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from tests.unit.plan.findings.case import Case
from typer.testing import CliRunner, Result

from runoff.cli.check import command

RUN4 = """\
model: HuggingFaceTB/SmolLM3-3B
data: data/mlx_training_data
adapter_path: models/SmolLM3-3B_run4
train: true
fine_tune_type: lora
optimizer: adamw
num_layers: 12
lora_rank: 8
lora_alpha: 8
lora_dropout: 0.1
learning_rate: 1e-5
batch_size: 2
iters: 1600
max_seq_length: 800
grad_accumulation_steps: 16
grad_checkpoint: true
use_dora: false
steps_per_eval: 50
steps_per_report: 50
save_every: 500
seed: 42
"""


def check(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def run4(tmp_path: Path) -> Path:
    path = tmp_path / "run4.yaml"
    path.write_text(RUN4)
    return path


def test_the_real_case_under_its_own_tool(run4: Path) -> None:
    body = json.loads(check(str(run4), "--for", "mlx-lm@0.28.3", "--json").output)
    held = {row["key"]: row["value"] for row in body["settings"]}
    assert (held["lora_parameters.rank"], held["lora_parameters.scale"], held["lora_parameters.dropout"]) == (
        8,
        20.0,
        0.0,
    )
    counts = {row["name"]: row["value"] for row in body["counts"]}
    assert (counts["optimizer updates"], counts["validations"], counts["rows per update"]) == (100, 33, 32)
    ignored = {
        finding["what"].split(" ignores ")[1].split(":")[0]
        for finding in body["findings"]
        if " ignores " in finding["what"]
    }
    assert ignored == {"lora_rank", "lora_alpha", "lora_dropout", "use_dora"}
    fixes = {finding["fix"] for finding in body["findings"] if "lora_alpha" in finding["what"]}
    assert fixes == {"lora_parameters: {rank: 8, dropout: 0.1, scale: 1.0}"}


def test_the_real_case_under_runoff_counts_what_it_can_and_says_what_it_cant(run4: Path) -> None:
    body = json.loads(check(str(run4), "--json").output)
    counts = {row["name"]: row for row in body["counts"]}
    assert counts["optimizer updates"]["value"] == 100
    assert counts["epochs"]["value"] is None
    assert "no folder data/mlx_training_data" in counts["epochs"]["how"]
    assert any("SmolLM3-3B is not on this machine" in checks["why"] for checks in body["not_made"])


def test_an_error_is_exit_code_1_and_the_other_findings_are_still_there(run4: Path) -> None:
    run4.write_text(f"{RUN4}iterz: 5\n")
    result = check(str(run4))
    assert result.exit_code == 1
    assert "S101 error run4.yaml:22" in result.output
    assert "C201 warning run4.yaml:15" in result.output
    assert check(str(run4), "--set", "iterz=1").exit_code == 1


def test_a_file_without_errors_is_exit_code_0(run4: Path) -> None:
    result = check(str(run4))
    assert result.exit_code == 0
    assert "0 errors" in result.output


def test_data_alone(tmp_path: Path) -> None:
    case = Case()
    case.rows["valid"][0] = case.rows["train"][0]
    case.facts(tmp_path)
    result = check("--data", str(tmp_path / "data"))
    assert result.exit_code == 0
    assert "D322 warning" in result.output
    assert "train rows" in result.output


def test_data_in_the_place_of_the_files(tmp_path: Path, run4: Path) -> None:
    Case().facts(tmp_path)
    body = json.loads(check(str(run4), "--data", str(tmp_path / "data"), "--json").output)
    assert {row["name"]: row["value"] for row in body["counts"]}["train rows"] == 40


def test_several_files_are_a_list(run4: Path) -> None:
    assert len(json.loads(check(str(run4), str(run4), "--json").output)) == 2


def test_it_loads_no_tensor_library_and_no_network(tmp_path: Path) -> None:
    Case().facts(tmp_path)
    path = tmp_path / "run.yaml"
    path.write_text(f"model: {tmp_path / 'model'}\ndata: {tmp_path / 'data'}\nnum_layers: 2\n")
    code = (
        "import sys; sys.argv = ['check', sys.argv[1]]\n"
        "import typer; from runoff.cli.check import command\n"
        "try: typer.run(command)\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'mlx', 'mlx_lm', 'transformers', 'scipy', 'huggingface_hub'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_model_folder_in_parts_is_not_called_absent(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    (model / "tokenizer.json").unlink()
    config = tmp_path / "run.yaml"
    config.write_text(f"model: {model}\ndata: {tiny_data}\n")
    result = check(str(config), "--json")
    reasons = [checks["why"] for checks in json.loads(result.output)["not_made"]]
    assert any(why.startswith(f"{model}: not a whole model folder: tokenizer.json missing;") for why in reasons)
    assert not any("not on this machine" in why for why in reasons)
