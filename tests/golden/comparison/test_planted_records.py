"""Pairs of Runoff's own records in which facts were planted: each check speaks up for its own fact and for no other."""

# ruff: noqa: E501  (a plant stands whole)

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from tests.golden.comparison.said import checks
from tests.support.run_folders import COUNTS, Told, make_run, random_losses

from runoff.comparison import Decision, compare, verdict
from runoff.report import report
from runoff.runs import MetricRow, Value

PAIRS = 60
LOSSES = random_losses(4)
DATA = {
    "train": {"rows": 100, "sha256": "cc" * 32, "row_sha256": ["f" * 16]},
    "valid": {"rows": 20, "sha256": "dd" * 32},
}


@dataclass(frozen=True)
class Planted:
    """A record, what must be said of it (as topic and level), and what the verdict may then not do."""

    settings: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, Any] = field(default_factory=dict)
    identity: dict[str, Any] = field(default_factory=dict)
    metrics: tuple[MetricRow, ...] = tuple(Told().metrics)
    evaluated: bool = True
    said: frozenset[str] = frozenset()

    def told(self, *said: str, **changes: Any) -> Planted:
        return replace(self, said=self.said | set(said), **changes)

    def data(self, part: str, **facts: Any) -> dict[str, Any]:
        known = self.identity.get("data", DATA)
        return self.identity | {"data": known | {part: known[part] | facts}}


PLANTS: dict[str, Callable[[Planted], Planted]] = {
    "other base": lambda run: run.told(
        "base model: blocking", identity=run.identity | {"model": {"name": "other", "sha256": "11" * 32}}
    ),
    "base not hashed": lambda run: run.told(
        "base model: warning", identity=run.identity | {"model": {"name": "smollm2-135m"}}
    ),
    "other template": lambda run: run.told(
        "tokenizer and template: blocking", identity=run.identity | {"tokenizer_sha256": "22" * 32}
    ),
    "other training rows": lambda run: run.told(
        "training rows: warning", identity=run.data("train", rows=90, sha256="33" * 32)
    ),
    "other validation rows": lambda run: run.told(
        "validation rows: blocking", identity=run.data("valid", rows=30, sha256="44" * 32)
    ),
    "trained on test rows": lambda run: run.told(
        "test rows: blocking", identity=run.data("train", row_sha256=[f"{5:016x}"])
    ),
    "training rows not recorded": lambda run: run.told(
        "test rows: warning", identity=run.data("train", row_sha256=[])
    ),
    "not evaluated": lambda run: run.told("test rows: blocking", evaluated=False),
    "other seed": lambda run: run.told("seeds: warning", settings=run.settings | {"seed": 9}),
    "cut rows": lambda run: run.told(
        "truncation: warning", settings=run.settings | {"max_seq_length": 128}, counts=run.counts | {"train_rows_cut": 6}
    ),
    "other version": lambda run: run.told(
        "tools: warning",
        identity=run.identity | {"engine": {"name": "mlx", "dtype": "float32", "versions": {"mlx": "0.32.0"}}},
    ),
    "other loss": lambda run: run.told(
        "loss definition: blocking", identity=run.identity | {"result": {"loss_definition": "mean of means"}}
    ),
    "interrupted": lambda run: run.told("status: warning", identity=run.identity | {"status": "interrupted"}),
    "restarted": lambda run: run.told(
        "restarts: warning", metrics=(*run.metrics, MetricRow("train", 10, 2, 0.1, 3.0, segment=1))
    ),
    "other blocks": lambda run: run.told(settings=run.settings | {"num_layers": 4}, counts=run.counts | {"adapted_blocks": 4}),
    "unknown counts": lambda run: run.told(counts=run.counts | dict.fromkeys(COUNTS, Value.unknown("not recorded"))),
}  # fmt: skip
APART = (
    {"other base", "base not hashed"},
    {"trained on test rows", "training rows not recorded"},
    {"not evaluated", "trained on test rows"},
    {"not evaluated", "training rows not recorded"},
    {"cut rows", "unknown counts"},
)
"""Facts that hide each other."""


@pytest.mark.parametrize("number", range(PAIRS))
def test_each_planted_fact_is_said_and_no_other(number: int, tmp_path: Path) -> None:
    dice = random.Random(number)
    chosen: set[str] = set()
    for name in dice.sample(sorted(PLANTS), dice.randint(1, 5)):
        if not any(pair <= chosen | {name} for pair in APART):
            chosen.add(name)
    planted = Planted()
    for name in sorted(chosen):
        planted = PLANTS[name](planted)
    a = make_run(tmp_path, "a", losses=LOSSES, base=LOSSES + 1)
    told = Told(planted.settings, planted.counts, planted.identity, planted.metrics)
    losses = LOSSES + 0.3 if planted.evaluated else None
    comparison = compare([a, make_run(tmp_path, "b", told, losses=losses, base=None if losses is None else LOSSES + 1)])
    found = verdict(comparison)
    assert checks(report(comparison, found)) == planted.said, chosen
    if "not evaluated" in chosen:
        assert found.decision is Decision.INSUFFICIENT
    elif {"base model: blocking", "tokenizer and template: blocking", "test rows: blocking"} & planted.said:
        assert found.decision is Decision.NOT_COMPARABLE
    elif chosen <= {"other seed"} and chosen:
        assert found.decision is Decision.NOT_DETECTABLE
    else:
        assert (found.decision, found.ship) == (Decision.BETTER, "a")
    if found.decision is not Decision.BETTER:
        assert found.ship is None


def test_every_plant_is_used() -> None:
    used = {
        name
        for number in range(PAIRS)
        for dice in [random.Random(number)]
        for name in dice.sample(sorted(PLANTS), dice.randint(1, 5))
    }
    assert used == set(PLANTS)
