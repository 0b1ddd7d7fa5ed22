"""Token by token by the lean pass: prompts are read packed, and answers go on from keys and values that stay in place.

Owns: the order of a pass with memory. What all prompts of a batch begin with (a system prompt) is computed once, and
the blocks below every adapter read a batch once for the base and all runs. Must not: pick tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from runoff.engines.torch.attention import attend
from runoff.engines.torch.lean import Block, Blocks, Patches, Rows
from runoff.engines.torch.memory import Memory

__all__ = ["LeanDecoder", "Reader"]

GROUP = 1024
"""Tokens of prompts in a product, about: what a block makes of them stays in the processor's caches."""

Ids = npt.NDArray[np.int32]


class Group(NamedTuple):
    """Some of the packed tokens. rows: spans within the group. first: the row of the first span, -1 for all rows'."""

    tokens: slice
    rows: Rows
    first: int


class Packed(NamedTuple):
    """Prompts end to end: the `shared` tokens that all of them begin with, then the rest of each, one token or more."""

    ids: Ids
    shared: int
    lengths: tuple[int, ...]
    groups: tuple[Group, ...]

    @classmethod
    def of(cls, prompts: Sequence[Ids], table: Rows) -> Packed:
        """table: the rotations of every position."""
        lengths = tuple(len(prompt) for prompt in prompts)
        begins = np.stack([prompt[: min(lengths) - 1] for prompt in prompts])
        shared = int((begins == begins[0]).all(axis=0).cumprod().sum())
        parts = [np.arange(shared), *(np.arange(shared, length) for length in lengths)]
        ends = np.cumsum([0, *(len(part) for part in parts)]).tolist()
        groups = []
        for _, members in groupby(range(len(parts)), key=lambda at: ends[at] // GROUP):
            own = list(members)
            start, stop = ends[own[0]], ends[own[-1] + 1]
            at = np.concatenate([parts[one] for one in own])
            spans = tuple((ends[one] - start, ends[one + 1] - start) for one in own)
            groups.append(Group(slice(start, stop), Rows(spans, table.cos[at], table.sin[at]), own[0] - 1))
        ids = np.concatenate([prompts[0][:shared], *(prompt[shared:] for prompt in prompts)])
        return cls(ids, shared, lengths, tuple(groups))

    @property
    def last(self) -> torch.Tensor:
        """(rows,) where each row's last token lies."""
        return torch.tensor(self.lengths).sub_(self.shared).cumsum(0).add_(self.shared - 1)


class Read(NamedTuple):
    """Packed prompts after some blocks: states (tokens, d), and what those blocks remember."""

    packed: Packed
    states: torch.Tensor
    memories: tuple[Memory, ...]


class Reader:
    """Reads prompts. What the blocks below the boundary made of the last ones is kept for the next who is asked them.

    embedded: ids to states (tokens, d). logits: states that leave the last block to (n, vocabulary) float32.
    """

    def __init__(
        self, blocks: Blocks, embedded: Callable[[Ids], torch.Tensor], logits: Callable[[torch.Tensor], torch.Tensor]
    ) -> None:
        self.blocks, self.embedded, self.logits = blocks, embedded, logits
        self._last: tuple[tuple[int, list[bytes]], Read] | None = None

    def decoder(
        self, prompts: Sequence[Ids], blocks: Blocks, patches: Mapping[int, Patches], boundary: int
    ) -> LeanDecoder:
        """Start to continue these prompts through these blocks; those below `boundary` are the base's, unpatched."""
        with torch.inference_mode():
            below = self._below(prompts, boundary)
            whole = _on(below, blocks, patches, len(blocks.blocks))
            memories = [memory.copy() for memory in below.memories] + list(whole.memories[boundary:])
            logits = self.logits(whole.states[whole.packed.last])
        return LeanDecoder(self, blocks, patches, memories, whole.packed.lengths, logits)

    def _below(self, prompts: Sequence[Ids], boundary: int) -> Read:
        key = (boundary, [prompt.tobytes() for prompt in prompts])
        if self._last is None or self._last[0] != key:
            self._last = None  # so that two are never held at once
            packed = Packed.of(prompts, self.table(max(len(prompt) for prompt in prompts)))
            self._last = key, _on(Read(packed, self.embedded(packed.ids), ()), self.blocks, {}, boundary)
        return self._last[1]

    def table(self, positions: int) -> Rows:
        """The rotations of so many positions."""
        return self.blocks.rows([positions])


class LeanDecoder:
    """Implements `runoff.engines.generation.Decoder`."""

    def __init__(
        self,
        reader: Reader,
        blocks: Blocks,
        patches: Mapping[int, Patches],
        memories: Sequence[Memory],
        lengths: Sequence[int],
        logits: torch.Tensor,
    ) -> None:
        self._reader, self._blocks, self._patches, self._memories = reader, blocks.blocks, patches, memories
        self._at = torch.tensor(lengths)
        self._column = max(lengths)
        self._no_prompt = torch.arange(self._column) >= self._at[:, None]
        self._logits = logits

    def logits(self) -> npt.NDArray[np.float32]:
        """(rows, vocabulary) of the next token."""
        found: npt.NDArray[np.float32] = self._logits.numpy()
        return found

    def push(self, ids: Ids) -> None:
        """Append one token to each row."""
        with torch.inference_mode():
            self._push(ids)

    def keep(self, rows: Sequence[int]) -> None:
        """Only these rows go on."""
        kept = torch.tensor(rows)
        self._at, self._no_prompt, self._logits = self._at[kept], self._no_prompt[kept], self._logits[kept]
        for memory in self._memories:
            memory.keep(kept)

    def _push(self, ids: Ids) -> None:
        table = self._reader.table(self._column + 1)
        rows = Rows((), table.cos[self._at], table.sin[self._at])
        for memory in self._memories:
            memory.grow(self._column + 1)
        mask = self._mask(self._memories[0].columns)
        states = self._reader.embedded(ids)
        for index, (block, memory) in enumerate(zip(self._blocks, self._memories, strict=True)):
            look = partial(_attend_token, block, memory, self._column, mask)
            states = block.looking(states, rows, self._patches.get(index, {}), look)
        self._logits = self._reader.logits(states)
        self._at = self._at + 1
        self._column += 1

    def _mask(self, columns: int) -> torch.Tensor:
        """(rows, 1, columns): nothing lies between a shorter prompt and the answers, or after the present column."""
        mask = torch.zeros(len(self._at), columns)
        mask[:, : self._no_prompt.shape[1]].masked_fill_(self._no_prompt, float("-inf"))
        mask[:, self._column + 1 :] = float("-inf")
        return mask.unsqueeze(1)


def _on(read: Read, blocks: Blocks, patches: Mapping[int, Patches], stop: int) -> Read:
    """The same after the blocks before `stop`."""
    states, memories = read.states, list(read.memories)
    for index in range(len(memories), stop):
        states, memory = _read(blocks.blocks[index], states, read.packed, patches.get(index, {}))
        memories.append(memory)
    return Read(read.packed, states, tuple(memories))


def _read(block: Block, states: torch.Tensor, packed: Packed, patches: Patches) -> tuple[torch.Tensor, Memory]:
    """Packed prompts through one block: the states after it, and what it remembers."""
    memory = Memory.empty(len(packed.lengths), block.kv_heads, max(packed.lengths) + 1, block.width, states.dtype)
    after = torch.empty_like(states)
    for group in packed.groups:
        look = partial(_attend_prompts, block, memory, group, packed.shared)
        after[group.tokens] = block.looking(states[group.tokens], group.rows, patches, look)
    return after, memory


def _attend_prompts(
    block: Block, memory: Memory, group: Group, shared: int, turned: torch.Tensor, values: torch.Tensor
) -> torch.Tensor:
    """Each row by itself, after what all rows begin with."""
    attended = values.new_empty(len(values), block.heads * block.width)
    for row, (start, stop) in enumerate(group.rows.spans, group.first):
        if start == stop:
            continue
        everyone = row < 0
        before = 0 if everyone else shared
        k, v = (part[start:stop].transpose(0, 1) for part in (turned[:, block.heads :], values))
        memory.put(slice(None) if everyone else row, before, k, v)
        q = block.folded(turned[start:stop, : block.heads], block.scaling)
        seen = slice(before + stop - start)
        keys = memory.keys[row, :, seen].float()
        found, _ = attend(q, keys, memory.values[row, :, seen], keep=False, before=before)
        block.unfold(found, attended[start:stop])
    return attended


def _attend_token(
    block: Block, memory: Memory, column: int, mask: torch.Tensor, turned: torch.Tensor, values: torch.Tensor
) -> torch.Tensor:
    """One token of each row, all rows at once."""
    q = turned[:, : block.heads] * block.scaling
    return memory.attend(q, turned[:, block.heads :], values, column, mask)
