"""The held-out rows that every run is scored on.

Owns: where they come from, which rows are left out (never one that a run was trained on), the one truncation for all,
the identity of the result. Must not: load a model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runoff.data import Encoded, Row, RowSet, Tokenizer, encode_for_scoring, load_rows
from runoff.errors import DataError
from runoff.runs import Run

__all__ = ["TestSet", "read_test_set"]

LONGEST_TOKENS = 4096


@dataclass(frozen=True)
class TestSet:
    """Rows and their tokens. `left_out`: row number -> the run that was trained on it."""

    __test__ = False  # not a test case, whatever pytest thinks of its name

    place: str
    sha256: str
    encoded: tuple[Encoded, ...]
    left_out: dict[int, str]
    max_seq_length: int

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
    encoded = [one for one in encode_for_scoring(kept, tokenizer, max_seq_length=limit) if one.target_tokens]
    if not encoded:
        raise DataError(f"{rows.place}: no row has an answer within {limit} tokens.")
    return TestSet(rows.place, rows.sha256, tuple(encoded), left_out, limit)


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
        digest: run.name for run in runs for digest in (run.identity.data.get("train") or {}).get("row_sha256", [])
    }
    left_out = {row.number: trained[row.sha256[:16]] for row in rows.rows if row.sha256[:16] in trained}
    kept = [row for row in rows.rows if row.number not in left_out]
    if not kept:
        names = ", ".join(sorted(set(left_out.values())))
        raise DataError(f"{rows.place}: every row of it is among the training rows of {names}.")
    return kept, left_out
