"""Evaluation: any number of runs and their base on one held-out test set, in one pass over one loaded base.

Owns: the order of the work, what is stored and what is not computed again. Must not: compare runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runoff.data import load_tokenizer
from runoff.engines import Base
from runoff.engines.scoring import ScoredRow, score_batches, scoring_batches
from runoff.evaluation.answering import Answering, answer_all
from runoff.evaluation.estimates import Estimate, ratio_mean
from runoff.evaluation.session import Session, adapter_sha256, common_base
from runoff.evaluation.stored import StoredMeasure, load_measures
from runoff.evaluation.testset import TestSet, read_test_set
from runoff.files import changed_files, file_hashes, jsonl, write_bytes, write_json
from runoff.runs import Run
from runoff.runs.store import read_jsonl

__all__ = ["HELD_OUT_UNIT", "Evaluation", "Example", "evaluate", "held_out_loss", "load_evaluations"]

HELD_OUT_UNIT = "nats per target token"
EXAMPLES = "examples.jsonl"


@dataclass(frozen=True, slots=True)
class Example:
    """What was asked, and what the author answered."""

    question: str
    reference: str


@dataclass(frozen=True)
class Evaluation:
    """One run, and its base, on one test set. `measures`: of generated answers, by key, if there are any."""

    run: str
    key: str
    test: dict[str, Any]
    engine: dict[str, Any]
    adapter_sha256: str
    rows: tuple[ScoredRow, ...]
    base_rows: tuple[ScoredRow, ...]
    measures: dict[str, StoredMeasure] = field(default_factory=dict)
    folder: Path = Path()
    edited: tuple[str, ...] = ()
    """Stored files that are no longer what the evaluation wrote."""

    def examples(self) -> dict[str, Example]:
        """Question and reference of each row, by its hash; empty where they were not kept."""
        path = self.folder / EXAMPLES
        rows = read_jsonl(path) if path.exists() else []
        return {row["sha256"]: Example(row["question"], row["reference"]) for row in rows}

    def answers(self, *, base: bool = False) -> dict[str, str]:
        """Generated answers of the run or the base, by the first 16 digits of the row's hash; empty without any."""
        path = self.folder / ("base-answers.jsonl" if base else "answers.jsonl")
        return {row["example"]: row["text"] for row in read_jsonl(path)} if path.exists() else {}


def held_out_loss(rows: Sequence[ScoredRow]) -> Estimate:
    """Nats per target token over all answers, with its interval over sources."""
    if not rows:
        return Estimate.unknown_because("no held-out row was scored", HELD_OUT_UNIT)
    clusters = [row.source if row.source is not None else f"row {row.row}" for row in rows]
    return ratio_mean([row.nats for row in rows], [row.target_tokens for row in rows], clusters, unit=HELD_OUT_UNIT)


def evaluate(
    runs: Sequence[Run],
    test: Path | None = None,
    *,
    answering: Answering | None = None,
    base: Base | None = None,
    say: Callable[[str], None] = lambda _text: None,
) -> list[Evaluation]:
    """Score every run and the base; what is stored already is not computed again.

    Args:
        runs: trained runs on one base.
        test: a JSONL file; by default the test.jsonl beside the runs' training data.
        answering: what to generate and measure besides the held-out loss; None for nothing.
        base: a loaded base, for callers that have one.
        say: receives progress sentences.

    Raises:
        RunError: runs on different bases, or a run without an adapter.
        DataError: no test set, or no row of it is left.
    """
    model = common_base(runs, say)
    tokenizer = load_tokenizer(model.folder)
    rows = read_test_set(runs, test, tokenizer, model.context_length)
    if rows.left_out:
        say(f"{len(rows.left_out)} test rows are left out, since a run was trained on them.")
    session = Session(runs, model, say, base)
    missing = [run for run in runs if not any(one.key == rows.key for one in load_evaluations(run))]
    if missing:
        _score(session, missing, rows)
    if answering is not None:
        answer_all(session, rows, tokenizer, answering)
    return [one for run in runs for one in load_evaluations(run) if one.key == rows.key]


def load_evaluations(run: Run) -> list[Evaluation]:
    """What is stored beside a run; an evaluation of an adapter that has changed since is left out."""
    found = []
    for path in sorted(run.folder.evaluation("").glob("*/evaluation.json")):
        body = json.loads(path.read_text("utf-8"))
        if body["adapter_sha256"] == adapter_sha256(run.folder):
            rows, base_rows = (
                tuple(ScoredRow.from_json(row) for row in read_jsonl(path.parent / name))
                for name in ("rows.jsonl", "base.jsonl")
            )
            edited = changed_files(path.parent, body.get("files") or {})
            identity = (body["key"], body["test"], body["engine"], body["adapter_sha256"])
            found.append(
                Evaluation(run.name, *identity, rows, base_rows, load_measures(path.parent), path.parent, edited)
            )
    return found


def _score(session: Session, runs: Sequence[Run], test: TestSet) -> None:
    """The base once, then each run that was not scored on these rows yet."""
    batches = scoring_batches(test.encoded)
    base = session.loaded()
    session.say(f"Scoring {len(test.encoded)} held-out answers under the base model.")
    base_rows = score_batches(session.engine(None), batches)
    for run in runs:
        session.say(f"Scoring {len(test.encoded)} held-out answers under {run.name}.")
        _store(run, test, base, score_batches(session.engine(run), batches), base_rows)


def _store(run: Run, test: TestSet, base: Base, rows: Sequence[ScoredRow], base_rows: Sequence[ScoredRow]) -> None:
    """Rows first: evaluation.json is what makes the folder count."""
    folder = run.folder.evaluation(test.key)
    write_bytes(folder / "rows.jsonl", jsonl(row.to_json() for row in rows))
    write_bytes(folder / "base.jsonl", jsonl(row.to_json() for row in base_rows))
    examples = ((example.row, example.row.sha256) for example in test.encoded)
    write_bytes(
        folder / EXAMPLES,
        jsonl({"sha256": sha256, "question": row.question, "reference": row.answer} for row, sha256 in examples),
    )
    facts = base.facts
    write_json(
        folder / "evaluation.json",
        {
            "key": test.key,
            "test": test.to_json(),
            "engine": {"name": facts.name, "device": facts.device, "dtype": facts.dtype, "versions": facts.versions},
            "adapter_sha256": adapter_sha256(run.folder),
            "held_out_loss": held_out_loss(rows).to_json(),
            "base_held_out_loss": held_out_loss(base_rows).to_json(),
            "files": file_hashes(folder, [folder / "rows.jsonl", folder / "base.jsonl"]),
        },
    )
