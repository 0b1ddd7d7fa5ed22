"""The pass behind the drift: its two numbers by hand, kept as they come, and what is no number left out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from tests.support.fake_engine import BUCKETS, FakeBase, FakeEngine
from tests.support.runs import fake_train, make_config, make_data

from runoff.data import Batch
from runoff.evaluation import drifting
from runoff.evaluation.answers import Answer
from runoff.evaluation.asking import Question
from runoff.evaluation.drifting import drifts
from runoff.evaluation.scored import Drift
from runoff.evaluation.session import Session, open_session
from runoff.plan import AdapterSpec
from runoff.runs import Run

Floats = npt.NDArray[np.float64]
TOKENS = [(4, 9, 31), (), (7, 7), (1,), (12, 3, 5, 2), (30, 29)]
QUESTIONS = [
    Question(f"p{at}", "a" if at % 2 else "b", "What?", None, np.array([at + 1, at + 2], np.int32))
    for at in range(len(TOKENS))
]
ANSWERS = [
    Answer(one.example, one.source, one.question, None, "text", tokens)
    for one, tokens in zip(QUESTIONS, TOKENS, strict=True)
]


@pytest.fixture
def runs(tiny_model: Path, tmp_path: Path) -> list[Run]:
    data = make_data(tmp_path / "data")
    return [
        fake_train(make_config(tiny_model, data, iters=iters), name, tmp_path / "runs")
        for name, iters in (("one", 6), ("two", 12))
    ]


def session_of(runs: list[Run], base: FakeBase | None = None) -> Session:
    return open_session(runs, lambda _text: None, base or FakeBase())


def by_hand(session: Session, run: Run) -> list[tuple[float, float]]:
    """Nats above the base's, and KL(base || run), of each answer, in float64 from the engines' own logits."""

    def log_chances(who: Run | None, ids: npt.NDArray[np.int64]) -> Floats:
        engine = session.engine(who)
        assert isinstance(engine, FakeEngine)
        logits = engine.logits(ids)
        chances: Floats = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return chances

    found = []
    for question, tokens in zip(QUESTIONS, TOKENS, strict=True):
        if tokens:
            present = np.array([*question.ids, *tokens][len(question.ids) - 1 : -1]) % BUCKETS
            base, own = log_chances(None, present), log_chances(run, present)
            target = (np.arange(len(tokens)), np.array(tokens))
            found.append((float((base - own)[target].sum()), float((np.exp(base) * (base - own)).sum())))
    return found


def test_both_numbers_are_those_of_the_logits(runs: list[Run]) -> None:
    session = session_of(runs)
    found = drifts(session, "key", QUESTIONS, ANSWERS)
    assert found["base"] == tuple(
        Drift(answer.example, answer.cluster, len(answer.tokens), 0, 0) for answer in ANSWERS if answer.tokens
    )
    for run in runs:
        own = found[run.name]
        assert [(one.example, one.cluster, one.tokens) for one in own] == [
            (one.example, one.cluster, one.tokens) for one in found["base"]
        ]
        assert [(one.nats, one.kl_nats) for one in own] == [
            pytest.approx(pair, abs=1e-5) for pair in by_hand(session, run)
        ]
        assert min(one.kl_nats for one in own) > 1e-3


@dataclass
class Counting(FakeBase):
    """Counts the answers that are read, and stops before one of them."""

    read: int = 0
    dies_at: int = 1000

    def attach(self, spec: AdapterSpec | None, *, seed: int = 0, checkpointing: bool = False) -> FakeEngine:
        engine = super().attach(spec, seed=seed, checkpointing=checkpointing)
        log_chances = engine.log_chances

        def counted(batch: Batch) -> list[npt.NDArray[np.float32]]:
            if self.read == self.dies_at:
                raise KeyboardInterrupt
            self.read += 1
            return log_chances(batch)

        engine.log_chances = counted  # type: ignore[method-assign]
        return engine


def test_what_was_read_before_an_interruption_is_kept(runs: list[Run], monkeypatch: pytest.MonkeyPatch) -> None:
    """Five answers under a base and two runs; they are kept by twos, so the fifth is read again."""
    monkeypatch.setattr(drifting, "KEEP_EVERY", 2)
    whole = drifts(session_of(runs), "whole", QUESTIONS, ANSWERS)
    with pytest.raises(KeyboardInterrupt):
        drifts(session_of(runs, Counting(dies_at=14)), "key", QUESTIONS, ANSWERS)
    rest = Counting()
    assert drifts(session_of(runs, rest), "key", QUESTIONS, ANSWERS) == whole
    assert rest.read == 2, "the base, and the run that was not kept"
    nothing = Counting()
    assert drifts(session_of(runs, nothing), "key", QUESTIONS, ANSWERS) == whole
    assert (nothing.read, nothing.attached) == (0, 0)


def test_other_answers_of_the_base_are_other_rows(runs: list[Run]) -> None:
    drifts(session_of(runs), "key", QUESTIONS, ANSWERS)
    other, again = Counting(), Counting()
    drifts(session_of(runs, other), "key", QUESTIONS[:3], ANSWERS[:3])
    assert other.read == 2 * 3
    drifts(session_of(runs, again), "key", QUESTIONS[:3], ANSWERS[:3])
    assert again.read == 0


@dataclass
class Broken(FakeBase):
    """Gives the token 6 no chance under anyone, and no number for the third answer under a run."""

    def attach(self, spec: AdapterSpec | None, *, seed: int = 0, checkpointing: bool = False) -> FakeEngine:
        engine = super().attach(spec, seed=seed, checkpointing=checkpointing)
        log_chances = engine.log_chances

        def spoilt(batch: Batch) -> list[npt.NDArray[np.float32]]:
            found = log_chances(batch)
            found[0][:, 6] = -np.inf
            if spec is not None and batch.ids[0, 0] == 3:
                found[0][:] = np.nan
            return found

        engine.log_chances = spoilt  # type: ignore[method-assign]
        return engine


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_the_base_gives_no_chance_counts_for_nothing_and_what_is_no_number_is_left_out(runs: list[Run]) -> None:
    for _ in range(2):  # the second time as it was kept
        found = drifts(session_of(runs, Broken()), "key", QUESTIONS, ANSWERS)
        assert [one.example for one in found["one"]] == ["p0", "p3", "p4", "p5"]
        assert [one.example for one in found["base"]] == ["p0", "p2", "p3", "p4", "p5"]
        assert all(np.isfinite([one.kl_nats for one in found["two"]]))
