"""Answers: the base and every run answer the same prompts in the same batches; then the measures are taken.

Owns: which prompts, how long an answer may be, storing answers batch by batch so that an interrupted evaluation goes on
where it was. Must not: pick tokens (engines/generation.py) or define a measure (evaluation/measures/).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from runoff.data import Row, Tokenizer, load_rows
from runoff.engines import Engine
from runoff.engines.generation import BATCH_ROWS, Sampling, generate
from runoff.errors import DataError
from runoff.evaluation.answers import Answer
from runoff.evaluation.material import BASE, Material, TrainingRow
from runoff.evaluation.measures import MEASURES, load_measure, measure
from runoff.evaluation.session import Session, adapter_sha256
from runoff.evaluation.stored import StoredMeasure, store_measures
from runoff.evaluation.suite import Prompt, general_prompts, load_prompts
from runoff.evaluation.testset import TestSet
from runoff.files import jsonl, write_bytes
from runoff.runs import Run
from runoff.runs.store import read_jsonl

__all__ = ["Answering", "answer_all", "training_rows"]

SUITE_TOKENS = 96


@dataclass(frozen=True)
class Answering:
    """What to generate.

    questions: test questions at most. training_questions: answered by the base, for the style score. temperature 0 is
    greedy. own_measures: `module:function` or `file.py:function`. prompts: a user's own checkable prompts.
    """

    questions: int = 100
    training_questions: int = 96
    suite: bool = True
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    own_measures: tuple[str, ...] = ()
    prompts: Path | None = None


@dataclass(frozen=True)
class _Question:
    """One prompt as ids, and what an Answer remembers of it."""

    example: str
    source: str | None
    question: str
    reference: str | None
    ids: npt.NDArray[np.int32]


def answer_all(session: Session, test: TestSet, tokenizer: Tokenizer, wanted: Answering) -> None:
    """Generate what is missing, then measure every run and store the results beside it."""
    prompts = _prompts(wanted)
    measures = (*MEASURES, *(load_measure(name) for name in wanted.own_measures))
    rows = [example.row for example in test.encoded]
    training = training_rows(session.runs[0])
    asked = _spread(rows, wanted.questions)
    limit = 2 * max((example.target_tokens for example in test.encoded), default=256)
    jobs = {
        "answers": (_questions(asked, tokenizer), limit),
        "suite": ([_suite_question(prompt, tokenizer) for prompt in prompts], SUITE_TOKENS),
    }
    base_only = {"training": (_questions(_spread(training, wanted.training_questions), tokenizer), limit)}
    found = {
        who: {name: _answers(session, test, run, name, *job, tokenizer, wanted) for name, job in all_jobs.items()}
        for who, run, all_jobs in [(BASE, None, jobs | base_only), *((run.name, run, jobs) for run in session.runs)]
    }
    material = Material(
        answers={who: tuple(answers["answers"]) for who, answers in found.items()},
        training=tuple(TrainingRow(row.question, row.answer, row.source) for row in training),
        base_on_training=tuple(found[BASE]["training"]),
        prompts=prompts,
        suite={who: tuple(answers["suite"]) for who, answers in found.items()},
        special_tokens=tuple(tokenizer.special_tokens.values()),
    )
    results = measure(material, measures)
    generation = _plain(asdict(wanted) | {"max_tokens": limit, "questions_answered": len(asked)})
    for run in session.runs:
        folder = run.folder.evaluation(test.key)
        clusters = {one.example: one.cluster for name in ("answers", "suite") for one in found[run.name][name]}
        for name, answers in (("answers", found[run.name]["answers"]), ("base-answers", found[BASE]["answers"])):
            write_bytes(folder / f"{name}.jsonl", jsonl(answer.to_json() for answer in answers))
        store_measures(folder, generation, [StoredMeasure.of(one, run.name, clusters) for one in results])


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


def _answers(
    session: Session,
    test: TestSet,
    run: Run | None,
    name: str,
    questions: Sequence[_Question],
    max_tokens: int,
    tokenizer: Tokenizer,
    wanted: Answering,
) -> list[Answer]:
    """Stored answers, and the batches that are missing. The base's are kept beside the first run."""
    sampling = Sampling(max_tokens, wanted.temperature, wanted.top_p, wanted.seed)
    who = run.name if run else "the base model"
    folder = (run or session.runs[0]).folder.evaluation(test.key)
    adapter = adapter_sha256(run.folder) if run else session.model.sha256
    path = folder / f"{'' if run else 'base-'}{name}-{_identity(questions, sampling, adapter)}.jsonl"
    order = sorted(range(len(questions)), key=lambda at: (len(questions[at].ids), at))
    batches = [
        [questions[at] for at in order[start : start + BATCH_ROWS]] for start in range(0, len(order), BATCH_ROWS)
    ]
    done = [Answer.from_json(row) for row in read_jsonl(path)] if path.exists() else []
    for index, batch in enumerate(batches):
        if len(done) < len(order) and index * BATCH_ROWS >= len(done):
            session.say(f"{name}: {min((index + 1) * BATCH_ROWS, len(order))} of {len(order)} under {who}.")
            done += _batch(session.engine(run), batch, tokenizer, sampling)
            write_bytes(path, jsonl(answer.to_json() for answer in done))
    by_example = {answer.example: answer for answer in done}
    return [by_example[question.example] for question in questions]


def _batch(engine: Engine, batch: Sequence[_Question], tokenizer: Tokenizer, sampling: Sampling) -> Iterator[Answer]:
    generated = generate(engine, [question.ids for question in batch], tokenizer.end_ids, sampling, rows=len(batch))
    for question, one in zip(batch, generated, strict=True):
        yield Answer(
            question.example,
            question.source,
            question.question,
            question.reference,
            tokenizer.decode(one.ids),
            one.ids,
            one.finish_reason,
            one.finish_reason == "stop",
        )


def _questions(rows: Sequence[Row], tokenizer: Tokenizer) -> list[_Question]:
    """Chats as training rendered them, up to the answer. Plain-text rows ask nothing."""
    return [
        _Question(
            row.sha256[:16],
            row.source,
            row.question,
            row.answer,
            _ids(tokenizer, row.messages[:-1], row.tools),
        )
        for row in rows
        if row.format != "text"
    ]


def _suite_question(prompt: Any, tokenizer: Tokenizer) -> _Question:
    return _Question(prompt.id, prompt.category, prompt.question, None, _ids(tokenizer, prompt.messages, None))


def _ids(tokenizer: Tokenizer, messages: Sequence[Any], tools: Sequence[Any] | None) -> npt.NDArray[np.int32]:
    text = tokenizer.render(messages, add_generation_prompt=True, tools=tools)
    return np.asarray(tokenizer.encode(text), dtype=np.int32)


def _spread(rows: Sequence[Row], count: int) -> list[Row]:
    """Distinct rows, evenly over the file, and so over the sources that stand together in it."""
    rows = list({row.sha256: row for row in rows}.values())
    if len(rows) <= count:
        return list(rows)
    return [rows[index * len(rows) // count] for index in range(count)]


def training_rows(run: Run) -> list[Row]:
    """The rows that a run was trained on, where its data folder is still at hand."""
    place = Path(str((run.identity.data.get("train") or {}).get("place", "")))
    return list(load_rows(place, name="train").rows) if place.is_file() else []


def _identity(questions: Sequence[_Question], sampling: Sampling, adapter: str) -> str:
    body = [adapter, asdict(sampling), [question.ids.tolist() for question in questions]]
    return hashlib.sha256(json.dumps(body).encode()).hexdigest()[:12]


def _plain(body: dict[str, Any]) -> dict[str, Any]:
    return {key: str(value) if isinstance(value, Path) else value for key, value in body.items()}
