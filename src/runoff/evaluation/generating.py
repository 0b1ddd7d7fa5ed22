"""`runoff generate`: the base and any number of runs answer the same prompts. Owns: the order. Must not: measure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from runoff.engines import Base
from runoff.engines.generation import Sampling
from runoff.errors import DataError
from runoff.evaluation.answers import Answer
from runoff.evaluation.asking import Question, ask, chat_ids, that_fit
from runoff.evaluation.prompt_files import Asked, read_asked
from runoff.evaluation.session import open_session
from runoff.runs import Run

__all__ = ["generate_answers"]

KEY = "prompts"
"""The folder below a run's evaluations where answers to loose prompts are kept."""


def generate_answers(
    runs: Sequence[Run],
    prompts: str,
    sampling: Sampling,
    *,
    base: Base | None = None,
    say: Callable[[str], None] = lambda _text: None,
) -> Mapping[str, Sequence[Answer]]:
    """By label, "base" first: the answers to these prompts, in their order; what is kept is not generated again.

    A run that can't be used is said to `say` and left out.

    Args:
        runs: trained runs on one base.
        prompts: a .jsonl or .yaml file, or one question.
        sampling: how tokens are picked, and how many at most.
        base: a loaded base, for callers that have one.
        say: receives progress sentences.

    Raises:
        DataError: the prompts can't be read, or none of them fits into what the model can read.
        RunError: none of the runs can be used.
    """
    asked = _distinct(read_asked(prompts))
    session = open_session(runs, say, base)
    questions = [
        Question(one.example, one.source, one.question, one.reference, chat_ids(session.tokenizer, one.messages, None))
        for one in asked
    ]
    kept = that_fit(session, questions, sampling.max_tokens, "prompts")
    if not kept:
        raise DataError("none of the prompts fits into what the model can read. Shorten them, or lower --max-tokens.")
    return ask(session, KEY, [None, *session.runs], "answers", kept, sampling)


def _distinct(asked: Sequence[Asked]) -> list[Asked]:
    """Each with a name of its own."""
    seen: dict[str, int] = {}
    named = []
    for one in asked:
        count = seen[one.example] = seen.get(one.example, 0) + 1
        named.append(one if count == 1 else replace(one, example=f"{one.example} ({count})"))
    return named
