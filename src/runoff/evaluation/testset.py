"""The held-out rows that every run is scored on.

Owns: where they come from, which rows are left out (never one that a run was trained on), the one truncation for all,
the identity of the result. Must not: load a model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runoff.data import Encoded, Row, RowSet, Tokenizer, encode_for_scoring, load_rows
from runoff.errors import DataError
from runoff.runs import Run
from runoff.words import count_of

__all__ = ["TestSet", "read_test_set"]

LONGEST_TOKENS = 4096


@dataclass(frozen=True)
class TestSet:
    """Rows and their tokens.

    left_out: row number -> the run that was trained on it. too_long: numbers of the rows whose prompt leaves no room
    for an answer.
    """

    __test__ = False  # not a test case, whatever pytest thinks of its name

    place: str
    sha256: str
    encoded: tuple[Encoded, ...]
    left_out: dict[int, str]
    max_seq_length: int
    too_long: tuple[int, ...] = ()

    @property
    def ids_sha256(self) -> str:
        """Identity of the rendered ids and of their targets: another template or tokenizer gives another one."""
        body = [[one.key, one.target_start, one.target_end] for one in self.encoded]
        return hashlib.sha256(json.dumps(body).encode()).hexdigest()

    def notes(self) -> Iterator[str]:
        """What a reader has to know of these rows before the numbers."""
        if self.left_out:
            names = sorted(set(self.left_out.values()))
            yield (
                f"{_rows(self.left_out)} of {self.place} {_are(self.left_out)} left out, since {' and '.join(names)} "
                f"{'was' if len(names) == 1 else 'were'} trained on {_them(self.left_out)}: {_lines(self.left_out)}."
            )
        if self.too_long:
            yield (
                f"{_rows(self.too_long)} of {self.place} {_are(self.too_long)} left out: the prompt alone fills the "
                f"{self.max_seq_length} tokens that the model can read: {_lines(self.too_long)}."
            )
        cut = [one.row.number for one in self.encoded if one.tokens_cut]
        if cut:
            yield (
                f"{_rows(cut)} of {self.place} {_are(cut)} scored without {'its' if len(cut) == 1 else 'their'} end: "
                f"longer than {self.max_seq_length} tokens."
            )
        sources = {one.row.source for one in self.encoded}
        if sources == {None}:
            yield (
                f"{self.place} names no sources, so each row counts as one of its own. If several rows come from one "
                "source, the intervals are too narrow. Add a source field."
            )
        elif len(sources) == 1:
            yield (
                f"All rows of {self.place} come from one source, so there are no intervals, and nothing can be said "
                "about other sources."
            )
        unseen = [one.row.number for one in self.encoded if not one.prompt_is_prefix]
        if unseen:
            yield (
                f"{_rows(unseen)} of {self.place}: the prompt that an answer is generated from is not how the row "
                "begins when it is rendered whole, as training saw it. Read generated answers with that in mind."
            )

    @property
    def key(self) -> str:
        """Identity: equal keys mean that the same rows were scored under the same truncation."""
        body = [self.sha256, self.max_seq_length, sorted(self.left_out)]
        return hashlib.sha256(json.dumps(body).encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """What an evaluation remembers of it."""
        return {
            "place": self.place,
            "sha256": self.sha256,
            "rows": len(self.encoded),
            "left_out": {str(number): name for number, name in self.left_out.items()},
            "ids_sha256": self.ids_sha256,
            "too_long": list(self.too_long),
            "notes": list(self.notes()),
            "max_seq_length": self.max_seq_length,
            "rows_cut": sum(1 for example in self.encoded if example.tokens_cut),
        }


def read_test_set(runs: Sequence[Run], path: Path | None, tokenizer: Tokenizer, context_length: int | None) -> TestSet:
    """Read and tokenize the test rows.

    Raises:
        DataError: there is no test set, or no row of it is left.
    """
    rows = load_rows(path or _beside(runs[0]))
    kept, left_out = _held_out(rows, runs)
    limit = min(context_length or LONGEST_TOKENS, LONGEST_TOKENS)
    encoded = encode_for_scoring(kept, tokenizer, max_seq_length=limit)
    usable = tuple(one for one in encoded if one.target_tokens)
    if not usable:
        raise DataError(f"{rows.place}: no row has an answer within {limit} tokens.")
    too_long = tuple(one.row.number for one in encoded if not one.target_tokens)
    return TestSet(rows.place, rows.sha256, usable, left_out, limit, too_long)


def _rows(rows: Collection[int]) -> str:
    return count_of(len(rows), "row")


def _lines(rows: Collection[int]) -> str:
    shown = ", ".join(str(row) for row in sorted(rows)[:5])
    return f"line{'' if len(rows) == 1 else 's'} {shown}{' and so on' if len(rows) > 5 else ''}"


def _are(rows: Collection[int]) -> str:
    return "is" if len(rows) == 1 else "are"


def _them(rows: Collection[int]) -> str:
    return "it" if len(rows) == 1 else "them"


def _beside(run: Run) -> Path:
    data = run.plan.settings.get("data")
    path = Path(str(data.value)) / "test.jsonl" if data and data.value else Path("test.jsonl")
    if not path.exists():
        raise DataError(
            f"{path}: there is no test set beside the training data. Name one: runoff evaluate ... --test FILE."
        )
    return path


def _held_out(rows: RowSet, runs: Sequence[Run]) -> tuple[list[Row], dict[int, str]]:
    """Rows that no run was trained on, and the others with the run's name."""
    trained = {
        digest: run.name
        for run in reversed(runs)
        for digest in (run.identity.data.get("train") or {}).get("row_sha256", [])
    }
    left_out = {row.number: trained[row.sha256[:16]] for row in rows.rows if row.sha256[:16] in trained}
    kept = [row for row in rows.rows if row.number not in left_out]
    if not kept:
        names = ", ".join(sorted(set(left_out.values())))
        raise DataError(f"{rows.place}: every row of it is among the training rows of {names}.")
    return kept, left_out
