"""What every row with the same system prompt begins with: the template's own ids and the system prompt's.

Owns: how many ids that is. It depends on the template, the row's system prompt and its tools alone, not on which other
rows there are, so that whoever computes these ids by themselves gets the same for a row in any company. Must not: know
who does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

from runoff.data.rows import Row
from runoff.data.tokenizer import Tokenizer
from runoff.errors import ModelError

__all__ = ["Openings", "alike"]

SHORTEST = 16
"""Fewer ids are computed faster with the rest of the row than by themselves."""

ASKED = ("0", "Zebra")
"""Two questions with nothing in common."""


class Openings:
    """Found once for each system prompt and set of tools."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._found: dict[str, list[int]] = {}

    def of(self, row: Row, ids: Sequence[int]) -> int:
        """How many of a row's ids are its opening; 0 if fewer than `SHORTEST`, or if the template does it otherwise."""
        if row.format == "text":
            return 0
        before = list(takewhile(lambda message: message["role"] in ("system", "developer"), row.messages))
        key = json.dumps([before, row.tools], ensure_ascii=False, default=str)
        if key not in self._found:
            self._found[key] = self._begins(before, row)
        shared = alike(self._found[key], ids)
        return shared if shared >= SHORTEST else 0

    def _begins(self, before: Sequence[Mapping[str, Any]], row: Row) -> list[int]:
        try:
            one, other = self._tokenizer.encode_all([self._rendered(before, text, row) for text in ASKED])
        except ModelError:
            return []
        return one[: alike(one, other)]

    def _rendered(self, before: Sequence[Mapping[str, Any]], asked: str, row: Row) -> str:
        messages = [*before, {"role": "user", "content": asked}]
        return self._tokenizer.render(messages, add_generation_prompt=True, tools=row.tools)


def alike(one: Sequence[int], other: Sequence[int]) -> int:
    """How many ids both begin with."""
    differing = (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(differing, min(len(one), len(other)))
