"""Asking: models continue prompts, batch by batch, and every batch of answers is kept as soon as there is one.

Owns: prompts as ids, storing answers so that an interrupted evaluation goes on where it was. Must not: pick tokens
(engines/generation.py) or measure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from runoff.data import Row, Tokenizer
from runoff.engines import Engine
from runoff.engines.generation import BATCH_POSITIONS, BATCH_ROWS, Sampling, batches, generate
from runoff.evaluation.answers import Answer, read_answers
from runoff.evaluation.material import BASE
from runoff.evaluation.session import Session, adapter_sha256
from runoff.evaluation.suite import Prompt
from runoff.files import jsonl, write_bytes
from runoff.runs import Run

__all__ = ["Question", "ask", "chat_ids", "prompt_questions", "row_questions", "that_fit"]

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Question:
    """One prompt as ids, and what an Answer remembers of it."""

    example: str
    source: str | None
    question: str
    reference: str | None
    ids: Ids


def row_questions(rows: Sequence[Row], tokenizer: Tokenizer) -> list[Question]:
    """Chats as training rendered them, up to the answer. Plain-text rows ask nothing."""
    return [
        Question(
            row.sha256[:16], row.source, row.question, row.answer, chat_ids(tokenizer, row.messages[:-1], row.tools)
        )
        for row in rows
        if row.format != "text"
    ]


def prompt_questions(prompts: Sequence[Prompt], tokenizer: Tokenizer) -> list[Question]:
    """Checkable prompts; the cluster of each is its category."""
    return [
        Question(prompt.id, prompt.category, prompt.question, None, chat_ids(tokenizer, prompt.messages, None))
        for prompt in prompts
    ]


def that_fit(session: Session, questions: Sequence[Question], max_tokens: int, what: str) -> list[Question]:
    """Those whose prompt leaves room for an answer in what the model can read; the others are counted aloud."""
    context = session.model.context_length
    kept = [one for one in questions if context is None or len(one.ids) + max_tokens <= context]
    if len(kept) < len(questions):
        long = next(one for one in questions if one not in kept)
        session.say(
            f"{len(questions) - len(kept)} of {len(questions)} {what} are not asked: with {max_tokens} tokens of "
            f"answer they are longer than the {context} tokens that the model can read. The first: "
            f"{long.question[:60]!r}."
        )
    return kept


def ask(
    session: Session, key: str, runs: Sequence[Run | None], name: str, questions: Sequence[Question], sampling: Sampling
) -> dict[str, list[Answer]]:
    """By label, each one's answers in the questions' order: those that are kept, and the batches that are missing.

    None among the runs is the base. Everyone answers a batch before the next one begins, so that its prompts need be
    read once only. A run that turns out not to fit the base is left out.
    """
    sheets = [_Sheet.of(session, key, run, name, questions, sampling) for run in runs]
    asked = 0
    for places in batches([len(question.ids) for question in questions], sampling.max_tokens):
        batch = [questions[at] for at in places]
        for sheet in sheets:
            if len(sheet.done) <= asked and (engine := sheet.engine(session)):
                session.say(f"{name}: {asked + len(batch)} of {len(questions)} under {sheet.who}.")
                sheet.add(_answers(engine, batch, session.tokenizer, sampling))
        asked += len(batch)
    found = {}
    for sheet in sheets:
        if len(sheet.done) == len(questions):
            by_example = {answer.example: answer for answer in sheet.done}
            found[sheet.run.name if sheet.run else BASE] = [by_example[question.example] for question in questions]
    return found


@dataclass
class _Sheet:
    """One model's answers so far, batch after batch; kept in the run's evaluation folder of this key.

    The base's lie beside any of the runs'.
    """

    run: Run | None
    path: Path
    done: list[Answer]

    @classmethod
    def of(
        cls, session: Session, key: str, run: Run | None, name: str, questions: Sequence[Question], sampling: Sampling
    ) -> _Sheet:
        adapter = adapter_sha256(run.folder) if run else session.model.sha256
        file = f"{'' if run else 'base-'}{name}-{_identity(questions, sampling, adapter)}.jsonl"
        places = [one.folder.evaluation(key) / file for one in ([run] if run else session.runs)]
        path = next((place for place in places if place.exists()), places[0])
        return cls(run, path, list(read_answers(path)))

    @property
    def who(self) -> str:
        return self.run.name if self.run else "the base model"

    def engine(self, session: Session) -> Engine | None:
        """What answers; None if the run can't be put on the base."""
        session.loaded()
        return session.engine(self.run) if self.run is None or self.run in session.runs else None

    def add(self, answers: Iterable[Answer]) -> None:
        """Keep a batch."""
        self.done += answers
        write_bytes(self.path, jsonl(answer.to_json() for answer in self.done))


def _answers(engine: Engine, batch: Sequence[Question], tokenizer: Tokenizer, sampling: Sampling) -> Iterator[Answer]:
    generated = generate(engine, [question.ids for question in batch], tokenizer.end_ids, sampling)
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


def chat_ids(tokenizer: Tokenizer, messages: Sequence[Mapping[str, Any]], tools: Sequence[Any] | None) -> Ids:
    """The prompt as the model sees it, up to where its answer begins."""
    text = tokenizer.render(messages, add_generation_prompt=True, tools=tools)
    return np.asarray(tokenizer.encode(text), dtype=np.int32)


def _identity(questions: Sequence[Question], sampling: Sampling, adapter: str) -> str:
    shape = [BATCH_ROWS, BATCH_POSITIONS]
    body = [adapter, asdict(sampling), shape, [question.ids.tolist() for question in questions]]
    return hashlib.sha256(json.dumps(body).encode()).hexdigest()[:12]
