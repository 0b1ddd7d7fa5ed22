"""Generation: the one loop that picks tokens, for every engine.

Owns: sampling (greedy, or temperature and top-p with a seed for each example), when an answer ends, and which prompts
are continued together: the same for every run, so that a difference between runs is not one between batches. An answer
is a function of the base, the adapter and the prompts of its batch. An engine only gives the logits of the next token.
Must not: know prompts as text or what the answers are for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

__all__ = [
    "BATCH_POSITIONS",
    "BATCH_ROWS",
    "Decoder",
    "Generated",
    "Generates",
    "Sampling",
    "batches",
    "generate",
]

BATCH_ROWS = 64
"""In 64 rows a token costs half of what it costs in 16, in 128 hardly less; and a batch is what a kill can lose."""

BATCH_POSITIONS = 32 * 1024
"""Of a batch at its longest: 0.75 GB of keys and values for a model of 135M parameters, 2.5 GB for one of 3B."""

LEAVING = 8
"""Rows that have ended leave so many at a time: the others' memory is copied, and each new size of products costs."""

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

    def keep(self, rows: Sequence[int]) -> None:
        """Only these rows go on, in this order; the others have ended."""


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

    def take(self, token: int, end_ids: frozenset[int]) -> int:
        """The answer's next token, or its end."""
        self.ended = token in end_ids
        if not self.ended:
            self.ids.append(token)
        return token


def batches(lengths: Sequence[int], max_tokens: int, *, rows: int = BATCH_ROWS) -> list[list[int]]:
    """Places of the prompts that are continued together, near lengths first.

    A batch has at most so many rows, and holds no more than BATCH_POSITIONS when all its answers are at their longest.
    """
    found: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lambda place: (lengths[place], place)):
        together = len(found[-1]) + 1 if found else 0
        if found and together <= rows and together * (lengths[place] + max_tokens) <= BATCH_POSITIONS:
            found[-1].append(place)
        else:
            found.append([place])
    return found


def generate(
    engine: Generates, prompts: Sequence[Ids], end_ids: frozenset[int], sampling: Sampling, *, rows: int = BATCH_ROWS
) -> list[Generated]:
    """Continue every prompt; the answers come back in the prompts' order."""
    answers: dict[int, Generated] = {}
    for places in batches([len(prompt) for prompt in prompts], sampling.max_tokens, rows=rows):
        batch = [_Row(place, _random(sampling.seed, prompts[place])) for place in places]
        _run(engine.decoder([prompts[place] for place in places]), batch, end_ids, sampling)
        answers |= {row.place: Generated(tuple(row.ids), "stop" if row.ended else "length") for row in batch}
    return [answers[place] for place in range(len(prompts))]


def _run(decoder: Decoder, batch: Sequence[_Row], end_ids: frozenset[int], sampling: Sampling) -> None:
    """Until every row has ended. Those that have are fed on until enough of them can leave together."""
    for left in reversed(range(sampling.max_tokens)):
        picked = np.zeros(len(batch), dtype=np.int32)
        for at, (row, logits) in enumerate(zip(batch, decoder.logits(), strict=True)):
            if not row.ended:
                picked[at] = row.take(pick(logits, sampling, row.random), end_ids)
        ended = [at for at, row in enumerate(batch) if row.ended]
        if len(ended) == len(batch) or not left:
            return
        if gone := ended[: len(ended) // LEAVING * LEAVING]:
            kept = [at for at in range(len(batch)) if at not in gone]
            decoder.keep(kept)
            batch, picked = [batch[at] for at in kept], picked[kept]
        decoder.push(picked)


def pick(logits: npt.NDArray[np.float32], sampling: Sampling, random: np.random.Generator) -> int:
    """The next token of one row. logits: (vocabulary,). top_p keeps the fewest tokens whose chances sum to it."""
    if sampling.temperature == 0.0:
        return int(logits.argmax())
    chances = np.exp((logits - logits.max()) / np.float32(sampling.temperature))
    tokens = _nucleus(chances, sampling.top_p) if sampling.top_p < 1.0 else np.arange(len(chances))
    sums = np.cumsum(chances[tokens], dtype=np.float64)
    return int(tokens[np.searchsorted(sums, random.random() * sums[-1], side="right").clip(max=len(sums) - 1)])


def _nucleus(chances: npt.NDArray[np.float32], top_p: float) -> npt.NDArray[np.intp]:
    """The tokens that top_p keeps, by id. chances: (vocabulary,), up to a factor.

    Those below the mean of what may be left out hold less than that together, so only the few above are sorted.
    """
    total = chances.sum(dtype=np.float64)
    likely = np.flatnonzero(chances >= (1.0 - top_p) * total / len(chances))
    order = likely[np.argsort(-chances[likely], kind="stable")]
    before = np.cumsum(chances[order], dtype=np.float64) - chances[order]
    return np.sort(order[before < top_p * total])


def _random(seed: int, prompt: Ids) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([seed, *prompt.astype(np.uint32).tolist()]))
