"""The main job on the real 135M model, through the command line as a person types it: train two, evaluate, compare."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.model

CONFIG = """
model: smollm2-135m
data: {data}
mask_prompt: true
num_layers: {layers}
lora_parameters: {{rank: 4, scale: 10.0, dropout: {dropout}}}
optimizer: adamw
learning_rate: 1e-3
batch_size: 2
grad_accumulation_steps: {accumulation}
iters: {iters}
steps_per_report: 2
steps_per_eval: 4
save_every: 4
"""


def runoff(*arguments: str, cwd: Path, code: int = 0) -> str:
    """Run the command; returns both its outputs."""
    done = subprocess.run(
        [sys.executable, "-m", "runoff", *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )
    output = done.stdout + done.stderr
    assert done.returncode == code, output
    assert "Traceback" not in output
    return output


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory, smollm2_folder: Path) -> Path:
    """Two trained and evaluated runs on a few short rows of the sample corpus."""
    assert smollm2_folder.is_dir()
    place = tmp_path_factory.mktemp("main-job")
    for split, count, every in (("train", 8, 10), ("valid", 3, 10), ("test", 12, 6)):
        rows = (ROOT / "corpus" / "maren" / f"{split}.jsonl").read_text("utf-8").splitlines(keepends=True)
        (place / f"{split}.jsonl").write_text("".join(rows[::every][:count]), "utf-8")
    (place / "long.yaml").write_text(CONFIG.format(data=".", layers=3, dropout=0.0, accumulation=1, iters=8))
    (place / "short.yaml").write_text(CONFIG.format(data=".", layers=2, dropout=0.1, accumulation=2, iters=4))
    for name in ("long", "short"):
        runoff("train", f"{name}.yaml", cwd=place)
    runoff("evaluate", "long", "short", cwd=place)
    runoff("compare", "long", "short", "-o", "report", cwd=place)
    return place


def test_training_lowers_the_loss_on_held_out_rows(workplace: Path) -> None:
    rows = [json.loads(line) for line in (workplace / "runs" / "long" / "metrics.jsonl").read_text().splitlines()]
    losses = [row["nats_per_target_token"] for row in rows if row["kind"] == "validation"]
    assert losses[-1] < losses[0]


def test_the_run_folder_is_whole(workplace: Path) -> None:
    folder = workplace / "runs" / "long"
    identity = json.loads((folder / "run.json").read_text())
    assert identity["status"] == "finished"
    assert identity["result"]["optimizer_updates"] == 8
    plan = json.loads((folder / "plan.json").read_text())
    assert plan["counts"]["trainable_parameters"]["value"] == 3 * 4 * 10_176
    assert {path.name for path in folder.iterdir()} >= {
        "adapter",
        "checkpoints",
        "config.yaml",
        "evaluations",
        "validation",
    }


def test_the_report_names_a_decision_and_the_numbers_behind_it(workplace: Path) -> None:
    body = json.loads((workplace / "report" / "report.json").read_text())
    held_out = body["facts"]["held_out"]
    assert held_out["test"]["rows"] == 12
    assert held_out["runs"]["long"]["value"] < held_out["base"]["value"]
    assert body["decision"] in ("better", "no difference detectable", "equivalent")
    markdown = (workplace / "report" / "report.md").read_text("utf-8")
    assert f"{held_out['runs']['long']['value']:.4f}" in markdown


def test_the_adapter_loads_in_peft_and_scores_as_the_evaluation_says(workplace: Path, smollm2_folder: Path) -> None:
    import torch
    import transformers
    from peft import PeftModel

    from runoff.data import encode_for_scoring, load_rows, load_tokenizer
    from runoff.engines.scoring import ScoredRow
    from runoff.files import read_jsonl

    base = transformers.AutoModelForCausalLM.from_pretrained(smollm2_folder, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, workplace / "runs" / "long" / "adapter").eval()
    (stored,) = (workplace / "runs" / "long" / "evaluations").iterdir()
    scored = [ScoredRow.from_json(row) for row in read_jsonl(stored / "rows.jsonl")[:8]]
    rows = load_rows(workplace / "test.jsonl").rows[:8]
    nats = 0.0
    for example in encode_for_scoring(rows, load_tokenizer(smollm2_folder), max_seq_length=2048):
        ids = torch.from_numpy(example.ids).long()[None]
        with torch.no_grad():
            chances = model(ids).logits[0].log_softmax(-1)
        nats -= sum(float(chances[at - 1, ids[0, at]]) for at in range(example.target_start, example.target_end))
    # bfloat16 on processors that have it, which moves a row by up to 0.3 %, either way; float32 elsewhere.
    assert sum(row.nats for row in scored) == pytest.approx(nats, rel=1e-3)


def test_a_second_evaluation_computes_nothing(workplace: Path) -> None:
    assert "Scoring" not in runoff("evaluate", "long", "short", cwd=workplace)


def test_runs_and_show_list_what_was_made(workplace: Path) -> None:
    listed = runoff("runs", cwd=workplace)
    assert "long" in listed
    assert "short" in listed
    assert "lora_parameters.dropout" in runoff("show", "short", cwd=workplace)


def test_a_taken_name_is_refused_before_anything_is_loaded(workplace: Path) -> None:
    said = runoff("train", "long.yaml", cwd=workplace, code=2)
    assert "runs/long: this run exists. Choose another --name, or add --resume or --overwrite." in said
