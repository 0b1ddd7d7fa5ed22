"""What several test folders share."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from runoff.models import get_model
from tests.support.tiny import make_tiny_model

settings.register_profile("any pace", deadline=None)  # a machine that is busy fails no property
settings.load_profile("any pace")


@pytest.fixture(scope="session")
def smollm2_folder() -> Path:
    """The embedded model's folder, made once in the user's own cache; tests that ask for it are marked `model`."""
    return get_model("smollm2-135m")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of four small blocks with a tokenizer over bytes; nobody writes into it."""
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def tiny_data(tmp_path: Path) -> Path:
    """A folder of 11 training and 5 validation chats."""
    from tests.support.runs import make_data

    return make_data(tmp_path / "data")
