"""D1's pass: the base's own answers under every run, beside the base, over the whole vocabulary.

Owns: what is compared, and keeping it. One answer at a time under everyone, so that no more than one answer's
distribution is in memory for each. Must not: define a measure (measures/drift.py).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from runoff.data import Encoded, Row, make_batch
from runoff.engines import Engine
from runoff.evaluation.answers import Answer
from runoff.evaluation.asking import Question
from runoff.evaluation.damaged import reading
from runoff.evaluation.material import BASE
from runoff.evaluation.scored import Drift
from runoff.evaluation.session import Session, adapter_sha256
from runoff.files import jsonl, read_jsonl, write_bytes
from runoff.runs import RunFolder

__all__ = ["drifts"]

LogChances = npt.NDArray[np.float32]
KEEP_EVERY = 16


def _kept(path: Path) -> list[Drift]:
    with reading(path):
        return [Drift.from_json(row) for row in read_jsonl(path)] if path.exists() else []


def drifts(
    session: Session, key: str, questions: Sequence[Question], answers: Sequence[Answer]
) -> Mapping[str, tuple[Drift, ...]]:
    """By label: how far it is from the base on each of the base's answers. The base is 0 by definition."""
    pairs = [(question, answer) for question, answer in zip(questions, answers, strict=True) if answer.tokens]
    rows = [_encoded(at, question, answer) for at, (question, answer) in enumerate(pairs)]
    paths = {
        run.name: run.folder.evaluation(key) / f"drift-{_identity(run.folder, rows)}.jsonl" for run in session.runs
    }
    done = {name: _kept(path) for name, path in paths.items()}
    missing = [run for run in session.runs if len(done[run.name]) < len(rows)]
    if missing:
        session.loaded()
        missing = [run for run in missing if run in session.runs]  # the others were refused just now
        session.say(f"drift: {len(rows)} answers of the base under {len(missing)} of the runs.")
    for at, (row, (_, answer)) in enumerate(zip(rows, pairs, strict=True), start=1):
        wanted = [run for run in missing if len(done[run.name]) < at]
        if wanted:
            base = _log_chances(session.engine(None), row)
        for run in wanted:
            done[run.name].append(_drift(answer, row, base, _log_chances(session.engine(run), row)))
            if at % KEEP_EVERY == 0 or at == len(rows):
                write_bytes(paths[run.name], jsonl(one.to_json() for one in done[run.name]))
    zero = tuple(Drift(answer.example, answer.cluster, len(answer.tokens), 0.0, 0.0) for _, answer in pairs)
    return {BASE: zero, **{name: _finite(some) for name, some in done.items()}}


def _encoded(number: int, question: Question, answer: Answer) -> Encoded:
    ids = np.concatenate([question.ids, np.asarray(answer.tokens, dtype=np.int32)])
    row = Row(number, "text", (), answer.text, None, answer.source, "")
    return Encoded(row, ids, len(question.ids), len(ids), 0, prompt_is_prefix=True)


def _log_chances(engine: Engine, row: Encoded) -> LogChances:
    return engine.log_chances(make_batch([row]))[0]


def _drift(answer: Answer, row: Encoded, base: LogChances, own: LogChances) -> Drift:
    """The sums are made in float64, over the base's chances: what it gives no chance to counts for nothing."""
    targets = row.ids[row.target_start : row.target_end]
    at = np.arange(len(targets))
    nats = math.fsum((base[at, targets].astype(np.float64) - own[at, targets]).tolist())
    chances = np.exp(base)
    kl = float((chances * np.where(chances > 0, base - own, 0)).sum(dtype=np.float64))
    return Drift(answer.example, answer.cluster, len(targets), nats, kl)


def _finite(some: Sequence[Drift]) -> tuple[Drift, ...]:
    """A run whose numbers broke down on an answer is refused by its held-out loss; here that answer is left out."""
    return tuple(one for one in some if math.isfinite(one.nats) and math.isfinite(one.kl_nats))


def _identity(folder: RunFolder, rows: Sequence[Encoded]) -> str:
    body = [adapter_sha256(folder), [[row.key, row.target_start] for row in rows]]
    return hashlib.sha256(json.dumps(body).encode()).hexdigest()[:12]
