"""Which engine `auto` means, and what is said where none is installed."""

from __future__ import annotations

import importlib.util
import platform

import pytest

from runoff.engines import choose_engine
from runoff.errors import EngineError


@pytest.fixture
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """(system, processor, installed libraries)."""
    system, processor, installed = request.param
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: processor)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name in installed else None)


TORCH, MLX = ("torch", "transformers", "peft"), ("mlx", "mlx_lm")
CASES = {
    "mlx": [("Darwin", "arm64", TORCH + MLX), ("Darwin", "arm64", MLX), ("Linux", "x86_64", MLX)],
    "torch": [("Linux", "x86_64", TORCH + MLX), ("Darwin", "x86_64", TORCH + MLX), ("Darwin", "arm64", TORCH)],
}


@pytest.mark.parametrize(
    ("machine", "expected"),
    [(case, name) for name, cases in CASES.items() for case in cases],
    indirect=["machine"],
)
@pytest.mark.usefixtures("machine")
def test_auto(expected: str) -> None:
    assert choose_engine("auto") == expected


@pytest.mark.parametrize("machine", [("Linux", "x86_64", ("torch", "transformers"))], indirect=True)
@pytest.mark.usefixtures("machine")
def test_what_is_not_there_is_said_with_the_command_that_installs_it() -> None:
    with pytest.raises(EngineError, match=r'pip install "runoff\[torch\]" or pip install "runoff\[mlx\]"\.$'):
        choose_engine("auto")
    with pytest.raises(EngineError, match=r'Install one: pip install "runoff\[mlx\]"\.$'):
        choose_engine("mlx")
