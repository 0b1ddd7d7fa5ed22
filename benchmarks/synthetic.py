"""Finished run folders in any number, for the benchmarks of reports and lists: plausible figures, no model behind them.

Owns: what a made-up run looks like. Written straight to disk without the safety that real runs are written with, as
ten thousand of them are needed.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runoff.config import flatten, parse_config

__all__ = ["write_runs"]

SOURCES, QUESTIONS = 12, 10


def write_runs(root: Path, count: int, *, points: int, scored: bool, seed: int = 0) -> Path:
    """`count` runs below root with so many training points each, and held-out losses if `scored`; kept if there."""
    if len(list(root.glob("*/run.json"))) == count:
        return root
    for number in range(count):
        _write(root / f"run-{number:05d}", number, points, scored, random.Random(seed + number))
    return root


def _write(folder: Path, number: int, points: int, scored: bool, chance: random.Random) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "learning_rate": chance.choice([5e-5, 1e-4, 2e-4, 5e-4]),
        "num_layers": chance.choice([4, 8, 12, 16]),
        "lora_parameters.rank": chance.choice([4, 8, 16]),
        "seed": number,
    }
    _dump(folder / "run.json", _identity(folder.name))
    _dump(folder / "plan.json", _plan(settings, points))
    level = 2.6 + 0.05 * math.log10(settings["learning_rate"] / 1e-4) ** 2 + chance.gauss(0, 0.03)
    _lines(folder / "metrics.jsonl", _metrics(points, level, settings["learning_rate"], chance))
    (folder / "adapter").mkdir(exist_ok=True)
    (folder / "adapter" / "adapter_model.safetensors").write_bytes(folder.name.encode())
    if scored:
        _evaluate(folder, level, chance)


def _identity(name: str) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "name": name,
        "status": "finished",
        "created": "2026-01-02T03:04:05+00:00",
        "runoff_version": "0.1.0",
        "engine": {"name": "torch", "dtype": "float32", "versions": {"torch": "2.13.0"}},
        "model": {"name": "smollm2-135m", "sha256": "aa" * 32},
        "tokenizer_sha256": "bb" * 32,
        "data": {"train": {"rows": 100, "sha256": "cc" * 32}, "valid": {"rows": 20, "sha256": "dd" * 32}},
        "result": {"adapter_iteration": 100, "seconds": 90.0, "loss_definition": "token-weighted"},
    }


def _plan(settings: dict[str, Any], points: int) -> dict[str, Any]:
    base = flatten(parse_config("").settings)
    counts = {
        "iterations": points * 10,
        "optimizer_updates": points * 10 // 4,
        "epochs": 2.0,
        "effective_batch_rows": 8,
        "adapted_blocks": settings["num_layers"],
        "blocks": 30,
        "trainable_parameters": 81408 * settings["num_layers"],
        "scale": 10.0,
        "learning_rate_sum": settings["learning_rate"] * points,
        "train_rows": 100,
        "valid_rows": 20,
    }
    return {
        "schema_version": 1,
        "settings": {key: {"value": value, "origin": "default"} for key, value in base.items()}
        | {key: {"value": value, "origin": "file", "place": "run.yaml:1"} for key, value in settings.items()},
        "counts": {key: {"value": value, "origin": "derived"} for key, value in counts.items()},
    }


def _metrics(points: int, level: float, rate: float, chance: random.Random) -> Iterator[dict[str, Any]]:
    every = max(1, points // 20)
    for point in range(1, points + 1):
        share = point / points
        where = {
            "iteration": point * 10,
            "optimizer_updates": point * 10 // 4,
            "epoch": round(2 * share, 4),
            "target_tokens": point * 1800,
            "seconds": round(point * 0.9, 3),
        }
        loss = level + 1.5 * math.exp(-4 * share)
        yield {
            "kind": "train",
            **where,
            "nats_per_target_token": loss - 0.2 * share + chance.gauss(0, 0.15),
            "learning_rate": rate * (1 - share / 2),
            "tokens_per_second": 200 + chance.gauss(0, 15),
            "peak_memory_bytes": 1_500_000_000 + point * 1000,
        }
        if point % every == 0:
            yield {"kind": "validation", **where, "nats_per_target_token": loss + chance.gauss(0, 0.01), "rows": 20}


def _evaluate(folder: Path, level: float, chance: random.Random) -> None:
    place = folder / "evaluations" / "benchmark"
    place.mkdir(parents=True, exist_ok=True)
    shared = random.Random(1)  # the questions are the same for every run, and as hard for every run
    base, own = [], []
    for index in range(SOURCES * QUESTIONS):
        hard, tokens = shared.gauss(0, 0.3), shared.randrange(60, 160)
        row: dict[str, Any] = {"row": index + 1, "source": f"source {index // QUESTIONS}", "sha256": f"{index:064x}"}
        base.append({**row, "nats": (3.2 + hard) * tokens, "target_tokens": tokens, "end_nats": 0.1})
        nats = (level + hard + chance.gauss(0, 0.05)) * tokens
        own.append({**row, "nats": nats, "target_tokens": tokens, "end_nats": 0.1})
    _lines(place / "base.jsonl", iter(base))
    _lines(place / "rows.jsonl", iter(own))
    texts = [{"sha256": row["sha256"], "question": f"Question {row['row']}?", "reference": "An answer."} for row in own]
    _lines(place / "examples.jsonl", iter(texts))
    adapter = folder / "adapter" / "adapter_model.safetensors"
    body = {
        "key": "benchmark",
        "test": {"place": "data/test.jsonl", "sha256": "ee" * 32, "rows": len(own), "left_out": {}},
        "engine": {"name": "torch", "dtype": "float32"},
        "adapter_sha256": hashlib.sha256(adapter.name.encode() + adapter.read_bytes()).hexdigest(),
        "held_out_loss": sum(row["nats"] for row in own) / sum(row["target_tokens"] for row in own),
    }
    _dump(place / "evaluation.json", body)


def _dump(path: Path, body: dict[str, Any]) -> None:
    path.write_text(json.dumps(body), "utf-8")


def _lines(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
