"""From rows to token ids and targets.

Owns: what is a target token, truncation, and the two views of a row: as trained on (mlx-lm's rules, under the run's
settings) and as scored (the answer alone, the same for every run). Must not: know batches or engines.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from runoff.data.openings import Openings, alike
from runoff.data.rows import Row
from runoff.data.tokenizer import Tokenizer
from runoff.errors import DataError, ModelError

__all__ = ["Encoded", "encode_for_scoring", "encode_for_training"]

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Encoded:
    """One row as the model sees it.

    ids: (tokens,) token ids after truncation. Targets are the ids from `target_start` up to `target_end`; each is
    predicted from the ids before it, so position 0 never is one. opening: how many of the first ids are the template's
    and the system prompt's, whatever is asked; 0 where they are few.
    """

    row: Row
    ids: Ids
    target_start: int
    target_end: int
    tokens_cut: int
    prompt_is_prefix: bool
    opening: int = 0

    @property
    def target_tokens(self) -> int:
        """Tokens that count in the loss."""
        return max(self.target_end - self.target_start, 0)

    @cached_property
    def key(self) -> str:
        """Identity of the ids: equal keys have equal hidden states."""
        return hashlib.sha256(self.ids.tobytes()).hexdigest()[:32]


def encode_for_training(
    rows: Sequence[Row], tokenizer: Tokenizer, *, mask_prompt: bool, max_seq_length: int
) -> list[Encoded]:
    """As mlx-lm encodes them (mlx_lm/tuner/datasets.py): the start is kept, the prompt counts unless masked.

    Raises:
        DataError: the chat template refuses a row's messages (named by its number).
        ModelError: there is no chat template.
    """
    encoded, openings = [], Openings(tokenizer)
    for row, (ids, prompt) in zip(rows, _ids(rows, tokenizer), strict=True):
        # mlx-lm takes len(prompt), which masks the wrong tokens where the prompt is not a prefix of the whole.
        start = alike(ids, prompt) if mask_prompt and prompt is not None else 1
        encoded.append(_encoded(row, ids, prompt, max(start, 1), len(ids), max_seq_length, openings.of(row, ids)))
    return encoded


def encode_for_scoring(rows: Sequence[Row], tokenizer: Tokenizer, *, max_seq_length: int) -> list[Encoded]:
    """The answer and its end token, given the prompt as training rendered it; all of a text row.

    What the template adds after the end token (often a newline) is not the answer's and does not count.

    Raises:
        DataError: the chat template refuses a row's messages (named by its number).
    """
    encoded, openings = [], Openings(tokenizer)
    for row, (ids, prompt) in zip(rows, _ids(rows, tokenizer), strict=True):
        start, end = (1, len(ids)) if prompt is None else (alike(ids, prompt), len(ids))
        if prompt is not None:
            end = next((at + 1 for at in range(len(ids) - 1, start - 1, -1) if ids[at] in tokenizer.end_ids), end)
        encoded.append(_encoded(row, ids, prompt, max(start, 1), end, max_seq_length, openings.of(row, ids)))
    return encoded


def _ids(rows: Sequence[Row], tokenizer: Tokenizer) -> Iterator[tuple[list[int], list[int] | None]]:
    """For each row the ids of the whole, and of the prompt alone (None for text rows)."""
    chats = [row for row in rows if row.format != "text"]
    whole = iter(tokenizer.encode_all([_render(row, tokenizer, answered=True) for row in chats]))
    prompt = iter(tokenizer.encode_all([_render(row, tokenizer, answered=False) for row in chats]))
    for row in rows:
        yield (_plain_text(row, tokenizer), None) if row.format == "text" else (next(whole), next(prompt))


def _render(row: Row, tokenizer: Tokenizer, *, answered: bool) -> str:
    messages = row.messages if answered else row.messages[:-1]
    try:
        return tokenizer.render(messages, add_generation_prompt=not answered, tools=row.tools)
    except ModelError as error:
        if tokenizer.chat_template is None:
            raise
        raise DataError(f"row {row.number}: {error}") from None


def _plain_text(row: Row, tokenizer: Tokenizer) -> list[int]:
    ids = tokenizer.encode(row.text or "", special=True)
    end = tokenizer.end_id
    return ids if end is None or ids[-1:] == [end] else [*ids, end]


def _encoded(
    row: Row, ids: list[int], prompt: list[int] | None, start: int, end: int, limit: int, opening: int
) -> Encoded:
    kept = np.asarray(ids[:limit], dtype=np.int32)
    is_prefix = prompt is None or ids[: len(prompt)] == prompt
    cut, opening = max(len(ids) - limit, 0), opening if opening < len(kept) else 0
    return Encoded(row, kept, min(start, len(kept)), min(end, len(kept)), cut, is_prefix, opening)
