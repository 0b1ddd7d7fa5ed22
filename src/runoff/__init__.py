"""Runoff: which of your LoRA fine-tuning runs to ship, and the evidence.

Owns: the names a notebook imports. They are looked up when first used, so that `import runoff` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from runoff.version import __version__

if TYPE_CHECKING:
    from runoff.comparison import compare, verdict
    from runoff.config import load_config
    from runoff.evaluation import evaluate
    from runoff.importers import import_runs
    from runoff.runs import list_runs, load_run
    from runoff.training import prepare, train

__all__ = [
    "__version__",
    "compare",
    "evaluate",
    "import_runs",
    "list_runs",
    "load_config",
    "load_run",
    "prepare",
    "train",
    "verdict",
]

_HOMES = {
    "compare": "runoff.comparison",
    "evaluate": "runoff.evaluation",
    "import_runs": "runoff.importers",
    "list_runs": "runoff.runs",
    "load_config": "runoff.config",
    "load_run": "runoff.runs",
    "prepare": "runoff.training",
    "train": "runoff.training",
    "verdict": "runoff.comparison",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
