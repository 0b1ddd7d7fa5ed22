"""Where a run's trunk ends and where its states are kept.

Owns: the choice between memory and a file, and of a kept trunk that ends a little lower. Must not: compute states.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from runoff.engines import Base
from runoff.engines.trunk import DiskStates
from runoff.plan import EncodedDataset, Plan
from runoff.runs import trunk_folder

__all__ = ["share_trunk"]

FREE_SHARE = 10
"""`auto` writes to disk if the states take at most this part of the free space: one tenth."""


def share_trunk(base: Base, plan: Plan, data: EncodedDataset, root: Path) -> str:
    """Split the base for this run, as `trunk_cache` says. Returns the sentence that says what was done."""
    lowest, wanted = plan.adapter.lowest_block, plan.settings.trunk_cache
    keys = [example.key for example in (*data.train, *data.valid)]
    size = _planned_bytes(plan, data)
    on_disk = wanted == "disk" or (wanted == "auto" and size <= _free_bytes(root) // FREE_SHARE)
    if wanted == "off":
        base.share_trunk(lowest, budget_bytes=0)
        return "Trunk cache off, as trunk_cache says: the states below the adapted blocks are computed at each pass."
    if not on_disk:
        return base.share_trunk(lowest, budget_bytes=_memory_budget_bytes())
    boundary = _boundary(base, plan, root, keys)
    folder = trunk_folder(root, plan.model.sha256, base.facts.trunk_name, base.facts.dtype, boundary)
    if not _can_be_made(folder):
        said = base.share_trunk(lowest, budget_bytes=_memory_budget_bytes())
        return f"{said} They are kept in memory, since {folder} can't be written." if _is_on(said) else said
    said = base.share_trunk(boundary, budget_bytes=_free_bytes(root) // 2, folder=folder)
    if not _is_on(said):
        return said
    return f"{said} They are kept in {folder} (about {size / 1e6:,.1f} MB), which can be deleted at any time."


def _is_on(said: str) -> bool:
    """Whether an engine's sentence speaks of states that are kept."""
    return said.startswith("Trunk cache on")


def _boundary(base: Base, plan: Plan, root: Path, keys: list[str]) -> int:
    """The run's own boundary, or a kept lower one if going on from there costs less than computing all anew.

    Going on from block k costs (lowest - k) blocks at each pass over a row; computing anew costs `lowest` blocks once.
    """
    lowest, counts = plan.adapter.lowest_block, plan.counts
    passes = (counts.rows_seen + counts.validations * counts.validation_rows) / max(len(keys), 1)
    facts = base.facts
    for boundary in range(lowest, 0, -1):
        if (lowest - boundary) * passes >= lowest:
            break
        folder = trunk_folder(root, plan.model.sha256, facts.trunk_name, facts.dtype, boundary)
        if folder.is_dir() and DiskStates(folder, 0).holds(keys) == len(set(keys)):
            return boundary
    return lowest


def _planned_bytes(plan: Plan, data: EncodedDataset) -> int:
    """Four bytes a number at most."""
    return sum(len(example.ids) for example in (*data.train, *data.valid)) * plan.model.hidden_size * 4


def _free_bytes(root: Path) -> int:
    return shutil.disk_usage(_nearest(root)).free


def _can_be_made(folder: Path) -> bool:
    there = _nearest(folder)
    return there.is_dir() and os.access(there, os.W_OK)


def _nearest(path: Path) -> Path:
    """The path itself, or what there is of the way to it."""
    return next((each for each in (path, *path.resolve().parents) if each.exists()), Path())


def _memory_budget_bytes() -> int:
    """A quarter of the machine's memory."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
    except (ValueError, OSError):
        return 2 * 1024**3
