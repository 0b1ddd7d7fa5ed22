"""What a plan has to know of the rows as text: duplicates, sources, answers. Needs no tokenizer.

Owns: counting them across the splits. Must not: judge them (findings do).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runoff.data import Dataset, Row, RowSet
from runoff.data.duplicates import Pair, clusters, exact_duplicates, near_duplicates
from runoff.data.survey import RowProblem, unread_splits
from runoff.plan.oddities import Oddity, oddities

__all__ = ["At", "Odd", "RowFacts", "SplitRows", "Twins", "row_facts"]


@dataclass(frozen=True, slots=True, order=True)
class At:
    """A row by its split and its line in that split's file."""

    split: str
    number: int

    def __str__(self) -> str:
        """As sentences name it."""
        return f"{self.split} row {self.number}"


@dataclass(frozen=True, slots=True)
class Twins:
    """Two rows that say the same; `shared` is the share of three-word sequences in common (1 where they are equal)."""

    first: At
    second: At
    shared: float


@dataclass(frozen=True, slots=True)
class SplitRows:
    """One split as text."""

    name: str
    place: str
    rows: int
    text_rows: int
    rows_without_source: int
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Odd:
    """A row of a kind of oddity; `what` is the role, key or field that makes it one."""

    kind: Oddity
    at: At
    what: str


@dataclass(frozen=True, slots=True)
class RowFacts:
    """All splits as text. `leaking` are the valid and test rows in a group of near-duplicates that has a train row.

    `unread` are files that are named like a split but not as a split is, each with the split that it would be. `odd`
    are rows that can be trained on and seldom mean what they say.
    """

    splits: tuple[SplitRows, ...]
    equal: tuple[Twins, ...]
    near: tuple[Twins, ...]
    leaking: tuple[At, ...]
    empty_answers: tuple[At, ...]
    one_word_answers: tuple[At, ...]
    problems: tuple[RowProblem, ...]
    unread: tuple[tuple[Path, str], ...] = ()
    odd: tuple[Odd, ...] = ()

    def split(self, name: str) -> SplitRows | None:
        """A split by name."""
        return next((split for split in self.splits if split.name == name), None)


def row_facts(sets: Sequence[RowSet], problems: Sequence[RowProblem] = ()) -> RowFacts:
    """Look at every row of every split."""
    rows = [(At(split.name, row.number), row) for split in sets for row in split.rows]
    places = [at for at, _ in rows]
    equal = exact_duplicates([row.sha256 for _, row in rows])
    near = near_duplicates([_words_of(row) for _, row in rows])
    answers = [(at, row.answer.split()) for at, row in rows if row.format != "text" and not _calls_tools(row)]
    return RowFacts(
        splits=tuple(_split(split) for split in sets),
        equal=tuple(Twins(places[pair.first], places[pair.second], 1.0) for pair in equal),
        near=tuple(Twins(places[pair.first], places[pair.second], pair.shared) for pair in near),
        leaking=_leaking(places, near),
        empty_answers=tuple(at for at, words in answers if not words),
        one_word_answers=tuple(at for at, words in answers if len(words) == 1),
        problems=tuple(problems),
        unread=unread_splits(sets),
        odd=tuple(
            Odd(kind, At(split.name, row.number), what)
            for split in sets
            for row in split.rows
            for kind, what in oddities(row, split.repeated_keys.get(row.number, ()))
        ),
    )


def all_sets(dataset: Dataset) -> tuple[RowSet, ...]:
    """The splits that are there."""
    return tuple(rows for rows in (dataset.train, dataset.valid, dataset.test) if rows is not None)


def _words_of(row: Row) -> str:
    """What a row says, without the system prompt that all rows may share."""
    if row.text is not None:
        return row.text
    return "\n".join(str(message.get("content") or "") for message in row.messages if message["role"] != "system")


def _calls_tools(row: Row) -> bool:
    return bool(row.messages and row.messages[-1].get("tool_calls"))


def _split(rows: RowSet) -> SplitRows:
    return SplitRows(
        name=rows.name,
        place=rows.place,
        rows=len(rows.rows),
        text_rows=sum(row.format == "text" for row in rows.rows),
        rows_without_source=sum(row.source is None for row in rows.rows),
        sources=rows.sources,
    )


def _leaking(places: Sequence[At], near: Sequence[Pair]) -> tuple[At, ...]:
    groups: dict[int, list[At]] = defaultdict(list)
    for at, head in zip(places, clusters(len(places), near), strict=True):
        groups[head].append(at)
    return tuple(
        at
        for group in groups.values()
        if len(group) > 1 and any(at.split == "train" for at in group)
        for at in group
        if at.split != "train"
    )
