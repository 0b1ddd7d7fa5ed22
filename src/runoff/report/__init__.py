"""Reports: sections of plain data and their renderings. Must not: read disk, or know an engine.

The names are looked up when first used: a list of runs needs numbers.py alone, and nothing of a comparison.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runoff.report.build import report
    from runoff.report.model import Report
    from runoff.report.write import write_report

__all__ = ["Report", "report", "write_report"]

_HOMES = {"Report": "runoff.report.model", "report": "runoff.report.build", "write_report": "runoff.report.write"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
