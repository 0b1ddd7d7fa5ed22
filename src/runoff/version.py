"""The version, the packages, the command and the machine, for records. Must not: import any but Python's own."""

from __future__ import annotations

import contextlib
import os
import platform
import shlex
import sys
from pathlib import Path
from typing import Any

__all__ = ["__version__", "command_line", "installed_packages", "machine_identity"]

__version__ = "0.1.0"

_COMPUTING = ("runoff", "numpy", "torch", "transformers", "peft", "tokenizers", "mlx", "mlx-lm")


def installed_packages(*besides: str) -> dict[str, str]:
    """Versions of the packages that compute, and of these besides, as far as they are installed."""
    import importlib.metadata  # here, for the start of the command line

    found = {}
    for package in (*_COMPUTING, *besides):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def machine_identity(processes: int = 1) -> dict[str, Any]:
    """What computes; `processes` of one training where there are several."""
    machine = {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count()}
    return machine | ({"processes": processes} if processes > 1 else {})


def command_line() -> str:
    """What this process was started with, as a shell takes it; the program without its folder."""
    return shlex.join([Path(word).name if at == 0 else word for at, word in enumerate(sys.argv)])
