"""Finished run folders with known truth, written through the record's own classes: no engine, no model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from runoff.config import Origin, flatten, parse_config
from runoff.engines.scoring import ScoredRow, mean_loss
from runoff.estimates.estimate import Estimate
from runoff.evaluation.stored import StoredMeasure, store_measures
from runoff.files import file_hashes, jsonl, write_bytes, write_json, write_text
from runoff.plan import Finding
from runoff.runs import Identity, MetricRow, PlanRecord, Run, RunFolder, Value, load_run

__all__ = ["Losses", "Told", "made_measure", "make_run", "random_losses", "scored"]

Losses = npt.NDArray[np.float64]
COUNTS: dict[str, Any] = {
    "iterations": 100,
    "optimizer_updates": 25,
    "epochs": 2.0,
    "effective_batch_rows": 8,
    "rows_seen": 200,
    "learning_rate_sum": 0.0025,
    "adapted_blocks": 8,
    "blocks": 30,
    "trainable_parameters": 651264,
    "scale": 10.0,
    "alpha": 80.0,
    "train_rows": 100,
    "train_rows_cut": 0,
    "longest_row_tokens": 222,
    "valid_rows": 20,
    "validations": 3,
}


@dataclass(frozen=True)
class Told:
    """What a made-up run says of itself; everything has a value that raises no eyebrow."""

    settings: Mapping[str, Any] = ()  # type: ignore[assignment]
    counts: Mapping[str, Any] = ()  # type: ignore[assignment]
    identity: Mapping[str, Any] = ()  # type: ignore[assignment]
    metrics: Sequence[MetricRow] = (
        MetricRow("validation", 0, 0, 0.0, 3.1, target_tokens=0),
        MetricRow(
            "train",
            50,
            12,
            1.0,
            2.9,
            target_tokens=9000,
            learning_rate=1e-4,
            tokens_per_second=200.0,
            peak_memory_bytes=1_500_000_000,
        ),
        MetricRow("validation", 50, 12, 1.0, 2.8, target_tokens=9000),
        MetricRow(
            "train",
            100,
            25,
            2.0,
            2.6,
            target_tokens=18000,
            learning_rate=1e-4,
            tokens_per_second=210.0,
            peak_memory_bytes=1_600_000_000,
        ),
        MetricRow("validation", 100, 25, 2.0, 2.7, target_tokens=18000),
    )
    validation_rows: Mapping[int, Sequence[ScoredRow]] = ()  # type: ignore[assignment]
    findings: Sequence[Finding] = ()


def make_run(
    root: Path,
    name: str,
    told: Told | None = None,
    *,
    losses: Losses | None = None,
    base: Losses | None = None,
    questions_per_source: int = 10,
    test: Mapping[str, Any] | None = None,
    measures: Sequence[StoredMeasure] = (),
) -> Run:
    """Write a finished run; `losses` and `base` are nats per target token of the test rows."""
    told = told or Told()
    folder = RunFolder(root / name)
    write_json(folder.identity, _identity(name, dict(told.identity)).model_dump(mode="json", exclude_none=True))
    write_json(folder.plan, _plan(dict(told.settings), dict(told.counts), told.findings).to_json())
    write_text(folder.config, "model: smollm2-135m\n")
    write_bytes(folder.metrics, jsonl(row.to_json() for row in told.metrics))
    for iteration, rows in dict(told.validation_rows).items():
        write_bytes(folder.validation(iteration), jsonl(row.to_json() for row in rows))
    write_bytes(folder.adapter / "adapter_model.safetensors", f"stands for {name}".encode())
    if losses is not None:
        scored_base = scored(losses * 0 + 3.2 if base is None else base, questions_per_source)
        _evaluate(folder, scored(losses, questions_per_source), scored_base, dict(test or {}))
        if measures:
            store_measures(folder.evaluation(str((test or {}).get("key", "testset"))), {}, measures)
    seal(folder)
    return load_run(folder.path)


def seal(folder: RunFolder) -> None:
    """Keep the hashes of the record's files, as the end of a training does."""
    body = json.loads(folder.identity.read_text("utf-8"))
    write_json(folder.identity, body | {"files": folder.hashes()})


def scored(losses: Losses, questions_per_source: int = 10, tokens: int = 100) -> list[ScoredRow]:
    """Rows of these losses, so many to a source."""
    return [
        ScoredRow(
            index + 1,
            f"source {index // questions_per_source}",
            f"{index:016x}" + 48 * "0",
            float(loss) * tokens,
            tokens,
            0.1,
        )
        for index, loss in enumerate(losses)
    ]


def made_measure(
    key: str,
    value: float,
    *,
    base: float = 0.0,
    half: float = 0.02,
    higher_is_better: bool | None = True,
    per_example: Losses | None = None,
    base_per_example: Losses | None = None,
) -> StoredMeasure:
    """A measure as an evaluation would have stored it, with an interval of this half-width."""

    def estimate(number: float) -> Estimate:
        return Estimate(number, number - half, number + half, 0.95, "share", 120, 12, "made up")

    own = np.zeros(0) if per_example is None else per_example
    others = own * 0 if base_per_example is None else base_per_example
    return StoredMeasure(
        key=key,
        title=key.replace("_", " ").capitalize(),
        dimension="A reader's question",
        unit="share",
        higher_is_better=higher_is_better,
        matters=0.05,
        cannot_see="Anything else.",
        base=estimate(base),
        author=estimate(1.0),
        run=estimate(value),
        per_example={f"e{at}": (float(a), float(b)) for at, (a, b) in enumerate(zip(own, others, strict=True))},
        clusters={f"e{at}": f"source {at // 10}" for at in range(len(own))},
        flags=(),
    )


def random_losses(seed: int, *, sources: int = 12, questions: int = 10, level: float = 2.5) -> Losses:
    """Losses of questions that differ by source and by question."""
    random = np.random.Generator(np.random.PCG64(seed))
    by_source = np.repeat(random.normal(0, 0.15, sources), questions)
    return level + by_source + random.normal(0, 0.3, sources * questions)


def _identity(name: str, given: dict[str, Any]) -> Identity:
    defaults: dict[str, Any] = {
        "name": name,
        "status": "finished",
        "created": "2026-01-02T03:04:05+00:00",
        "runoff_version": "0.1.0",
        "engine": {"name": "torch", "dtype": "float32", "versions": {"torch": "2.13.0"}},
        "model": {"name": "smollm2-135m", "sha256": "aa" * 32},
        "tokenizer_sha256": "bb" * 32,
        "data": {
            "train": {"rows": 100, "sha256": "cc" * 32, "row_sha256": ["f" * 16]},
            "valid": {"rows": 20, "sha256": "dd" * 32},
        },
        "result": {
            "reason": "all 100 iterations were made",
            "adapter_iteration": 100,
            "target_tokens": 18000,
            "seconds": 90.0,
            "loss_definition": "token-weighted",
        },
    }
    return Identity.model_validate(defaults | given)


def _plan(settings: dict[str, Any], counts: dict[str, Any], findings: Sequence[Finding]) -> PlanRecord:
    values = {key: Value(value, Origin("default")) for key, value in flatten(parse_config("").settings).items()}
    for key, value in settings.items():
        values[key] = value if isinstance(value, Value) else Value(value, Origin("file", "run.yaml:1"))
    made = {key: Value(value, Origin("derived")) for key, value in COUNTS.items()}
    for key, value in counts.items():
        made[key] = value if isinstance(value, Value) else Value(value, Origin("derived"))
    return PlanRecord(values, made, tuple(findings))


def _evaluate(folder: RunFolder, rows: list[ScoredRow], base: list[ScoredRow], test: dict[str, Any]) -> None:
    from runoff.evaluation.session import adapter_sha256

    key = str(test.get("key", "testset"))
    place = folder.evaluation(key)
    write_bytes(place / "rows.jsonl", jsonl(row.to_json() for row in rows))
    write_bytes(place / "base.jsonl", jsonl(row.to_json() for row in base))
    examples = [
        {"sha256": row.sha256, "question": f"Question {row.row}?", "reference": f"Answer {row.row}."} for row in rows
    ]
    write_bytes(place / "examples.jsonl", jsonl(examples))
    body = {
        "key": key,
        "test": {"place": "data/test.jsonl", "sha256": "ee" * 32, "rows": len(rows), "left_out": {}, **test},
        "engine": {"name": "torch", "dtype": "float32"},
        "adapter_sha256": adapter_sha256(folder),
        "held_out_loss": mean_loss(rows),
        "files": file_hashes(place, [place / "rows.jsonl", place / "base.jsonl"]),
    }
    write_json(place / "evaluation.json", body)
