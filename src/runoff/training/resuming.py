"""Whether a run may go on, and with what changed.

Owns: what must be as it was, what may change, and the sentence for the rest. Must not: write anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from runoff.config import Origin, Settings
from runoff.errors import RunError
from runoff.plan import learning_rate
from runoff.runs import Identity, PlanRecord, Run, Value, timestamp

__all__ = ["Change", "check_resume", "gone_on", "processes_sentence", "schedule_sentence"]

_LENGTH = frozenset({"iters", "epochs"})
_FREE = frozenset({"on_bad_loss", "processes"})
"""May change at any resume: what is done with a bad update changes no good one, and any number of processes pass the
same rows. It is no setting of the file, but is held against the record like one."""


@dataclass(frozen=True, slots=True)
class Change:
    """A setting that is not what the run was started with."""

    key: str
    then: Any
    now: Any

    def __str__(self) -> str:
        """For the sentence that refuses it."""
        then, now = ("unset" if value is None else value for value in (self.then, self.now))
        return f"{self.key} ({then} then, {now} now)"


def check_resume(run: Run, identity: Identity, plan: PlanRecord, *, extend: bool) -> tuple[Change, ...]:
    """What changes when this run goes on under that identity and plan; usually nothing.

    Raises:
        RunError: it is finished, or settings, data or model are not what it was started with.
    """
    path, wanted = run.folder.path, "extended" if extend else "resumed"
    changes = tuple(_changed_settings(_settings_then(run), {**plan.settings, **_processes(identity)}))
    may_change = _FREE | _LENGTH if extend else _FREE
    refused = [str(change) for change in changes if change.key not in may_change]
    refused += _other_material(run.identity, identity)
    if refused:
        stays = " The schedule of a run stays what its first updates followed." if _of_schedule(refused) else ""
        longer = not extend and all(text.partition(" ")[0] in _LENGTH for text in refused)
        cure = "Train it longer with --extend" if longer else "Put them back, or start a new run under another --name"
        raise RunError(
            f"{path}: can't be {wanted}, since it was started with other values: {', '.join(refused)}.{stays} {cure}."
        )
    if extend:
        _check_longer(run, plan)
    elif run.identity.status == "finished":
        _check_not_stopped_early(run, wanted)
        raise RunError(
            f"{path}: this run is finished. Train it longer with --extend, or start a new one under another --name."
        )
    return changes


def gone_on(identity: Identity, changes: tuple[Change, ...], iteration: int) -> Identity:
    """The record of a run that goes on from an iteration."""
    when = timestamp()
    entries = [{**asdict(change), "iteration": iteration, "when": when} for change in changes]
    return identity.model_copy(update={"ended": None, "result": {}, "changed": [*identity.changed, *entries]})


def schedule_sentence(settings: Settings, updates_done: int, updates: int) -> str:
    """What the learning rate does in the updates that were added; empty without a schedule."""
    if settings.lr_schedule is None:
        return ""
    first, last = learning_rate(settings, updates_done), learning_rate(settings, updates - 1)
    return (
        f"lr_schedule is not stretched to the new length: update {updates_done + 1} has the rate {first:g} and the "
        f"last, update {updates}, {last:g}."
    )


def processes_sentence(changes: tuple[Change, ...], settings: Settings) -> str:
    """What another number of processes changes; empty if it is the same."""
    change = next((change for change in changes if change.key == "processes"), None)
    if change is None:
        return ""
    start = f"Processes: {change.then} before, {change.now} from here on."
    if settings.lora_parameters.dropout:
        return f"{start} Each draws its own dropout, so this is not the run that it would have been."
    return f"{start} The same rows make each update: only the order of additions, and so the last digits, differ."


def _check_longer(run: Run, plan: PlanRecord) -> None:
    _check_not_stopped_early(run, "extended")
    then, now = _settings_then(run)["iters"].value, plan.settings["iters"].value
    if now < then or (now == then and run.identity.status == "finished"):
        raise RunError(
            f"{run.folder.path}: --extend trains longer, but iters is {now} and was {then}. Set a larger iters."
        )


def _check_not_stopped_early(run: Run, wanted: str) -> None:
    reason = str(run.identity.result.get("reason", ""))
    if reason.startswith("early stop"):
        raise RunError(
            f"{run.folder.path}: can't be {wanted}: {reason}, so more iterations would change nothing. Start a new "
            "run with a larger early_stopping.patience."
        )


def _of_schedule(refused: list[str]) -> bool:
    return any(text.startswith("lr_schedule") for text in refused)


def _other_material(then: Identity, now: Identity) -> list[str]:
    return [
        what
        for what, old, new in (
            ("the model's weights", then.model.get("sha256"), now.model["sha256"]),
            ("the tokenizer or chat template", then.tokenizer_sha256, now.tokenizer_sha256),
            *((f"the {part} rows", _rows_sha256(then, part), _rows_sha256(now, part)) for part in ("train", "valid")),
        )
        if old != new
    ]


def _settings_then(run: Run) -> dict[str, Value]:
    """As planned, with what had changed already, even if that was killed before it rewrote the plan."""
    changed = {entry["key"]: Value(entry["now"], Origin("derived")) for entry in run.identity.changed}
    return {**run.plan.settings, **_processes(run.identity), **changed}


def _processes(identity: Identity) -> dict[str, Value]:
    return {"processes": Value(identity.machine.get("processes", 1), Origin("derived"))}


def _changed_settings(then: Mapping[str, Value], now: Mapping[str, Value]) -> Iterator[Change]:
    for key in dict.fromkeys([*then, *now]):
        old, new = then.get(key), now.get(key)
        if old is None and new is not None and new.origin.kind == "default":
            continue  # a setting that the older Runoff did not have, or whose parts were given one by one
        values = [None if value is None else value.value for value in (old, new)]
        if values[0] != values[1]:
            yield Change(key, *values)


def _rows_sha256(identity: Identity, part: str) -> Any:
    return (identity.data.get(part) or {}).get("sha256")
