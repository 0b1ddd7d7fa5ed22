"""Small nouns of a comparison: a labelled run, a sentence and what it cites. Must not: judge."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runoff.runs import Run, Value

__all__ = ["Sentence", "Side", "both", "label_runs", "listed"]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A statement and the facts it was computed from (`long.counts.optimizer_updates`)."""

    text: str
    cites: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The statement."""
        return self.text


@dataclass(frozen=True)
class Side:
    """A run in a comparison, under the name that the report calls it by. `reference` finds it from the command line."""

    label: str
    reference: str
    run: Run

    def setting(self, key: str) -> Value:
        """A setting as it took effect; a part of one that is not set is not set either."""
        settings = self.run.plan.settings
        whole = settings.get(key.partition(".")[0])
        if key not in settings and whole is not None and whole.known and whole.value is None:
            return Value(None, whole.origin)
        return settings.get(key) or Value.unknown("not recorded")

    def count(self, key: str) -> Value:
        """A count as it was planned or found."""
        return self.run.plan.counts.get(key) or Value.unknown("not recorded")

    @property
    def trained_on(self) -> frozenset[str]:
        """The beginnings of the hashes of its training rows; none where they are not recorded."""
        return frozenset((self.run.identity.data.get("train") or {}).get("row_sha256") or ())

    def number(self, key: str) -> float | None:
        """A count as a finite number; None where it is unknown or not a number."""
        value = self.count(key).value
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return None
        return value


def label_runs(runs: Sequence[Run]) -> tuple[Side, ...]:
    """Names, made distinct by the folder above where two runs share one; references that work from here."""
    names = [run.name for run in runs]
    sides: list[Side] = []
    for run in runs:
        path = run.folder.path
        label = run.name if names.count(run.name) == 1 else f"{path.parent.name}/{run.name}"
        if [side.label for side in sides].count(label):
            label = f"{label} ({len(sides) + 1})"
        sides.append(Side(label, _reference(run), run))
    return tuple(sides)


def _reference(run: Run) -> str:
    from runoff.runs import runs_root

    default = runs_root() / run.folder.path.name
    return run.folder.path.name if run.folder.path == default else str(run.folder.path)


MOST_LISTED = 8


def listed(items: Sequence[Any]) -> str:
    """`a`, `a and b`, `a, b and c`; of many the first few and how many more."""
    texts = [str(item) for item in items]
    if len(texts) > MOST_LISTED + 1:
        texts = [*texts[:MOST_LISTED], f"{len(texts) - MOST_LISTED:,} more"]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}" if texts else ""


def both(count: int) -> str:
    """`both` for two runs, `all` for more."""
    return "both" if count == 2 else "all"
