"""Answers: the base and every run answer the same prompts in the same batches; then the measures are taken.

Owns: which prompts, how long an answer may be, and what is stored beside each run. Must not: generate
(evaluation/asking.py) or define a measure (evaluation/measures/).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path
from typing import Any

from runoff.data import Row
from runoff.engines.generation import Sampling
from runoff.errors import DataError
from runoff.evaluation.answers import Answer
from runoff.evaluation.asking import Question, ask, prompt_questions, row_questions, that_fit
from runoff.evaluation.drifting import drifts
from runoff.evaluation.material import BASE, Material, TrainingRow
from runoff.evaluation.measures import (
    MEASURES,
    SAMPLED_MEASURES,
    About,
    Measure,
    MeasureResult,
    load_measure,
    measure,
)
from runoff.evaluation.samples import spread, training_rows
from runoff.evaluation.session import Session
from runoff.evaluation.stored import StoredMeasure, store_measures
from runoff.evaluation.suite import Prompt, general_prompts, load_prompts
from runoff.evaluation.testset import TestSet
from runoff.files import jsonl, write_bytes

__all__ = ["Answering", "answer_all"]

SUITE_TOKENS = 96
Answers = Mapping[str, Mapping[str, Sequence[Answer]]]
"""By label, then by the name of the job."""
Measured = tuple[MeasureResult, Mapping[str, str | float]]
"""A result, and how it was taken."""


@dataclass(frozen=True)
class Answering:
    """What to generate.

    questions: test questions at most. training_questions: answered by the base, for the style score. temperature 0 is
    greedy. sampled_temperature: answer the test questions a second time at this one, None for not. own_measures:
    `module:function` or `file.py:function`. prompts: a user's own checkable prompts.
    """

    questions: int = 100
    training_questions: int = 96
    suite: bool = True
    temperature: float = 0.0
    top_p: float = 1.0
    sampled_temperature: float | None = None
    sampled_top_p: float = 0.95
    seed: int = 0
    own_measures: tuple[str, ...] = ()
    prompts: Path | None = None


@dataclass(frozen=True)
class _Job:
    """Questions under one sampler. base_only: nobody but the base answers them."""

    questions: Sequence[Question]
    sampling: Sampling
    base_only: bool = False


def answer_all(session: Session, test: TestSet, wanted: Answering) -> None:
    """Generate what is missing, then measure every run and store the results beside it.

    Raises:
        DataError: the user's own prompts can't be read.
    """
    prompts = _prompts(wanted)
    own = tuple(load_measure(name) for name in wanted.own_measures)
    training = _training(session)
    jobs = _jobs(session, test, prompts, training, wanted)
    by_job = {
        name: ask(
            session, test.key, [None, *(() if job.base_only else session.runs)], name, job.questions, job.sampling
        )
        for name, job in jobs.items()
    }
    found = {
        who: {name: answers[who] for name, answers in by_job.items() if who in answers}
        for who in (BASE, *(run.name for run in session.runs))
    }
    material = _material(session, found, prompts, training)
    material = replace(material, drift=drifts(session, test.key, jobs["suite"].questions, found[BASE]["suite"]))
    results = _measured(material, (*MEASURES, *own), jobs["answers"].sampling)
    if "sampled" in jobs:
        sampled = replace(material, answers={who: tuple(answers["sampled"]) for who, answers in found.items()})
        results += _measured(sampled, SAMPLED_MEASURES, jobs["sampled"].sampling)
    generation = _plain(asdict(wanted) | {"max_tokens": jobs["answers"].sampling.max_tokens})
    _store(session, test, found, generation | {"questions_answered": len(jobs["answers"].questions)}, results)


def _jobs(
    session: Session, test: TestSet, prompts: Sequence[Prompt], trained_on: Sequence[Row], wanted: Answering
) -> dict[str, _Job]:
    """An answer may be twice as long as the longest reference, as far as the model can read."""
    limit = 2 * max(example.target_tokens for example in test.encoded)
    limit = min(limit, (session.model.context_length or 2 * limit) // 2)
    rows = spread([example.row for example in test.encoded], wanted.questions)
    asked = that_fit(session, row_questions(rows, session.tokenizer), limit, "test questions")
    known = spread(trained_on, wanted.training_questions)
    suite = that_fit(session, prompt_questions(prompts, session.tokenizer), SUITE_TOKENS, "prompts")
    training = that_fit(session, row_questions(known, session.tokenizer), limit, "training questions")
    first = Sampling(limit, wanted.temperature, wanted.top_p, wanted.seed)
    jobs = {
        "answers": _Job(asked, first),
        "suite": _Job(suite, replace(first, max_tokens=SUITE_TOKENS)),
        "training": _Job(training, first, base_only=True),
    }
    if wanted.sampled_temperature is not None:
        second = Sampling(limit, wanted.sampled_temperature, wanted.sampled_top_p, wanted.seed)
        jobs["sampled"] = _Job(asked, second)
    return jobs


def _training(session: Session) -> list[Row]:
    """What any of the runs was trained on, whatever the order in which they were named."""
    runs = sorted(session.runs, key=lambda run: run.name)
    return list({row.sha256: row for run in runs for row in training_rows(run)}.values())


def _training_sha256(material: Material) -> str:
    """Identity of the training rows that are looked at, and of those that the base has answered."""
    body = [[astuple(row) for row in material.training], [answer.example for answer in material.base_on_training]]
    return hashlib.sha256(json.dumps(body).encode()).hexdigest()[:16]


def _measured(material: Material, measures: Sequence[Measure], sampling: Sampling) -> list[Measured]:
    rows = _training_sha256(material)
    return [(one, _taken(one.about, sampling, rows)) for one in measure(material, measures)]


def _taken(about: About, sampling: Sampling, training_sha256: str) -> dict[str, str | float]:
    """What has to be equal for the values of two runs that were measured apart to be set side by side."""
    drawn = {"top-p": sampling.top_p, "seed": sampling.seed} if sampling.temperature else {}
    rows = {"training rows": training_sha256} if about.looks_at_training else {}
    return {"temperature": sampling.temperature, "longest answer": sampling.max_tokens, **drawn, **rows}


def _material(session: Session, found: Answers, prompts: tuple[Prompt, ...], training: Sequence[Row]) -> Material:
    return Material(
        answers={who: tuple(answers["answers"]) for who, answers in found.items()},
        training=tuple(TrainingRow(row.question, row.answer, row.source) for row in training),
        base_on_training=tuple(found[BASE]["training"]),
        prompts=prompts,
        suite={who: tuple(answers["suite"]) for who, answers in found.items()},
        special_tokens=tuple(session.tokenizer.special_tokens.values()),
    )


def _store(
    session: Session,
    test: TestSet,
    found: Answers,
    generation: dict[str, Any],
    results: Sequence[Measured],
) -> None:
    """The answers under names that a person finds, and the measures."""
    for run in session.runs:
        folder = run.folder.evaluation(test.key)
        for name in ("answers", "suite", "sampled"):
            for prefix, who in (("", run.name), ("base-", BASE)):
                if found[who].get(name):
                    rows = (answer.to_json() for answer in found[who][name])
                    write_bytes(folder / f"{prefix}{name}.jsonl", jsonl(rows))
        clusters = {one.example: one.cluster for some in found[run.name].values() for one in some}
        store_measures(folder, generation, [StoredMeasure.of(one, run.name, clusters, taken) for one, taken in results])


def _prompts(wanted: Answering) -> tuple[Prompt, ...]:
    """The bundled prompts and the user's own.

    Raises:
        DataError: two prompts share an id.
    """
    prompts = (*(general_prompts() if wanted.suite else ()), *(load_prompts(wanted.prompts) if wanted.prompts else ()))
    ids = [prompt.id for prompt in prompts]
    twice = next((one for one in ids if ids.count(one) > 1), None)
    if twice is not None:
        raise DataError(f"{wanted.prompts}: the id {twice} is taken by another prompt. Choose a new one.")
    return prompts


def _plain(body: dict[str, Any]) -> dict[str, Any]:
    return {key: str(value) if isinstance(value, Path) else value for key, value in body.items()}
