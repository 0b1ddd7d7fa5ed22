"""Contrast pairs as the model sees them. Owns: their ids and targets. Must not: propose them (measures/contrast.py).

The true sentence stands in a row that is scored anyway, and the false one begins as the true one does. So both are
forks of that row (data/forks.py): of the true one there is mostly nothing left to compute, of the false one only what
comes from the edit on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from runoff.data import Encoded, Fork, Forked, Tokenizer
from runoff.engines.scoring import ScoredForked
from runoff.evaluation.answers import Answer
from runoff.evaluation.measures.contrast import ContrastPair, propose_pairs
from runoff.evaluation.scored import ScoredPair

__all__ = ["forked_rows", "scored_pairs"]

Pairs = tuple[ContrastPair, ...]


def forked_rows(
    examples: Sequence[Encoded], tokenizer: Tokenizer, max_seq_length: int
) -> tuple[Pairs, tuple[Forked, ...]]:
    """The pairs that can be made of these rows' answers, and each row with their sentences: true, false, true, false.

    A sentence's tokens are the targets; what stands before it in the answer is context. Pairs longer than
    `max_seq_length` are left out. Of equal rows the first one has the pairs.
    """
    pairs: list[ContrastPair] = []
    rows: list[Forked] = []
    seen: set[str] = set()
    for example in examples:
        own = [] if example.row.sha256 in seen else _forks(example, tokenizer, max_seq_length)
        seen.add(example.row.sha256)
        pairs += [pair for pair, _ in own]
        rows.append(Forked(example, tuple(fork for _, both in own for fork in both)))
    return tuple(pairs), tuple(rows)


def scored_pairs(pairs: Pairs, rows: Sequence[ScoredForked]) -> tuple[ScoredPair, ...]:
    """Put the scores of `forked_rows`, in its order, together again."""
    nats = [nats for row in rows for nats in row.forks]
    return tuple(
        ScoredPair(
            f"{pair.example}-{at}",
            pair.source if pair.source is not None else f"example {pair.example}",
            nats[2 * at],
            nats[2 * at + 1],
        )
        for at, pair in enumerate(pairs)
    )


def _forks(example: Encoded, tokenizer: Tokenizer, limit: int) -> list[tuple[ContrastPair, tuple[Fork, Fork]]]:
    row = example.row
    if row.format == "text" or not row.answer:
        return []
    prompt = tokenizer.render(row.messages[:-1], add_generation_prompt=True, tools=row.tools)
    answer = Answer(row.sha256[:16], row.source, row.question, row.answer, row.answer)
    both = (
        (pair, [_sentence(example, prompt + pair.before, text, tokenizer) for text in (pair.true, pair.false)])
        for pair in propose_pairs([answer])
    )
    return [
        (pair, (true, false))
        for pair, (true, false) in both
        if all(fork.target_tokens and fork.at + len(fork.ids) <= limit for fork in (true, false))
    ]


def _sentence(example: Encoded, before: str, sentence: str, tokenizer: Tokenizer) -> Fork:
    context, ids = tokenizer.encode(before), tokenizer.encode(before + sentence)
    start = next((at for at, (a, b) in enumerate(zip(context, ids, strict=False)) if a != b), len(context))
    return Fork.of(example, np.asarray(ids, dtype=np.int32), max(start, 1))
