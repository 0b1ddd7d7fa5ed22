"""The gate's three answers on pairs whose truth is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.support.run_folders import made_measure, make_run, random_losses

from runoff.comparison import Gate, GateResult, compare, gate, verdict
from runoff.errors import RunError

LOSSES = random_losses(1)
NOISE = np.random.Generator(np.random.PCG64(9)).normal(0, 0.02, len(LOSSES))
WITHIN = "b passes by held-out loss: it is worse than a's by less than 0.02 nats per target token"
WIDE = np.random.Generator(np.random.PCG64(4)).normal(0, 0.3, len(LOSSES))


@pytest.mark.parametrize(
    ("candidate", "answer", "words"),
    [
        (LOSSES - 0.1 + NOISE, Gate.PASS, "b passes by held-out loss: it is lower than a's (difference -0.0"),
        (LOSSES + NOISE - NOISE.mean(), Gate.PASS, f"{WITHIN}, if at all (difference "),
        (LOSSES + NOISE - NOISE.mean() + 0.01, Gate.PASS, f"{WITHIN} (difference +0.0"),
        (LOSSES, Gate.PASS, "b passes by held-out loss: it gives every answer the same as a."),
        (LOSSES + 0.1 + NOISE, Gate.FAIL, "b fails by held-out loss: it is higher than a's (difference +0.1"),
        (
            LOSSES + WIDE + 0.03,
            Gate.EVIDENCE_DOES_NOT_SUFFICE,
            "b: it can't be ruled out that its held-out loss is worse",
        ),
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


def with_broken(root: Path, baseline: float, candidate: float, half: float = 0.01) -> GateResult:
    """The candidate has the lower loss; these shares of either's answers are broken."""
    runs = [
        make_run(root, name, losses=losses, measures=[made_measure("broken", share, half=half, higher_is_better=False)])
        for name, losses, share in (("a", LOSSES, baseline), ("b", LOSSES - 0.1 + NOISE, candidate))
    ]
    comparison = compare(runs)
    assert (verdict(comparison).ship == "b") is (gate(comparison).answer is Gate.PASS)
    return gate(comparison)


def test_a_candidate_that_must_not_be_shipped_fails_whatever_its_loss(tmp_path: Path) -> None:
    found = with_broken(tmp_path, 0.0, 0.5)
    assert found.answer is Gate.FAIL
    assert found.sentences[0].text.startswith("b passes by held-out loss: it is lower than a's")
    assert found.sentences[1].text.startswith("b: 60 of 120 answers are broken (50 %, ")
    assert not any("would not pass itself" in sentence.text for sentence in found.sentences)


def test_what_is_undecided_is_said_and_holds_nobody_back(tmp_path: Path) -> None:
    found = with_broken(tmp_path, 0.0, 0.04, half=0.03)
    assert found.answer is Gate.PASS
    assert "can't be decided with these answers" in found.sentences[1].text


def test_a_baseline_that_fails_is_no_excuse_and_is_said(tmp_path: Path) -> None:
    found = with_broken(tmp_path / "both", 0.5, 0.5)
    assert found.answer is Gate.FAIL
    assert "The baseline a would not pass itself (broken output)." in [one.text for one in found.sentences]
    assert with_broken(tmp_path / "one", 0.5, 0.0).answer is Gate.PASS


def test_what_the_gate_did_not_look_at_is_said(tmp_path: Path) -> None:
    last = with_broken(tmp_path, 0.0, 0.0).sentences[-1].text
    assert last == (
        "The gate did not look at style, facts in generated answers and what was forgotten: not measured "
        "(runoff evaluate --generate)."
    )
    every = [made_measure(key, 0.99, half=0.001) for key in ("style", "facts", "retention")]
    every.append(made_measure("broken", 0.0, half=0.0, higher_is_better=False))
    runs = [make_run(tmp_path / "every", name, losses=LOSSES, measures=every) for name in "ab"]
    assert not any("did not look at" in one.text for one in gate(compare(runs)).sentences)
