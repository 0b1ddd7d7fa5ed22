"""Evaluation: any number of runs and their base on one held-out test set, in one pass over one loaded base.

Owns: which rows count (never a row that a run was trained on), the one truncation for all, what is stored. The trunk
below the lowest adapted block of all runs is computed once for each row. Must not: compare runs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runoff.data import Encoded, Row, RowSet, encode_for_scoring, load_rows, load_tokenizer
from runoff.engines import Base, open_base
from runoff.engines.adapters import read_adapter
from runoff.engines.scoring import ScoredRow, score_batches, scoring_batches
from runoff.errors import DataError, RunError
from runoff.evaluation.estimates import Estimate, ratio_mean
from runoff.files import jsonl, write_bytes, write_json
from runoff.models import get_model
from runoff.plan import ModelFacts, read_model_facts
from runoff.runs import Run, RunFolder
from runoff.runs.store import read_jsonl

__all__ = ["HELD_OUT_UNIT", "Evaluation", "TestSet", "adapter_sha256", "evaluate", "held_out_loss", "load_evaluations"]

HELD_OUT_UNIT = "nats per target token"
TRUNK_BUDGET_BYTES = 4 * 1024**3


@dataclass(frozen=True)
class TestSet:
    """The rows that every run is scored on. `left_out`: row number -> the run that was trained on it."""

    __test__ = False  # not a test case, whatever pytest thinks of its name

    place: str
    sha256: str
    rows: int
    left_out: dict[int, str]
    max_seq_length: int
    rows_cut: int

    @property
    def key(self) -> str:
        """Identity: equal keys mean that the same rows were scored under the same truncation."""
        body = [self.sha256, self.max_seq_length, sorted(self.left_out)]
        return hashlib.sha256(json.dumps(body).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Evaluation:
    """One run, and its base, on one test set."""

    run: str
    key: str
    test: dict[str, Any]
    engine: dict[str, Any]
    adapter_sha256: str
    rows: tuple[ScoredRow, ...]
    base_rows: tuple[ScoredRow, ...]


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
    base: Base | None = None,
    say: Callable[[str], None] = lambda _text: None,
) -> list[Evaluation]:
    """Score every run and the base; what is stored already is not computed again.

    Args:
        runs: trained runs on one base.
        test: a JSONL file; by default the test.jsonl beside the runs' training data.
        base: a loaded base, for callers that have one.
        say: receives progress sentences.

    Raises:
        RunError: runs on different bases, or a run without an adapter.
        DataError: no test set, or no row of it is left.
    """
    model = _one_base(runs, say)
    tokenizer = load_tokenizer(model.folder)
    rows = load_rows(test or _test_beside(runs[0]))
    kept, left_out = _held_out(rows, runs)
    limit = min(model.context_length or 2048, 4096)
    encoded = [one for one in encode_for_scoring(kept, tokenizer, max_seq_length=limit) if one.target_tokens]
    test_set = _test_set(rows, left_out, encoded, limit)
    if left_out:
        say(f"{len(left_out)} test rows are left out, since a run was trained on them.")
    missing = [run for run in runs if not _stored(run, test_set.key)]
    if missing:
        _score_all(missing, model, encoded, test_set, base, say)
    return [evaluation for run in runs for evaluation in load_evaluations(run) if evaluation.key == test_set.key]


def load_evaluations(run: Run) -> list[Evaluation]:
    """What is stored beside a run; an evaluation of an adapter that has changed since is left out."""
    found = []
    for path in sorted(run.folder.evaluation("").glob("*/evaluation.json")):
        body = json.loads(path.read_text("utf-8"))
        if body["adapter_sha256"] != adapter_sha256(run.folder):
            continue
        scored = [
            tuple(ScoredRow.from_json(row) for row in read_jsonl(path.parent / name))
            for name in ("rows.jsonl", "base.jsonl")
        ]
        found.append(
            Evaluation(
                run.name, body["key"], body["test"], body["engine"], body["adapter_sha256"], scored[0], scored[1]
            )
        )
    return found


def _one_base(runs: Sequence[Run], say: Callable[[str], None]) -> ModelFacts:
    names = {str(run.identity.model.get("sha256")): run.name for run in runs}
    if len(names) > 1:
        raise RunError(
            f"{' and '.join(names.values())} were trained on different base models, so they can't be scored in one "
            "pass. "
            "Evaluate them one by one."
        )
    model = runs[0].identity.model
    folder = Path(str(model.get("folder", "")))
    facts = read_model_facts(folder if folder.is_dir() else get_model(str(model.get("name")), progress=say))
    if model.get("sha256") not in (None, facts.sha256):
        raise RunError(
            f"{runs[0].name}: was trained on another {model.get('name')} than the one in {facts.folder} "
            "(the weights differ). Point to the base it was trained on."
        )
    return facts


def _test_beside(run: Run) -> Path:
    data = run.plan.settings.get("data")
    path = Path(str(data.value)) / "test.jsonl" if data and data.value else Path("test.jsonl")
    if not path.exists():
        raise DataError(
            f"{path}: there is no test set beside the training data. Name one: runoff evaluate ... --test FILE."
        )
    return path


def _held_out(rows: RowSet, runs: Sequence[Run]) -> tuple[list[Row], dict[int, str]]:
    """Rows that no run was trained on, and the others with the run's name."""
    trained = {
        digest: run.name for run in runs for digest in (run.identity.data.get("train") or {}).get("row_sha256", [])
    }
    left_out = {row.number: trained[row.sha256[:16]] for row in rows.rows if row.sha256[:16] in trained}
    kept = [row for row in rows.rows if row.number not in left_out]
    if not kept:
        raise DataError(
            f"{rows.place}: every row of it is among the training rows of {', '.join(set(left_out.values()))}."
        )
    return kept, left_out


def _test_set(rows: RowSet, left_out: dict[int, str], encoded: Sequence[Encoded], limit: int) -> TestSet:
    cut = sum(1 for example in encoded if example.tokens_cut)
    return TestSet(rows.place, rows.sha256, len(encoded), left_out, limit, cut)


def _score_all(
    runs: Sequence[Run],
    model: ModelFacts,
    encoded: Sequence[Encoded],
    test: TestSet,
    base: Base | None,
    say: Callable[[str], None],
) -> None:
    adapters = {run.name: read_adapter(_adapter_folder(run), model) for run in runs}
    settings = runs[0].plan.settings
    loaded = base or open_base(model.folder, engine=_value(settings, "engine"), dtype=_value(settings, "dtype"))
    engines = {name: loaded.attach(spec) for name, (spec, _) in adapters.items()}
    lowest = min(spec.lowest_block for spec, _ in adapters.values())
    say(loaded.share_trunk(lowest, budget_bytes=TRUNK_BUDGET_BYTES))
    batches = scoring_batches(encoded)
    say(f"Scoring {test.rows} held-out answers under the base model.")
    base_rows = score_batches(loaded.attach(None), batches)
    for run in runs:
        say(f"Scoring {test.rows} held-out answers under {run.name}.")
        engines[run.name].set_parameters(adapters[run.name][1])
        _store(run, test, loaded, score_batches(engines[run.name], batches), base_rows)


def _value(settings: Any, key: str) -> str:
    return str(settings[key].value) if key in settings and settings[key].value else "auto"


def _adapter_folder(run: Run) -> Path:
    if not run.folder.adapter.is_dir():
        raise RunError(
            f"{run.name}: has no adapter, so it can't be scored. Train it, or import its adapter folder beside its log."
        )
    return run.folder.adapter


def adapter_sha256(folder: RunFolder) -> str:
    """Identity of an adapter folder's files: an evaluation holds only for the adapter it was made with."""
    digest = hashlib.sha256()
    for path in sorted(folder.adapter.glob("*")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _stored(run: Run, key: str) -> bool:
    return any(evaluation.key == key for evaluation in load_evaluations(run))


def _store(run: Run, test: TestSet, base: Base, rows: Sequence[ScoredRow], base_rows: Sequence[ScoredRow]) -> None:
    """Rows first: evaluation.json is what makes the folder count."""
    folder = run.folder.evaluation(test.key)
    write_bytes(folder / "rows.jsonl", jsonl(row.to_json() for row in rows))
    write_bytes(folder / "base.jsonl", jsonl(row.to_json() for row in base_rows))
    facts = base.facts
    write_json(
        folder / "evaluation.json",
        {
            "key": test.key,
            "test": {
                "place": test.place,
                "sha256": test.sha256,
                "rows": test.rows,
                "left_out": {str(number): name for number, name in test.left_out.items()},
                "max_seq_length": test.max_seq_length,
                "rows_cut": test.rows_cut,
            },
            "engine": {"name": facts.name, "device": facts.device, "dtype": facts.dtype, "versions": facts.versions},
            "adapter_sha256": adapter_sha256(run.folder),
            "held_out_loss": held_out_loss(rows).to_json(),
            "base_held_out_loss": held_out_loss(base_rows).to_json(),
        },
    )
