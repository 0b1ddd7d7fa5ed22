"""Who a new run is: command, packages, machine, revision, model, data. Must not: write it (training/api.py does)."""

from __future__ import annotations

import platform
import subprocess
from typing import Any

from runoff.plan import EncodedDataset, Plan
from runoff.runs import Identity, model_identity, timestamp
from runoff.version import __version__, command_line, installed_packages, machine_identity

__all__ = ["new_identity"]


def new_identity(name: str, plan: Plan, data: EncodedDataset, *, tokenizer_sha256: str, processes: int) -> Identity:
    """Of a run that starts now, in this process (or in so many), under this plan."""
    parts: dict[str, dict[str, Any]] = {
        split: {"place": facts.place, "rows": facts.rows, "sha256": facts.sha256, "sources": facts.sources}
        for split, facts in (("train", plan.data.train), ("valid", plan.data.valid))
        if facts is not None
    }
    if plan.data.test_rows is not None:
        parts["test"] = {"rows": plan.data.test_rows, "sha256": plan.data.test_sha256}
    parts["train"]["row_sha256"] = [row.sha256[:16] for row in data.rows.train.rows]
    return Identity(
        name=name,
        status="running",
        created=timestamp(),
        runoff_version=__version__,
        command=command_line(),
        packages=installed_packages(),
        python=platform.python_version(),
        machine=machine_identity(processes),
        git=_git(),
        model=model_identity(plan.model, plan.settings.model),
        tokenizer_sha256=tokenizer_sha256,
        data=parts,
    )


def _git() -> dict[str, Any] | None:
    """Revision of the folder the run was started in, and whether it was changed."""
    try:
        revision = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True)
        status = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return {"revision": revision.stdout.strip(), "dirty": bool(status.stdout.strip())}
