"""Byte-level BPE as llama.cpp does it (src/llama-vocab.cpp), in plain Python: slow, short, and owing nothing to ours.

llama.cpp cuts the text by one regular expression after the other, each within the pieces that the last one left, and
keeps what lies between two matches as a piece of its own. A piece that can't be found in the vocabulary is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

regex: Any = pytest.importorskip("regex")  # comes with transformers; Python's own `re` knows no \p{L}

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
_LLAMA3 = (
    r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
RULES = {
    "gpt-2": (_GPT2,),
    "smollm": (r"\p{N}", _GPT2),
    "llama-bpe": (_LLAMA3,),
    "qwen2": (_LLAMA3.replace("{1,3}", ""),),
}


@dataclass(frozen=True)
class ReferenceBpe:
    tokens: Mapping[str, int]
    ranks: Mapping[tuple[str, str], int]
    whole: tuple[str, ...]  # tokens that are found whole in any text

    def encode(self, text: str, rule: str) -> list[int]:
        found = regex.split("(" + "|".join(map(regex.escape, self.whole)) + ")", text) if self.whole else [text]
        ids: list[int] = []
        for part in found:
            if part in self.whole:
                ids.append(self.tokens[part])
            else:
                ids += [self.tokens[symbol] for word in cut(part, RULES[rule]) for symbol in self._merged(word, rule)]
        return ids

    def _merged(self, word: str, rule: str) -> list[str]:
        symbols = [BYTE_LETTERS[byte] for byte in word.encode()]
        if rule == "llama-bpe" and "".join(symbols) in self.tokens:
            return ["".join(symbols)]
        while (best := self._best(symbols)) is not None:
            symbols[best : best + 2] = [symbols[best] + symbols[best + 1]]
        return [symbol for symbol in symbols if symbol in self.tokens]

    def _best(self, symbols: list[str]) -> int | None:
        ranked = [(self.ranks[pair], at) for at, pair in enumerate(pairwise(symbols)) if pair in self.ranks]
        return min(ranked)[1] if ranked else None


def cut(text: str, expressions: Iterable[str]) -> list[str]:
    pieces = [text] if text else []
    for expression in expressions:
        pieces = [smaller for piece in pieces for smaller in _cut_once(piece, expression)]
    return pieces


def _cut_once(text: str, expression: str) -> Iterator[str]:
    end = 0
    for match in regex.finditer(expression, text):
        if match.start() > end:
            yield text[end : match.start()]
        if match.group():
            yield match.group()
        end = match.end()
    if end < len(text):
        yield text[end:]


def _byte_letters() -> dict[int, str]:
    """GPT-2's spelling of bytes: those that are visible as themselves, the others as letters from U+0100 on."""
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return {byte: chr(byte) for byte in visible} | {byte: chr(256 + at) for at, byte in enumerate(hidden)}


BYTE_LETTERS = _byte_letters()
