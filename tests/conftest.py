"""What several test folders share."""

from __future__ import annotations

from pathlib import Path

import pytest

from runoff.models import get_model


@pytest.fixture(scope="session")
def smollm2_folder() -> Path:
    """The embedded model's folder, made once in the user's own cache; tests that ask for it are marked `model`."""
    return get_model("smollm2-135m")
