"""Contrast pairs as the model sees them. Owns: their ids and targets. Must not: propose them (measures/contrast.py)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence

import numpy as np

from runoff.data import Encoded, Row, Tokenizer
from runoff.engines.scoring import ScoredRow
from runoff.evaluation.answers import Answer
from runoff.evaluation.measures.contrast import ContrastPair, propose_pairs
from runoff.evaluation.scored import ScoredPair

__all__ = ["encoded_pairs", "scored_pairs"]

MOST_PAIRS = 160
"""Enough for a change of 10 points where 20 % of the pairs change sides; each costs two passes."""


def encoded_pairs(
    rows: Sequence[Row], tokenizer: Tokenizer, max_seq_length: int
) -> tuple[tuple[ContrastPair, ...], list[Encoded]]:
    """The pairs that can be made of these rows' answers, and for each its true and its false sentence as a row.

    A sentence's tokens are the targets; what stands before it in the answer is context. Pairs longer than
    `max_seq_length` are left out, and so are those beyond `MOST_PAIRS`.
    """
    chats = {row.sha256[:16]: row for row in rows if row.format != "text"}
    answers = [
        Answer(key, row.source, row.question, row.answer, row.answer) for key, row in chats.items() if row.answer
    ]
    kept: list[ContrastPair] = []
    encoded: list[Encoded] = []
    for pair in _spread(propose_pairs(answers)):
        row = chats[pair.example]
        prompt = tokenizer.render(row.messages[:-1], add_generation_prompt=True, tools=row.tools)
        both = [_encoded(row, prompt + pair.before, text, len(encoded) + at, tokenizer) for at, text in _sides(pair)]
        if all(len(one.ids) <= max_seq_length and one.target_tokens for one in both):
            kept.append(pair)
            encoded += both
    return tuple(kept), encoded


def scored_pairs(pairs: Sequence[ContrastPair], rows: Sequence[ScoredRow]) -> tuple[ScoredPair, ...]:
    """Put the scores of `encoded_pairs`, in row order, together again."""
    each = [row.nats / row.target_tokens for row in rows]
    return tuple(_scored(pairs, each))


def _spread(pairs: Sequence[ContrastPair]) -> Sequence[ContrastPair]:
    """At most `MOST_PAIRS`, evenly over the answers."""
    return [pairs[at * len(pairs) // MOST_PAIRS] for at in range(MOST_PAIRS)] if len(pairs) > MOST_PAIRS else pairs


def _scored(pairs: Sequence[ContrastPair], nats: Sequence[float]) -> Iterator[ScoredPair]:
    for at, pair in enumerate(pairs):
        source = pair.source if pair.source is not None else f"example {pair.example}"
        yield ScoredPair(f"{pair.example}-{at}", source, nats[2 * at], nats[2 * at + 1])


def _sides(pair: ContrastPair) -> tuple[tuple[int, str], tuple[int, str]]:
    return (0, pair.true), (1, pair.false)


def _encoded(row: Row, before: str, sentence: str, number: int, tokenizer: Tokenizer) -> Encoded:
    context, ids = tokenizer.encode(before), tokenizer.encode(before + sentence)
    start = next((at for at, (a, b) in enumerate(zip(context, ids, strict=False)) if a != b), len(context))
    sha256 = hashlib.sha256(json.dumps([row.sha256, before, sentence]).encode()).hexdigest()
    shown = Row(number, row.format, row.messages, row.text, row.tools, row.source, sha256)
    return Encoded(shown, np.asarray(ids, dtype=np.int32), max(start, 1), len(ids), 0, prompt_is_prefix=True)
