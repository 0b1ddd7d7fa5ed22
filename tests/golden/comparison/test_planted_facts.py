"""Over 200 pairs of made-up runs in which one to five facts were planted: the report says all of them and no other.

Each kind of statement is held both ways: what the report says of it equals what is true of the two recipes.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.golden.comparison import said, truth
from tests.support.recipes import Recipe, imported

from runoff.comparison import compare, verdict
from runoff.report import Report, report

PAIRS = 240
Plant = Callable[[Recipe, random.Random], Recipe]

PLANTS: dict[str, Plant] = {
    "ignored dropout": lambda run, _: _ignored(run, lora_dropout=0.1),
    "ignored alpha": lambda run, dice: _ignored(run, lora_alpha=dice.choice([8, 16, 64])),
    "ignored epochs": lambda run, dice: _ignored(run, epochs=dice.choice([2, 3, 5])),
    "ignored weight decay": lambda run, _: _ignored(run, weight_decay=0.05),
    "ignored warm-up": lambda run, dice: _ignored(run, warmup_steps=dice.choice([10, 100])),
    "data split anew": lambda run, dice: _split(run, dice.choice([-60, -30, 40, 90])),
    "other data": lambda run, dice: replace(run, train_rows=run.train_rows + dice.choice([-170, 3, 400])),
    "restarted": lambda run, dice: replace(run, starts=dice.choice([2, 3])),
    "part validation": lambda run, dice: replace(run, val_batches=dice.choice([5, 25])),
    "cut rows": lambda run, dice: replace(run, max_seq_length=dice.choice([256, 512, 699])),
    "longer rows": lambda run, dice: replace(run, max_seq_length=dice.choice([1536, 2048])),
    "other base": lambda run, _: replace(run, model="someone/other-3B"),
    "other seed": lambda run, dice: replace(run, seed=dice.randrange(40)),
    "no metrics": lambda run, _: replace(run, logged=False, broken=(), ends=None, starts=1),
    "nan": lambda run, dice: replace(run, broken=tuple(dice.sample(range(2, 12), dice.choice([1, 3])))),
    "cut log": lambda run, _: replace(run, ends=run.iters * 7 // 12),
    "other version": lambda run, dice: replace(run, version=dice.choice(["0.29.1", "0.31.1"])),
    "accumulation": lambda run, dice: replace(run, accumulation=dice.choice([1, 3, 8, 16])),
    "iterations": lambda run, dice: replace(run, iters=dice.choice([600, 1080, 1800, 2400])),
    "batch": lambda run, dice: replace(run, batch_size=dice.choice([1, 4])),
    "blocks": lambda run, dice: replace(run, num_layers=dice.choice([4, 8, 12, 24])),
    "rank and scale": lambda run, dice: replace(run, rank=dice.choice([4, 16]), scale=dice.choice([10.0, 20.0])),
    "dropout": lambda run, _: replace(run, dropout=0.05),
    "rate": lambda run, dice: replace(run, learning_rate=dice.choice([2e-5, 1e-4])),
    "decay": lambda run, dice: replace(run, schedule=("cosine_decay", 1e-4, dice.choice([50, 250, 1200]))),
    "warm-up": lambda run, dice: replace(run, schedule=("cosine_decay", 1e-4, 100), warmup=dice.choice([20, 700])),
    "validations": lambda run, dice: replace(run, every=dice.choice([50, 70, 500])),
    "prompts": lambda run, _: replace(run, mask_prompt=True),
}
KINDS = ("ignored", "differing", "at_once", "lengths", "checks", "split_anew", "broken", "silent", "schedules", "cuts",
         "gaps", "blocks")  # fmt: skip


def _ignored(run: Recipe, **keys: object) -> Recipe:
    return replace(run, top_level=run.top_level | keys)


def _split(run: Recipe, moved: int) -> Recipe:
    return replace(run, train_rows=run.train_rows - moved, valid_rows=run.valid_rows + moved)


def pair(number: int) -> tuple[Recipe, Recipe, tuple[str, ...]]:
    """Two runs alike but for one to five planted facts, some of them in the first run."""
    dice = random.Random(number)
    chosen = dice.sample(sorted(PLANTS), dice.randint(1, 5))
    runs = {"a": Recipe("a"), "b": Recipe("b")}
    for name in sorted(chosen, key=lambda name: name == "no metrics"):
        side = "b" if dice.random() < 0.8 else "a"
        runs[side] = PLANTS[name](runs[side], dice)
    return runs["a"], runs["b"], tuple(chosen)


def made(a: Recipe, b: Recipe, folder: Path) -> Report:
    comparison = compare([imported(run, folder / "files", folder / "runs") for run in (a, b)])
    return report(comparison, verdict(comparison))


@pytest.mark.parametrize("number", range(PAIRS))
def test_a_report_says_what_was_planted_and_nothing_else(number: int, tmp_path: Path) -> None:
    a, b, planted = pair(number)
    finished = made(a, b, tmp_path)
    for kind in KINDS:
        true = getattr(truth, kind)(a, b)
        assert getattr(said, kind)(finished) == true, (kind, planted)
    shown = said.numbers(finished, "Counts and rates")
    one, other = truth.counts(a), truth.counts(b)
    for name in one:
        wanted = [one[name], other[name]]
        if name in shown or wanted != [None, None]:
            assert shown[name] == [value if value is None else pytest.approx(value) for value in wanted], name
    assert set(shown) <= set(one)
    assert finished.decision == "insufficient evidence"
    assert finished.ship is None
    assert not any(line.startswith("Ship ") for line in said.lines(finished))


def test_every_plant_is_used() -> None:
    used = {name for number in range(PAIRS) for name in pair(number)[2]}
    assert used == set(PLANTS)
