"""What the table of measures says of each: who is better, that nothing was detected, or that nothing could be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.support.run_folders import Losses, made_measure, make_run, random_losses

from runoff.comparison import compare, verdict
from runoff.report.model import Table
from runoff.report.sections.results import answers, results

STYLE: Losses = np.random.Generator(np.random.PCG64(3)).normal(0.5, 0.1, 120)


def finding(root: Path, one: Losses, other: Losses) -> str:
    """Of a measure with these values for `a` and `b`, ten examples a source."""
    losses = random_losses(1)
    runs = [
        make_run(root, label, losses=losses, measures=[made_measure("style", float(values.mean()), per_example=values)])
        for label, values in (("a", one), ("b", other))
    ]
    comparison = compare(runs)
    (table,) = [block for block in answers(comparison, verdict(comparison)) if isinstance(block, Table)]
    (row,) = table.rows
    return row[-1].text


@pytest.mark.parametrize(
    ("examples", "apart", "said"),
    [
        (120, 0.3, "b better than a"),
        (120, 0.0, "no difference detectable"),
        (50, 0.3, "too few sources for a test"),
    ],
)
def test_the_finding_of_a_measure(tmp_path: Path, examples: int, apart: float, said: str) -> None:
    assert finding(tmp_path, STYLE[:examples], STYLE[:examples] + apart) == said


@pytest.mark.parametrize("count", [2, 3])
def test_of_several_pairs_each_p_is_said_to_be_of_one(tmp_path: Path, count: int) -> None:
    losses = random_losses(1)
    comparison = compare([make_run(tmp_path, f"r{at}", losses=losses + 0.1 * at) for at in range(count)])
    (table,) = [
        block
        for block in results(comparison, verdict(comparison))
        if isinstance(block, Table) and block.caption.startswith("Paired differences")
    ]
    assert ("Each p is of its pair alone; the verdict allows for all pairs at once." in table.note) is (count > 2)


def test_sources_stand_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    comparison = compare([make_run(tmp_path, name, losses=random_losses(1)) for name in "ab"])
    (table,) = [
        block
        for block in results(comparison, verdict(comparison))
        if isinstance(block, Table) and block.caption == "Held-out loss by source"
    ]
    assert [row[0].text for row in table.rows] == [f"source {at}" for at in range(12)]
