"""What the model is for, and by which yardsticks that is decided.

Owns: the four aims. Must not: compute.
"""

from __future__ import annotations

from enum import StrEnum

from runoff.comparison.evidence import Evidence
from runoff.comparison.yardstick import Yardstick

__all__ = ["Aim", "yardsticks"]


class Aim(StrEnum):
    """What matters most once nothing is broken."""

    GENERALIZATION = "generalization"
    STYLE = "style"
    KEEP_BASE = "keep-base"
    BALANCED = "balanced"


def yardsticks(aim: Aim, evidence: Evidence) -> tuple[Yardstick, ...] | None:
    """What decides, most important first; None where one of them was not measured."""
    wanted = {
        Aim.GENERALIZATION: (evidence.loss,),
        Aim.STYLE: (evidence.measures.get("style"),),
        Aim.KEEP_BASE: (evidence.measures.get("suite_passed"),),
        Aim.BALANCED: (evidence.loss, evidence.measures.get("style")),
    }[aim]
    found = tuple(one for one in wanted if one is not None)
    return found if len(found) == len(wanted) else None
