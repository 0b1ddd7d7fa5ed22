"""One loaded base with the adapters of several runs on it.

Owns: finding the base, loading it once and only when something has to be computed. Must not: decide what is computed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runoff.engines import Base, Engine, open_base
from runoff.engines.adapters import read_adapter
from runoff.errors import RunError
from runoff.models import get_model
from runoff.plan import ModelFacts, read_model_facts
from runoff.runs import Run, RunFolder, trunk_folder

__all__ = ["Session", "adapter_sha256", "common_base"]

TRUNK_BUDGET_BYTES = 4 * 1024**3


@dataclass
class Session:
    """Runs on one base. `base` is loaded at the first use."""

    runs: Sequence[Run]
    model: ModelFacts
    say: Callable[[str], None]
    base: Base | None = None
    _engines: dict[str, Engine] = field(default_factory=dict)

    def loaded(self) -> Base:
        """The base, with every run's adapter attached and the trunk below all of them kept."""
        if not self._engines:
            adapters = {run.name: read_adapter(_adapter_folder(run), self.model) for run in self.runs}
            settings = self.runs[0].plan.settings
            self.base = self.base or open_base(
                self.model.folder, engine=_value(settings, "engine"), dtype=_value(settings, "dtype")
            )
            for name, (spec, parameters) in adapters.items():
                self._engines[name] = self.base.attach(spec)
                self._engines[name].set_parameters(parameters)
            self._engines[""] = self.base.attach(None)
            lowest = min(spec.lowest_block for spec, _ in adapters.values())
            facts, root = self.base.facts, self.runs[0].folder.path.parent
            folder = trunk_folder(root, self.model.sha256, facts.trunk_name, facts.dtype, lowest)
            self.say(self.base.share_trunk(lowest, budget_bytes=TRUNK_BUDGET_BYTES, folder=folder))
        if self.base is None:
            raise RuntimeError("a session without a base has engines")
        return self.base

    def engine(self, run: Run | None) -> Engine:
        """The engine of a run, or of the bare base."""
        self.loaded()
        return self._engines[run.name if run else ""]


def common_base(runs: Sequence[Run], say: Callable[[str], None]) -> ModelFacts:
    """The base that all runs were trained on.

    Raises:
        RunError: they were trained on different ones, or the one at hand is another.
    """
    called = [run.name for run in runs]
    for name in called:
        if name in ("base", "author"):
            raise RunError(
                f"{name}: a run of this name can't be told from the {name} itself. Rename its folder and run.json."
            )
        if called.count(name) > 1:
            raise RunError(f"two runs are called {name}. Evaluate them one by one.")
    names = {str(run.identity.model.get("sha256")): run.name for run in runs}
    if len(names) > 1:
        raise RunError(
            f"{' and '.join(names.values())} were trained on different base models, so they can't be scored in one "
            "pass. Evaluate them one by one."
        )
    model = runs[0].identity.model
    folder = Path(str(model.get("folder", "")))
    facts = read_model_facts(folder if folder.is_dir() else get_model(str(model.get("name")), progress=say))
    if model.get("sha256") not in (None, facts.sha256):
        raise RunError(
            f"{runs[0].name}: was trained on another {model.get('name')} than the one in {facts.folder} "
            "(the weights differ). Point to the base it was trained on."
        )
    return facts


def adapter_sha256(folder: RunFolder) -> str:
    """Identity of an adapter folder's files: an evaluation holds only for the adapter it was made with."""
    digest = hashlib.sha256()
    for path in sorted(folder.adapter.glob("*")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _adapter_folder(run: Run) -> Path:
    if not run.folder.has_adapter:
        raise RunError(
            f"{run.name}: has no adapter, so it can't be scored. Train it, or import its adapter folder beside its log."
        )
    return run.folder.adapter


def _value(settings: Any, key: str) -> str:
    return str(settings[key].value) if key in settings and settings[key].value else "auto"
