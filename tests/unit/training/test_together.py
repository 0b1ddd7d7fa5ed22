"""What several processes agree on, and how a lost one is noticed; the processes themselves are in tests/engines."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from runoff.engines.base import Vector
from runoff.engines.ranks import ALONE, Ranks, _Together, _Worker
from runoff.errors import EngineError
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
        "rank 1: another process of this training is gone (a sum was cut off). Start them again with --resume."
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
