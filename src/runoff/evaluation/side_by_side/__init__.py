"""The same prompts, with every answer next to each other. Must not: generate, measure a run, or render."""

from runoff.evaluation.gather import Gathered, gather_prompted, gather_stored
from runoff.evaluation.side_by_side.badges import BADGES, Badge, grounds
from runoff.evaluation.side_by_side.build import (
    REFERENCE,
    Group,
    Prompted,
    Shown,
    SideBySide,
    prompted,
    side_by_side,
)
from runoff.evaluation.side_by_side.marking import Word

__all__ = [
    "BADGES",
    "REFERENCE",
    "Badge",
    "Gathered",
    "Group",
    "Prompted",
    "Shown",
    "SideBySide",
    "Word",
    "gather_prompted",
    "gather_stored",
    "grounds",
    "prompted",
    "side_by_side",
]
