"""What the summary says beside the headline: what was left open of the run to ship, and of no other."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.run_folders import made_measure, make_run, random_losses

from runoff.comparison import compare, verdict
from runoff.report.sections.decision import summary

LOSSES = random_losses(1)


@pytest.mark.parametrize(("shares", "said"), [((0.025, 0.0), True), ((0.0, 0.0), False), ((0.0, 0.025), False)])
def test_a_gate_that_is_open_for_the_run_to_ship_is_said_there(
    tmp_path: Path, shares: tuple[float, float], *, said: bool
) -> None:
    runs = [
        make_run(
            tmp_path,
            name,
            losses=LOSSES + worse,
            measures=[made_measure("broken", share, half=0.01, higher_is_better=False)],
        )
        for name, worse, share in zip(("a", "b"), (0.0, 0.1), shares, strict=True)
    ]
    comparison = compare(runs)
    found = verdict(comparison)
    assert found.ship == "a"
    texts = [getattr(block, "text", "") for block in summary(comparison, found)]
    assert any("can't be decided with these answers" in text for text in texts) is said
