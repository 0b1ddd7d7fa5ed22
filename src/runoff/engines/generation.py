"""Generation: the one loop that picks tokens, for every engine.

Owns: sampling (greedy, or temperature and top-p with a seed for each example), when an answer ends, and batches of the
same shape for every run, so that a difference between runs is not one between batches. An engine only gives the logits
of the next token. Must not: know prompts as text or what the answers are for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["BATCH_ROWS", "Decoder", "Generated", "Generates", "Sampling", "generate"]

BATCH_ROWS = 16
Logits = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Sampling:
    """temperature 0 is greedy. The random numbers of an example depend on `seed` and its own ids alone."""

    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Generated:
    """An answer's ids without the end token, and why it ended."""

    ids: tuple[int, ...]
    finish_reason: Literal["stop", "length"]


class Decoder(Protocol):
    """A batch of prompts that is being continued, with its key-value cache."""

    def logits(self) -> Logits:
        """(rows, vocabulary) of the next token of each row."""

    def push(self, ids: Ids) -> None:
        """Append one token to each row."""


class Generates(Protocol):
    """What this module asks of an engine."""

    def decoder(self, prompts: Sequence[Ids]) -> Decoder:
        """Start to continue these prompts."""


@dataclass
class _Row:
    """One prompt on its way."""

    place: int
    random: np.random.Generator
    ids: list[int] = field(default_factory=list)
    ended: bool = False


def generate(
    engine: Generates, prompts: Sequence[Ids], end_ids: frozenset[int], sampling: Sampling, *, rows: int = BATCH_ROWS
) -> list[Generated]:
    """Continue every prompt, in batches of near lengths; the answers come back in the prompts' order."""
    order = sorted(range(len(prompts)), key=lambda place: (len(prompts[place]), place))
    answers: dict[int, Generated] = {}
    for start in range(0, len(order), rows):
        batch = [_Row(place, _random(sampling.seed, prompts[place])) for place in order[start : start + rows]]
        _run(engine.decoder([prompts[row.place] for row in batch]), batch, end_ids, sampling)
        answers |= {row.place: Generated(tuple(row.ids), "stop" if row.ended else "length") for row in batch}
    return [answers[place] for place in range(len(prompts))]


def _run(decoder: Decoder, batch: Sequence[_Row], end_ids: frozenset[int], sampling: Sampling) -> None:
    """Until every row has ended; rows that have go on being fed, so that the batch keeps its shape."""
    for count in range(sampling.max_tokens):
        logits = decoder.logits()
        picked = [pick(logits[index], sampling, row.random) for index, row in enumerate(batch)]
        for row, token in zip(batch, picked, strict=True):
            row.ended = row.ended or token in end_ids
            if not row.ended:
                row.ids.append(token)
        if all(row.ended for row in batch) or count + 1 == sampling.max_tokens:
            return
        decoder.push(np.asarray(picked, dtype=np.int32))


def pick(logits: npt.NDArray[np.float32], sampling: Sampling, random: np.random.Generator) -> int:
    """The next token of one row. logits: (vocabulary,). top_p keeps the fewest tokens whose chances sum to it."""
    if sampling.temperature == 0.0:
        return int(logits.argmax())
    scaled = logits.astype(np.float64) / sampling.temperature
    chances = np.exp(scaled - scaled.max())
    chances /= chances.sum()
    if sampling.top_p < 1.0:
        order = np.argsort(-chances, kind="stable")
        before = np.cumsum(chances[order]) - chances[order]
        chances[order[before >= sampling.top_p]] = 0.0
        chances /= chances.sum()
    return int(np.searchsorted(np.cumsum(chances), random.random(), side="right").clip(max=len(chances) - 1))


def _random(seed: int, prompt: Ids) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([seed, *prompt.astype(np.uint32).tolist()]))
