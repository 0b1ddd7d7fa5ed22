"""Runoff: which of your LoRA fine-tuning runs to ship, and the evidence.

Owns: the names a notebook imports (docs/python.md). They are looked up when first used, so that `import runoff` costs
nothing. `runoff.plan` and `runoff.report` are packages, so the verbs that return these nouns are `plan_run` and
`make_report`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from runoff.version import __version__

if TYPE_CHECKING:
    from runoff.comparison import Comparison, Verdict, compare, verdict
    from runoff.config import Config, load_config
    from runoff.errors import RunoffError
    from runoff.evaluation import Evaluation, evaluate, load_evaluations
    from runoff.importers import import_runs
    from runoff.plan import Plan
    from runoff.report import Report, write_report
    from runoff.report import report as make_report
    from runoff.runs import Run, list_runs, load_run
    from runoff.training import plan_run, prepare, train

__all__ = [
    "Comparison",
    "Config",
    "Evaluation",
    "Plan",
    "Report",
    "Run",
    "RunoffError",
    "Verdict",
    "__version__",
    "compare",
    "evaluate",
    "import_runs",
    "list_runs",
    "load_config",
    "load_evaluations",
    "load_run",
    "make_report",
    "plan_run",
    "prepare",
    "train",
    "verdict",
    "write_report",
]

_HOMES = {
    "Comparison": "runoff.comparison",
    "Config": "runoff.config",
    "Evaluation": "runoff.evaluation",
    "Plan": "runoff.plan",
    "Report": "runoff.report",
    "Run": "runoff.runs",
    "RunoffError": "runoff.errors",
    "Verdict": "runoff.comparison",
    "compare": "runoff.comparison",
    "evaluate": "runoff.evaluation",
    "import_runs": "runoff.importers",
    "list_runs": "runoff.runs",
    "load_config": "runoff.config",
    "load_evaluations": "runoff.evaluation",
    "load_run": "runoff.runs",
    "make_report": "runoff.report",
    "plan_run": "runoff.training",
    "prepare": "runoff.training",
    "train": "runoff.training",
    "verdict": "runoff.comparison",
    "write_report": "runoff.report",
}
_THERE = {"make_report": "report"}
"""What a name is called where it lives, if otherwise."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), _THERE.get(name, name))


def __dir__() -> list[str]:
    return __all__
