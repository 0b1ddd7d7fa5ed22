"""What several processes agree on, and how a lost one is noticed; the processes themselves are in tests/engines."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.played import played
from tests.support.runs import Killed, fake_train, killer, make_config

from runoff.config import Config
from runoff.engines.base import Vector
from runoff.engines.ranks import ALONE, Ranks, _Together, _Worker
from runoff.errors import EngineError
from runoff.runs import Run, load_run
from runoff.training import api
from runoff.training.together import agreed


def two(other: float) -> Ranks:
    """A process whose only companion always adds the same."""
    return _Together(0, 2, lambda vector: vector + np.array([1, *[other] * (len(vector) - 2), 1], dtype=np.float32))


def test_all_stop_if_one_is_asked_to() -> None:
    assert agreed(ALONE, lambda: True)() is True
    assert agreed(two(0), lambda: False)() is False
    assert agreed(two(1), lambda: False)() is True
    assert agreed(two(0), lambda: True)() is True


def test_a_sum_that_was_cut_off_is_not_taken_for_one() -> None:
    def cut_off(vector: Vector) -> Vector:
        return np.concatenate([vector[:-1] * 2, vector[-1:]])

    with pytest.raises(EngineError) as caught:
        _Together(1, 2, cut_off).sum_vector(np.ones(3, dtype=np.float32))
    assert str(caught.value) == (
        "rank 1: another process of this training is gone (a sum was cut off). Unless it said why, start all of them "
        "again with --resume."
    )


def test_a_sum_that_never_comes_is_given_up_when_the_others_have_ended() -> None:
    never, lives = threading.Event(), [True, True, False]

    def wait(vector: Vector) -> Vector:
        never.wait(20)
        return vector

    worker = _Worker(wait, lambda: lives.pop(0))
    with pytest.raises(EngineError, match=r"is gone \(it has ended\)"):
        _Together(0, 2, worker).sum_vector(np.ones(1, dtype=np.float32))
    assert not lives
    never.set()


def test_an_error_of_the_worker_is_the_callers() -> None:
    def lose(_vector: Vector) -> Vector:
        raise RuntimeError("connection lost")

    with pytest.raises(EngineError, match=r"is gone \(connection lost\)"):
        _Together(0, 2, _Worker(lose, lambda: True)).sum_vector(np.ones(1, dtype=np.float32))


@pytest.fixture
def who(monkeypatch: pytest.MonkeyPatch) -> threading.local:
    """`ranks` of this thread, which is one of the processes."""
    here = threading.local()
    monkeypatch.setattr(api, "open_ranks", lambda: getattr(here, "ranks", ALONE))
    return here


def train_as(here: threading.local, config: Config, root: Path, **options: Any) -> Callable[[Ranks], Run]:
    """What each process does; the options are the first one's."""

    def work(ranks: Ranks) -> Run:
        here.ranks = ranks
        own = options if ranks.rank == 0 else {"resume": options.get("resume", False)}
        return fake_train(config, "run", root, **own)

    return work


def test_a_process_lost_after_the_end_takes_nothing_from_a_whole_run(
    tiny_model: Path, tiny_data: Path, tmp_path: Path, who: threading.local
) -> None:
    def lost(_rank: int) -> bool:
        begun = (tmp_path / "run" / "run.json").exists()
        return begun and load_run("run", tmp_path).identity.status == "finished"

    first, second = played(2, train_as(who, make_config(tiny_model, tiny_data), tmp_path), lost=lost)
    assert first.identity.status == "finished"
    assert first.identity.machine["processes"] == 2
    assert isinstance(second, EngineError)


@pytest.mark.parametrize(("dropout", "says"), [(0.2, "not the run that it would have been"), (0.0, "last digits")])
def test_another_number_of_processes_is_said_and_kept(
    tiny_model: Path, tiny_data: Path, tmp_path: Path, who: threading.local, dropout: float, says: str
) -> None:
    config = make_config(tiny_model, tiny_data, lora_parameters={"rank": 2, "scale": 2.0, "dropout": dropout})
    with pytest.raises(Killed):
        fake_train(config, "run", tmp_path, listen=killer(14))
    said: list[str] = []
    ends = played(2, train_as(who, config, tmp_path, resume=True, say=said.append, listen=killer(14)))
    assert isinstance(ends[0], Killed)
    (sentence,) = [text for text in said if text.startswith("Processes: 1 before, 2 from here on.")]
    assert says in sentence
    said.clear()
    first, second = played(2, train_as(who, config, tmp_path, resume=True, say=said.append))
    assert first.identity == second.identity
    assert not [text for text in said if text.startswith("Processes")]
    (change,) = first.identity.changed
    assert (change["key"], change["then"], change["now"]) == ("processes", 1, 2)


def test_what_a_library_says_of_a_lost_process_is_told_without_its_places_in_code() -> None:
    def lose(_vector: Vector) -> Vector:
        raise RuntimeError("[/build/gloo/tcp/pair.cc:537] Read error [127.0.0.1]:1: Connection reset by peer. This is")

    with pytest.raises(EngineError) as caught:
        _Together(0, 2, lose).sum_vector(np.ones(1, dtype=np.float32))
    assert str(caught.value) == (
        "rank 0: another process of this training is gone (Read error [127.0.0.1]:1: Connection reset by peer). "
        "Unless it said why, start all of them again with --resume."
    )
