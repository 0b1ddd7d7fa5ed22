"""Where lm-evaluation-harness is not installed, one sentence says so and the rest goes on."""

from __future__ import annotations

import importlib.util

import pytest

from runoff.evaluation.harness import run_harness


def test_it_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "lm_eval" else whole(name))
    said: list[str] = []
    assert not run_harness([], [], ["arc_easy"], say=said.append)
    assert said == ['Not run: lm-evaluation-harness is not installed. Install it: pip install "lm_eval[hf]==0.4.13".']
