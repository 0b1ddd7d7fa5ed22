"""The gate's three answers on pairs whose truth is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.support.run_folders import make_run, random_losses

from runoff.comparison import Gate, compare, gate
from runoff.errors import RunError

LOSSES = random_losses(1)
NOISE = np.random.Generator(np.random.PCG64(9)).normal(0, 0.02, len(LOSSES))
WIDE = np.random.Generator(np.random.PCG64(4)).normal(0, 0.3, len(LOSSES))


@pytest.mark.parametrize(
    ("candidate", "answer", "words"),
    [
        (LOSSES - 0.1 + NOISE, Gate.PASS, "b passes: it is worse than a by less than 0.02"),
        (LOSSES, Gate.PASS, "b passes: it gives every answer the same loss as a."),
        (LOSSES + 0.1 + NOISE, Gate.FAIL, "b fails: its held-out loss is higher than a's"),
        (LOSSES + WIDE + 0.03, Gate.EVIDENCE_DOES_NOT_SUFFICE, "b: the evidence does not rule out"),
    ],
)
def test_answers(
    tmp_path: Path, candidate: np.ndarray[tuple[int], np.dtype[np.float64]], answer: Gate, words: str
) -> None:
    comparison = compare([make_run(tmp_path, "a", losses=LOSSES), make_run(tmp_path, "b", losses=candidate)])
    found = gate(comparison)
    assert found.answer is answer
    assert found.sentences[0].text.startswith(words)


def test_the_worst_candidate_decides(tmp_path: Path) -> None:
    runs = [
        make_run(tmp_path, name, losses=LOSSES + shift) for name, shift in (("a", 0.0), ("b", 0.0), ("c", 0.1 + NOISE))
    ]
    assert gate(compare(runs)).answer is Gate.FAIL
    assert gate(compare(runs), "c").answer is Gate.PASS


def test_without_evidence_it_does_not_pass(tmp_path: Path) -> None:
    found = gate(compare([make_run(tmp_path, "a"), make_run(tmp_path, "b")]))
    assert found.answer is Gate.EVIDENCE_DOES_NOT_SUFFICE


def test_a_baseline_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"--baseline x: is not one of the compared runs \(a, b\)"):
        gate(compare([make_run(tmp_path, "a"), make_run(tmp_path, "b")]), "x")
