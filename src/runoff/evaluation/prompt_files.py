"""What `runoff generate` may be asked: one question, a YAML file of prompts, or JSONL rows with or without an answer.

Owns: the sentence for each thing that is wrong. Must not: render or generate.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runoff.errors import DataError
from runoff.evaluation.suite import load_prompts, prompt_text

__all__ = ["Asked", "read_asked"]

_ENDINGS = (".jsonl", ".yaml", ".yml")
_FILE_NAME = re.compile(r"\S+\.(txt|json|csv|tsv|md|ndjson)", re.IGNORECASE)
"""What nobody asks a model."""

_ROW = '{"messages": [{"role": "user", "content": ...}]} or {"prompt": ...}'


@dataclass(frozen=True)
class Asked:
    """One prompt as chat messages, the last of them the user's. reference: the row's own answer, if it has one."""

    example: str
    source: str | None
    messages: tuple[Mapping[str, Any], ...]
    reference: str | None = None

    @property
    def question(self) -> str:
        """The last message."""
        return str(self.messages[-1].get("content") or "")


def read_asked(given: str) -> tuple[Asked, ...]:
    """The prompts of a file, or the text itself as one question.

    Raises:
        DataError: the file is missing or empty, or a row of it can't be asked; with the line.
    """
    path = Path(given)
    is_file = len(given) < 4096 and "\n" not in given and path.is_file()
    if not is_file and not given.strip().endswith(_ENDINGS):
        if _FILE_NAME.fullmatch(given):
            raise DataError(f"{given}: no such file. Prompts are a .jsonl or .yaml file, or one question.")
        if not given.strip():
            raise DataError("the prompt is empty. Write a question, or name a .jsonl or .yaml file.")
        return (Asked("question", None, ({"role": "user", "content": given},)),)
    if path.suffix in (".yaml", ".yml"):
        return tuple(Asked(one.id, one.category, one.messages) for one in load_prompts(path))
    rows = tuple(_rows(path))
    if not rows:
        raise DataError(f"{path}: is empty. It needs at least one row such as {_ROW}.")
    return rows


def _rows(path: Path) -> Iterator[Asked]:
    for number, line in enumerate(prompt_text(path).split("\n"), start=1):
        if line.strip():
            yield _row(number, _object(line, f"{path}:{number}"), f"{path}:{number}")


def _object(line: str, place: str) -> Mapping[str, Any]:
    try:
        body = json.loads(line)
    except (ValueError, RecursionError):
        raise DataError(f"{place}: not JSON. Each line must be an object such as {_ROW}.") from None
    if not isinstance(body, dict):
        raise DataError(f"{place}: must be an object such as {_ROW}.")
    return body


def _row(number: int, body: Mapping[str, Any], place: str) -> Asked:
    source = next((str(body[key]) for key in ("source", "category") if body.get(key) is not None), None)
    example = str(body.get("id") or f"line {number}")
    if "messages" not in body:
        asked = next((body[key] for key in ("prompt", "question") if key in body), None)
        if not isinstance(asked, str) or not asked.strip():
            raise DataError(f"{place}: asks nothing. Write {_ROW}.")
        answer = next((body[key] for key in ("completion", "answer") if isinstance(body.get(key), str)), None)
        return Asked(example, source, ({"role": "user", "content": asked},), answer)
    messages = _messages(body["messages"], place)
    if messages[-1]["role"] == "assistant":
        return Asked(example, source, messages[:-1], str(messages[-1]["content"]))
    return Asked(example, source, messages)


def _messages(given: Any, place: str) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(given, Sequence) or not all(
        isinstance(one, dict) and isinstance(one.get("role"), str) and isinstance(one.get("content"), str)
        for one in given
    ):
        raise DataError(f"{place}: messages must be a list of objects with role and content, both text.")
    if not any(one["role"] == "user" for one in given):
        raise DataError(f"{place}: no message is the user's, so nothing is asked. Write {_ROW}.")
    return tuple(given)
