"""The order of the runs changes no number: a whole report of (b, a) says what that of (a, b) says."""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.golden.comparison.said import lines, table
from tests.golden.comparison.test_planted_facts import pair
from tests.support.recipes import imported
from tests.support.run_folders import Told, made_measure, make_run, random_losses, scored

from runoff.comparison import Aim, compare, gate, verdict
from runoff.report import Report, report
from runoff.runs import Run

PAIRED = "Paired differences"
NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?(?:e-?\d+)?")


def told(dice: random.Random) -> Told:
    """A run that differs from a plain one in a few things."""
    settings = {
        "num_layers": dice.choice([4, 8]),
        "seed": dice.choice([0, 1]),
        "learning_rate": dice.choice([1e-4, 2e-4]),
        "max_seq_length": dice.choice([128, 2048]),
        "lora_parameters.dropout": dice.choice([0.0, 0.1]),
    }
    updates = dice.choice([25, 50])
    counts = {"optimizer_updates": updates, "train_rows_cut": dice.choice([0, 7]), "base_parameters": 134_515_008}
    rows = {50: scored(random_losses(dice.randrange(9))[:120]), 100: scored(random_losses(dice.randrange(9))[:120])}
    return Told(settings=settings, counts=counts, validation_rows=rows)


def own_runs(root: Path, number: int) -> tuple[Run, Run]:
    dice, noise = random.Random(number), np.random.Generator(np.random.PCG64(number))
    losses = random_losses(number)
    runs = []
    for name in ("one", "two"):
        own = losses + noise.normal(dice.choice([0.0, 0.05, 0.2]), 0.1, len(losses))
        style = made_measure("style", 0.5, per_example=own, base_per_example=losses)
        runs.append(make_run(root, name, told(dice), losses=own, base=losses + 0.3, measures=[style]))
    return runs[0], runs[1]


def reports(a: Run, b: Run, aim: Aim) -> tuple[Report, Report]:
    found = []
    for runs in ((a, b), (b, a)):
        comparison = compare(runs)
        found.append(report(comparison, verdict(comparison, aim)))
    return found[0], found[1]


def numbers(finished: Report) -> Counter[str]:
    """Every number in every sentence and cell, but for the table whose direction is the order of the runs."""
    paired = {" | ".join(row) for row in table(finished, PAIRED)}
    return Counter(word for line in lines(finished) if line not in paired for word in NUMBER.findall(line))


def without_order(finished: Report) -> tuple[object, ...]:
    """The decision, what is recommended, and every number for machines."""
    held_out, measures = finished.facts["held_out"], finished.facts["measures"]
    return finished.decision, finished.ship, held_out, measures, sorted(finished.facts["runs"])


@pytest.mark.parametrize("number", range(24))
def test_own_runs(number: int, tmp_path: Path) -> None:
    a, b = own_runs(tmp_path, number)
    one, other = reports(a, b, list(Aim)[number % len(Aim)])
    assert without_order(one) == without_order(other)
    assert numbers(one) == numbers(other)
    assert gate(compare([a, b]), "one") == gate(compare([b, a]), "one")


@pytest.mark.parametrize("number", range(24))
def test_imported_runs(number: int, tmp_path: Path) -> None:
    a, b, _ = pair(1000 + number)
    runs = [imported(replace(run), tmp_path / "files", tmp_path / "runs") for run in (a, b)]
    one, other = reports(runs[0], runs[1], Aim.GENERALIZATION)
    assert (one.decision, one.ship) == (other.decision, other.ship)
    assert numbers(one) == numbers(other)
