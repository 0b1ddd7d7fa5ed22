"""What a notebook imports: every name is there, and asking for the package alone loads nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

import runoff


def test_every_public_name_is_the_verb_of_its_module() -> None:
    for name in runoff.__all__:
        found = getattr(runoff, name)
        assert isinstance(found, str) if name == "__version__" else found.__name__ == name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = runoff.nonsense


def test_importing_the_package_loads_no_library() -> None:
    code = "import sys, runoff; print(sorted({name.split('.')[0] for name in sys.modules} & {'numpy', 'torch', 'mlx'}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
