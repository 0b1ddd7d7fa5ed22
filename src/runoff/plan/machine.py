"""What a plan has to know of the machine: memory, free disk, and what lies where an adapter would be saved.

Owns: asking the system. Must not: judge the answers.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from runoff.config import Config

__all__ = ["MachineFacts", "machine_facts"]


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """None where the system does not tell. adapter_folder: `adapter_path` as given, if it holds an adapter already."""

    memory_bytes: int | None
    free_disk_bytes: int | None
    adapter_folder: str | None = None
    adapter_files: tuple[str, ...] = ()


def machine_facts(config: Config | None, runs: Path = Path()) -> MachineFacts:
    """Look at this machine; `runs` is where the run folder will be."""
    given = next((given.value for given in config.given if given.key == "adapter_path"), None) if config else None
    files = sorted(path.name for path in Path(str(given)).glob("*.safetensors")) if given else []
    return MachineFacts(_memory(), _free_disk(runs), str(given) if files else None, tuple(files))


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def _free_disk(folder: Path) -> int | None:
    try:
        present = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        return shutil.disk_usage(present).free
    except OSError:
        return None
