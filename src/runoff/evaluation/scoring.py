"""The teacher-forced pass: held-out rows, as many training rows, and contrast pairs, under the base and every run.

Owns: what is scored, keeping every score as soon as there is one, and a run's evaluation folder. Each row is scored by
itself, with the contrast sentences that fork off it, so that its score is a function of the base, the adapter and its
ids alone. Must not: define a measure.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runoff.data import Forked, encode_for_scoring
from runoff.engines import Base
from runoff.engines.scoring import ScoredForked, ScoredRow, held_out_loss, score_alone
from runoff.errors import EngineError
from runoff.evaluation.damaged import reading
from runoff.evaluation.material import BASE, Material
from runoff.evaluation.measures import SCORED_MEASURES, ContrastPair, measure
from runoff.evaluation.measures.memorization import nearness
from runoff.evaluation.pairs import forked_rows, scored_pairs
from runoff.evaluation.samples import spread, training_rows
from runoff.evaluation.scored import Scored
from runoff.evaluation.session import Session, adapter_sha256
from runoff.evaluation.stored import SCORED, StoredMeasure, store_measures
from runoff.evaluation.testset import TestSet
from runoff.files import file_hashes, jsonl, read_jsonl, write_bytes, write_json
from runoff.runs import Run

__all__ = ["EXAMPLES", "score_all"]

EXAMPLES = "examples.jsonl"
KEEP_EVERY = 64
"""Rows between two writes: what an interruption can cost."""


_Scores = dict[str, list[ScoredForked]]
"""By part: held-out, training."""


def _rows(some: _Scores, part: str) -> tuple[ScoredRow, ...]:
    return tuple(one.row for one in some[part])


@dataclass(frozen=True)
class _Parts:
    """What is scored under one run, and under the base beside it."""

    held_out: Sequence[Forked]
    training: Sequence[Forked]
    pairs: tuple[ContrastPair, ...]


def score_all(session: Session, runs: Sequence[Run], test: TestSet) -> None:
    """Score these runs, and the base where that was not done yet; each run is stored as soon as it is done."""
    pairs, rows = forked_rows(test.encoded, session.tokenizer, test.max_seq_length)
    session.loaded()
    for run in [one for one in runs if one in session.runs]:
        sample = spread(training_rows(run), len(rows))
        training = encode_for_scoring(sample, session.tokenizer, max_seq_length=test.max_seq_length)
        parts = _Parts(rows, [Forked(one) for one in training if one.target_tokens], pairs)
        base, own = (_material(session, test, who, parts) for who in (None, run))
        broken = next((one.row for one in own["held-out"] if not math.isfinite(one.row.nats)), None)
        if broken is not None:
            session.refuse(
                run,
                f"{run.name}: is left out, since its loss on line {broken.row} of {test.place} is {broken.nats}: the "
                "adapter's numbers are too large for this arithmetic. Use an earlier checkpoint.",
            )
            continue
        _store(session, run, test, parts, {BASE: base, run.name: own})


def _material(session: Session, test: TestSet, run: Run | None, parts: _Parts) -> _Scores:
    named = {"held-out": parts.held_out, "training": parts.training}
    return {name: _scores(session, test, run, name, rows) for name, rows in named.items()}


def _scores(session: Session, test: TestSet, run: Run | None, name: str, rows: Sequence[Forked]) -> list[ScoredForked]:
    """In the rows' order; what is kept already is not computed again. The base's scores lie beside any of the runs."""
    adapter = adapter_sha256(run.folder) if run else session.model.sha256
    file = f"{'' if run else 'base-'}scores-{name}-{_identity(adapter, rows)}.jsonl"
    places = [one.folder.evaluation(test.key) / file for one in ([run] if run else session.runs)]
    path = next((place for place in places if place.exists()), places[0])
    with reading(path):
        done = [ScoredForked.from_json(row) for row in read_jsonl(path)] if path.exists() else []
    if len(done) < len(rows):
        engine = session.engine(run)
        sentences = sum(len(forked.forks) for forked in rows[len(done) :])
        also = f" and {sentences} sentences, true and false," if sentences else ""
        session.say(
            f"Scoring {len(rows) - len(done)} {name} answers{also} under {run.name if run else 'the base model'}."
        )
        for start in range(len(done), len(rows), KEEP_EVERY):
            done += score_alone(engine, rows[start : start + KEEP_EVERY])
            write_bytes(path, jsonl(row.to_json() for row in done))
    if run is None:
        _check_base(done, test)
    return done


def _identity(adapter: str, rows: Sequence[Forked]) -> str:
    """Everything that the scores depend on."""
    parts = [[one.key, one.row.target_start, one.row.target_end, [[f.at, f.start] for f in one.forks]] for one in rows]
    body = [adapter, parts]
    return hashlib.sha256(json.dumps(body).encode()).hexdigest()[:12]


def _check_base(rows: Sequence[ScoredForked], test: TestSet) -> None:
    broken = next((one.row for one in rows if not math.isfinite(one.row.nats)), None)
    if broken is not None:
        raise EngineError(
            f"{test.place}: under the base model itself the loss is {broken.nats}. Its weights are damaged, or its "
            "arithmetic too narrow: set dtype: float32."
        )


def _store(session: Session, run: Run, test: TestSet, parts: _Parts, found: dict[str, _Scores]) -> None:
    """Rows first: evaluation.json is what makes the folder count."""
    folder = run.folder.evaluation(test.key)
    rows, base_rows = (sorted(_rows(found[who], "held-out"), key=lambda row: row.row) for who in (run.name, BASE))
    write_bytes(folder / "rows.jsonl", jsonl(row.to_json() for row in rows))
    write_bytes(folder / "base.jsonl", jsonl(row.to_json() for row in base_rows))
    examples = ((example.row, example.row.sha256) for example in test.encoded)
    write_bytes(
        folder / EXAMPLES,
        jsonl({"sha256": sha256, "question": row.question, "reference": row.answer} for row, sha256 in examples),
    )
    scored = _scored(session, run, test, parts, found)
    write_bytes(folder / "contrast.jsonl", jsonl(_pair_rows(run, parts.pairs, scored)))
    results = measure(Material({}, scored=scored), SCORED_MEASURES)
    store_measures(folder, {}, [StoredMeasure.of(one, run.name, dict(scored.clusters)) for one in results], SCORED)
    write_json(folder / "evaluation.json", _summary(session.loaded(), run, test, rows, base_rows))


def _scored(session: Session, run: Run, test: TestSet, parts: _Parts, found: dict[str, _Scores]) -> Scored:
    end_ids = session.tokenizer.end_ids
    cut = run.plan.counts.get("train_rows_cut")
    return Scored(
        held_out={label: _rows(some, "held-out") for label, some in found.items()},
        training={label: _rows(some, "training") for label, some in found.items()},
        nearness=nearness([one.row for one in test.encoded], training_rows(run)),
        ended=frozenset(one.row.sha256[:16] for one in test.encoded if int(one.ids[one.target_end - 1]) in end_ids),
        pairs={label: scored_pairs(parts.pairs, some["held-out"]) for label, some in found.items()},
        training_rows_cut={run.name: int(cut.value)} if cut and cut.value else {},
    )


def _pair_rows(run: Run, pairs: Sequence[ContrastPair], scored: Scored) -> list[dict[str, Any]]:
    """What was compared, in words: for a person who wants to see whether the edits are false."""
    both = zip(pairs, scored.pairs[run.name], scored.pairs[BASE], strict=True)
    return [
        {
            **{name: getattr(pair, name) for name in pair.__slots__},
            "run": {"true": own.true, "false": own.false},
            "base": {"true": base.true, "false": base.false},
        }
        for pair, own, base in both
    ]


def _summary(
    base: Base, run: Run, test: TestSet, rows: Sequence[ScoredRow], base_rows: Sequence[ScoredRow]
) -> dict[str, Any]:
    facts, folder = base.facts, run.folder.evaluation(test.key)
    return {
        "key": test.key,
        "test": test.to_json(),
        "engine": {"name": facts.name, "device": facts.device, "dtype": facts.dtype, "versions": facts.versions},
        "adapter_sha256": adapter_sha256(run.folder),
        "held_out_loss": held_out_loss(rows).to_json(),
        "base_held_out_loss": held_out_loss(base_rows).to_json(),
        "files": file_hashes(folder, [folder / "rows.jsonl", folder / "base.jsonl"]),
    }
