"""One loaded base with the adapters of several runs on it.

Owns: which runs can be measured together (the others are named and left out, and the rest go on), finding the base,
loading it once and only when something has to be computed. Must not: decide what is computed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from runoff.data import Tokenizer, load_tokenizer
from runoff.engines import Base, Engine, Vector, open_base
from runoff.engines.adapters.folders import read_adapter
from runoff.errors import ModelError, RunError, RunoffError
from runoff.models import recorded_model
from runoff.plan import AdapterSpec, ModelFacts, read_model_facts
from runoff.runs import Run, RunFolder, trunk_folder

__all__ = ["Session", "adapter_sha256", "open_session"]

TRUNK_BUDGET_BYTES = 4 * 1024**3
RESERVED = ("base", "author")


@dataclass
class Session:
    """Runs on one base. `base` is loaded at the first use; `refused`: why runs were left out."""

    runs: list[Run]
    model: ModelFacts
    tokenizer: Tokenizer
    say: Callable[[str], None]
    base: Base | None = None
    adapters: dict[str, tuple[AdapterSpec, Vector]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    _engines: dict[str, Engine] = field(default_factory=dict)

    def refuse(self, run: Run, reason: str) -> None:
        """Leave a run out and say why.

        Raises:
            RunError: it was the last one.
        """
        self.runs = [one for one in self.runs if one is not run]
        self.refused.append(reason)
        if not self.runs:
            raise RunError(" ".join(self.refused))
        self.say(f"{reason} The other runs go on.")

    def loaded(self) -> Base:
        """The base, with every run's adapter attached and the trunk below all of them kept.

        Raises:
            RunError: the engine can put none of the adapters on this base.
        """
        if not self._engines:
            settings = self.runs[0].plan.settings
            self.base = self.base or open_base(
                self.model.folder, engine=_value(settings, "engine"), dtype=_value(settings, "dtype")
            )
            for note in self.base.facts.notes:
                self.say(note)
            self._attach(self.base)
            self._engines[""] = self.base.attach(None)
            lowest = min(self.adapters[run.name][0].lowest_block for run in self.runs)
            facts, root = self.base.facts, self.runs[0].folder.path.parent
            folder = trunk_folder(root, self.model.sha256, facts.trunk_name, facts.dtype, lowest)
            self.say(self.base.share_trunk(lowest, budget_bytes=TRUNK_BUDGET_BYTES, folder=folder))
        if self.base is None:
            raise RuntimeError("a session without a base has engines")
        return self.base

    def _attach(self, base: Base) -> None:
        for run in tuple(self.runs):
            spec, parameters = self.adapters[run.name]
            try:
                engine = base.attach(spec)
                engine.set_parameters(parameters)
            except RunoffError as error:
                self.refuse(run, f"{run.name}: is left out, since its adapter can't be put on the base ({error}).")
            else:
                self._engines[run.name] = engine

    def engine(self, run: Run | None) -> Engine:
        """The engine of a run, or of the bare base."""
        self.loaded()
        return self._engines[run.name if run else ""]


def open_session(runs: Sequence[Run], say: Callable[[str], None], base: Base | None = None) -> Session:
    """Those of the runs that can be measured together, on the base of the first one that names its own.

    A run is left out, and said so, where it has no adapter, an adapter that can't be read or holds nan, another base,
    or another tokenizer or template than the base at hand: it would be asked in a form that it never saw.

    Raises:
        RunError: no run is left, with each one's reason.
        ModelError: the base can't be found.
    """
    lead = next((run for run in runs if run.identity.model.get("sha256")), runs[0])
    model = _base_of(lead, say)
    session = Session([], model, load_tokenizer(model.folder), say, base)
    for run in runs:
        reason = next(_reasons(session, run, lead), None)
        if reason is None:
            session.runs.append(run)
        else:
            session.refused.append(reason)
    if not session.runs:
        raise RunError(" ".join(session.refused))
    for reason in session.refused:
        say(f"{reason} The other runs go on.")
    for note in (note for run in session.runs for note in _taken_on_trust(run, lead)):
        say(note)
    return session


def _reasons(session: Session, run: Run, lead: Run) -> Iterator[str]:
    """Why a run can't be measured here, the first reason first; without any its adapter is kept."""
    name, sha256 = run.name, run.identity.model.get("sha256")
    if name in RESERVED:
        yield f"{name}: a run of this name can't be told from the {name} itself. Rename its folder and run.json."
    if name in (one.name for one in session.runs):
        yield f"{name}: two runs are called so; only the first is measured. Evaluate them one by one."
    if sha256 not in (None, session.model.sha256):
        yield (
            f"{name}: was trained on another {run.identity.model.get('name')} than the one in {session.model.folder} "
            "(the weights differ). Point to the base it was trained on."
            if run is lead
            else f"{name}: is left out, since it was trained on another base than {lead.name}. Evaluate it by itself."
        )
    if run.identity.tokenizer_sha256 not in (None, session.tokenizer.sha256):
        yield (
            f"{name}: was trained with another tokenizer or chat template than {session.model.folder} has now, so its "
            "prompts here would not be those that it was trained on. It is left out. Put the old files back."
        )
    if not run.folder.has_adapter:
        yield f"{name}: has no adapter, so it can't be scored. Train it, or import its adapter folder beside its log."
    try:
        session.adapters[name] = read_adapter(run.folder.adapter, session.model)
    except RunoffError as error:
        yield f"{name}: is left out, since its adapter can't be used. {error}"


def _taken_on_trust(run: Run, lead: Run) -> Iterator[str]:
    """What the record does not say, and what is taken to be so."""
    if run.identity.model.get("sha256") is None:
        yield (
            f"{run.name}: its record has no hash of its base. That it belongs on {lead.identity.model.get('name')} is "
            "taken from the shapes of its tensors."
        )
    if run.identity.tokenizer_sha256 is None:
        yield (
            f"{run.name}: its record does not say with which chat template it was trained. It is asked with the base's."
        )


def _base_of(run: Run, say: Callable[[str], None]) -> ModelFacts:
    try:
        return read_model_facts(recorded_model(run.identity.model, progress=say))
    except ModelError as error:
        raise ModelError(f"{run.name}: its base can't be had. {error}") from None


def adapter_sha256(folder: RunFolder) -> str:
    """Identity of an adapter folder's files: an evaluation holds only for the adapter it was made with."""
    digest = hashlib.sha256()
    for path in sorted(folder.adapter.glob("*")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _value(settings: Any, key: str) -> str:
    return str(settings[key].value) if key in settings and settings[key].value else "auto"
