"""What a notebook imports: every name is there, and asking for the package alone loads nothing heavy."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import runoff


def test_every_public_name_is_the_verb_of_its_module() -> None:
    for name in runoff.__all__:
        found = getattr(runoff, name)
        own = {"make_report": "report"}.get(name, name)
        assert isinstance(found, str) if name == "__version__" else found.__name__ == own
    assert dir(runoff) == sorted(runoff.__all__)


def test_every_name_is_known_to_a_type_checker_and_looked_up() -> None:
    source = Path(runoff.__file__).read_text("utf-8")
    typed = source.partition("if TYPE_CHECKING:")[2].partition("__all__")[0]
    assert set(runoff._HOMES) == set(runoff.__all__) - {"__version__"}
    assert [name for name in runoff._HOMES if not re.search(rf"\b{name}\b", typed)] == []


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = runoff.nonsense


def test_importing_the_package_loads_no_library() -> None:
    code = "import sys, runoff; print(sorted({name.split('.')[0] for name in sys.modules} & {'numpy', 'torch', 'mlx'}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
