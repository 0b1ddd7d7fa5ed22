"""One generated answer. Owns: what every measure may know of it. Must not: generate, score or judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from runoff.evaluation.damaged import reading
from runoff.files import read_jsonl

__all__ = ["Answer", "FinishReason", "read_answers"]

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model (or the author) answered to one question.

    example: names the question; the same for every run. source: where the question comes from, None if not given.
    reference: the author's own answer, None if there is none. tokens: ids of the generated tokens, without the prompt;
    empty where nobody kept them. finish_reason: "length" if it ran into the limit. end_token_seen: whether the model
    itself ended the answer.
    """

    example: str
    source: str | None
    question: str
    reference: str | None
    text: str
    tokens: tuple[int, ...] = ()
    finish_reason: FinishReason = "stop"
    end_token_seen: bool = True

    @property
    def cluster(self) -> str:
        """The source, or the example itself where none is given."""
        return self.source if self.source is not None else f"example {self.example}"

    def to_json(self) -> dict[str, Any]:
        """Its fields by name, ready for `json.dumps`."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Answer:
        """The answer that `to_json` wrote."""
        return cls(**{**data, "tokens": tuple(data["tokens"])})


def read_answers(path: Path) -> tuple[Answer, ...]:
    """Answers as they were stored; empty where there is no such file.

    Raises:
        RunError: the file is damaged.
    """
    with reading(path):
        return tuple(map(Answer.from_json, read_jsonl(path))) if path.exists() else ()
