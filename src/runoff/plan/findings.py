"""Findings: what is worth knowing about a plan before the hours are spent.

Owns: the noun and the tuple of checks. A check is a function of a Draft (everything known before training) that yields
findings; adding one touches its own file and `FINDINGS`. Must not: read files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from runoff.plan.plan import Draft

__all__ = ["FINDINGS", "Finding", "find"]

Level = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One observation: what and where, why it matters, and a fix that can be pasted (empty where there is none)."""

    code: str
    level: Level
    place: str
    what: str
    why: str
    fix: str = ""

    def __str__(self) -> str:
        """One paragraph."""
        fix = f" Fix: {self.fix}" if self.fix else ""
        return f"{self.code} {self.level}: {self.place}: {self.what} {self.why}{fix}"


def rows_cut(draft: Draft) -> Iterator[Finding]:
    """Rows longer than max_seq_length lose their end, and with it the end token."""
    train = draft.data.train
    if train.rows_cut:
        shown = ", ".join(map(str, train.rows_cut[:5])) + (", ..." if len(train.rows_cut) > 5 else "")
        yield Finding(
            "D101",
            "warning",
            draft.place("max_seq_length"),
            f"{len(train.rows_cut)} of {train.rows} training rows are longer than {draft.settings.max_seq_length} "
            f"tokens and lose their end (rows {shown}).",
            "A row that is cut never shows the model where to stop.",
            f"max_seq_length: {train.longest_tokens}",
        )


def rows_without_target(draft: Draft) -> Iterator[Finding]:
    """Rows whose prompt alone fills max_seq_length have nothing to learn from."""
    rows = draft.data.train.rows_without_target
    if rows:
        yield Finding(
            "D102",
            "warning",
            draft.place("max_seq_length"),
            f"{len(rows)} training rows have no target token within {draft.settings.max_seq_length} tokens "
            f"(rows {', '.join(map(str, rows[:5]))}) and are left out.",
            "mlx-lm would divide by 0 there and save NaN.",
            f"max_seq_length: {draft.data.train.longest_tokens}",
        )


def valid_smaller_than_batch(draft: Draft) -> Iterator[Finding]:
    """mlx-lm stops at the first validation; here a partial batch is scored."""
    valid = draft.data.valid
    if valid is not None and valid.rows < draft.settings.batch_size:
        yield Finding(
            "D103",
            "note",
            valid.place,
            f"The valid set has {valid.rows} rows, fewer than batch_size {draft.settings.batch_size}.",
            "Runoff scores a partial batch; mlx-lm would stop with an error at its first validation.",
            f"batch_size: {max(valid.rows, 1)}",
        )


def few_updates(draft: Draft) -> Iterator[Finding]:
    """Accumulation makes few updates out of many iterations."""
    updates = draft.counts.optimizer_updates
    if updates < 100:
        yield Finding(
            "C201",
            "note",
            draft.place("grad_accumulation_steps"),
            f"{draft.counts.iterations} iterations make {updates} optimizer updates "
            f"(one for {draft.settings.grad_accumulation_steps} iterations).",
            "Each update moves a weight by about the learning rate at most; few updates at a small rate learn little.",
        )


def no_valid_set(draft: Draft) -> Iterator[Finding]:
    """Without held-out rows nothing can be said about a checkpoint."""
    if draft.data.valid is None:
        yield Finding(
            "D104",
            "warning",
            draft.settings.data,
            "There is no valid.jsonl.",
            "Without it the best checkpoint is unknown and early stopping can't work; the last adapter is kept.",
        )


FINDINGS = (rows_cut, rows_without_target, valid_smaller_than_batch, no_valid_set, few_updates)


def find(draft: Draft) -> tuple[Finding, ...]:
    """All findings, errors first."""
    order = {"error": 0, "warning": 1, "note": 2}
    found = [finding for check in FINDINGS for finding in check(draft)]
    return tuple(sorted(found, key=lambda finding: order[finding.level]))
