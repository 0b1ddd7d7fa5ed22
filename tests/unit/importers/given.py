"""Files as the tools write them, with the values that a test wants."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from runoff.importers import ImportedRun, import_runs
from runoff.importers.api import read_file
from runoff.importers.facts import Facts, Reading, SourceFile
from runoff.runs import MetricRow, Value

GOLDEN = Path(__file__).parents[2] / "golden" / "importers"
TRAIN = (
    "Iter {it}: Train loss {loss}, Learning Rate 1.000e-05, It/sec 0.417, Tokens/sec 180.235, "
    "Trained Tokens {tokens}, Peak mem 8.082 GB\n"
)
VALIDATION = "Iter {it}: Val loss {loss}, Val took 28.928s\n"


def train_line(it: int, loss: str = "1.443", tokens: str = "751673") -> str:
    return TRAIN.format(it=it, loss=loss, tokens=tokens)


def validation_line(it: int, loss: str = "1.629") -> str:
    return VALIDATION.format(it=it, loss=loss)


def old_log(iters: int = 40, *, save: str = "out/run", every: int = 20) -> str:
    lines = ["Loading pretrained model\nLoading datasets\nTraining\n", f"Starting training..., iters: {iters}\n"]
    for it in range(1, iters + 1):
        if it == 1 or it % every == 0:
            lines.append(validation_line(it, f"{2 - it / 100:.3f}"))
        if it % 10 == 0:
            lines.append(train_line(it, f"{2.1 - it / 100:.3f}", str(it * 400)))
    return "".join(lines) + f"Saved final weights to {save}/adapters.safetensors.\n"


def mlx_config(**changes: Any) -> dict[str, Any]:
    """adapter_config.json of mlx-lm 0.28.3; a change of None-like `...` removes a key."""
    body: dict[str, Any] = {
        "adapter_path": "out/run",
        "batch_size": 2,
        "config": "run.yaml",
        "data": "data",
        "fine_tune_type": "lora",
        "grad_accumulation_steps": 4,
        "grad_checkpoint": True,
        "iters": 40,
        "learning_rate": 1e-05,
        "lora_parameters": {"rank": 8, "dropout": 0.0, "scale": 20.0},
        "lr_schedule": None,
        "mask_prompt": False,
        "max_seq_length": 512,
        "model": "HuggingFaceTB/SmolLM3-3B",
        "num_layers": 16,
        "optimizer": "adamw",
        "optimizer_config": {"adam": {}, "adamw": {}, "muon": {}, "sgd": {}, "adafactor": {}},
        "project_name": None,
        "report_to": None,
        "resume_adapter_file": None,
        "save_every": 20,
        "seed": 42,
        "steps_per_eval": 20,
        "steps_per_report": 10,
        "test": False,
        "test_batches": 500,
        "train": True,
        "val_batches": 25,
    }
    return {key: value for key, value in (body | changes).items() if value is not ...}


def write(path: Path, content: str | bytes | dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, dict):
        content = json.dumps(content, indent=4)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(path: Path, columns: dict[str, str] | None = None) -> Reading:
    """With the importer that recognises it."""
    source = SourceFile(path, path.name, path.open("rb").read(1 << 16), path.stat().st_size, columns or {})
    return read_file(source)[1]


def kind_of(path: Path) -> str:
    source = SourceFile(path, path.name, path.open("rb").read(1 << 16), path.stat().st_size)
    return read_file(source)[0].kind


def facts_of(path: Path) -> Facts:
    (facts,) = read(path).facts
    return facts


def rows_of(path: Path, kind: str = "train") -> list[MetricRow]:
    return [row for facts in read(path).facts for row in facts.rows if row.kind == kind]


def one(tmp_path: Path, *paths: Path, **options: Any) -> ImportedRun:
    report = import_runs(list(paths), root=tmp_path / "runs", **options)
    (imported,) = report.imported
    return imported


def setting(imported: ImportedRun, key: str) -> Value:
    return imported.merged.plan.settings[key]


def count(imported: ImportedRun, key: str) -> Value:
    return imported.merged.plan.counts[key]


def codes(imported: ImportedRun) -> list[str]:
    return [finding.code for finding in imported.merged.plan.findings]


def mlx_adapter(
    path: Path, blocks: tuple[int, ...] = (2, 3), rank: int = 4, layers: tuple[str, ...] = ("self_attn.q_proj",)
) -> Path:
    tensors = {}
    for block in blocks:
        for layer in layers:
            tensors[f"model.layers.{block}.{layer}.lora_a"] = np.zeros((32, rank), np.float32)
            tensors[f"model.layers.{block}.{layer}.lora_b"] = np.zeros((rank, 32), np.float32)
    return write(path, safetensors.numpy.save(tensors))


def tensorboard_event(step: int, tag: str, value: float) -> bytes:
    """One record, as SummaryWriter writes it (checksums left at 0: they are not looked at)."""

    def field(number: int, body: bytes) -> bytes:
        return bytes([number << 3 | 2, len(body)]) + body

    scalar = field(1, tag.encode()) + bytes([2 << 3 | 5]) + struct.pack("<f", value)
    steps = bytes([2 << 3 | 0]) + bytes([step & 0x7F | 0x80, step >> 7])
    event = bytes([1 << 3 | 1]) + struct.pack("<d", 1.7e9) + steps + field(5, field(1, scalar))
    return struct.pack("<Q", len(event)) + b"\0\0\0\0" + event + b"\0\0\0\0"
