"""Runs by name, where one that can't be read does not stop the others. Must not: know what they are wanted for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runoff.runs import Run

__all__ = ["loaded_runs"]


def loaded_runs(names: Sequence[str], root: Path | None, say: Callable[[str], None]) -> list[Run]:
    """Those that can be read; the others are named.

    Raises:
        RunError: none can be read.
    """
    from runoff.errors import RunError
    from runoff.runs import load_run

    found, reasons = [], []
    for name in dict.fromkeys(names):
        try:
            found.append(load_run(name, root))
        except RunError as error:
            reasons.append(str(error))
    if not found:
        raise RunError(" ".join(reasons))
    for reason in reasons:
        say(f"{reason} The other runs go on.")
    return found
