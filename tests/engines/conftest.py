"""A tiny model for all engine tests, and one thread: tiny products gain nothing from more."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.support import LIBRARIES
from tests.support.tiny import make_tiny_model


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    if importlib.util.find_spec("torch") is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=["torch", "mlx"])
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine that a user may ask for; skipped where its library is not installed."""
    for library in LIBRARIES[request.param]:
        pytest.importorskip(library)
    return str(request.param)
