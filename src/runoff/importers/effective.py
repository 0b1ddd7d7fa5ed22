"""From what the files declare to what took effect: the part that every tool's rules share.

Owns: which source goes before which, disagreements, ignored keys, findings. Must not: know a tool.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from runoff.config import Origin
from runoff.importers.facts import Told
from runoff.plan import Finding
from runoff.runs import Value

__all__ = ["Effective", "Sources", "is_number", "same"]


def same(one: Any, other: Any) -> bool:
    """Equal as settings: 1e-5 read as text equals the number."""
    if one == other:
        return True
    try:
        return float(one) == float(other)
    except (TypeError, ValueError, OverflowError):
        return False


@dataclass(frozen=True)
class Sources:
    """What is told about one run's settings, by the weight of the source: by hand, record, log, asked."""

    hand: tuple[Told, ...] = ()
    record: tuple[Told, ...] = ()
    log: tuple[Told, ...] = ()
    asked: tuple[Told, ...] = ()

    @property
    def ordered(self) -> tuple[tuple[Told, ...], ...]:
        """The one that holds first."""
        return (self.hand, self.record, self.log, self.asked)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Distinct, in the order of the files (as their owner wrote them first)."""
        return tuple(dict.fromkeys(item.key for group in reversed(self.ordered) for item in group))

    def first(self, key: str) -> Told:
        """The place where the owner wrote a key, else where the tool did."""
        return next(item for group in reversed(self.ordered) for item in group if item.key == key)

    @property
    def has_record(self) -> bool:
        """The tool's own list of all its arguments is there."""
        return len(self.record) > 6

    @property
    def complete(self) -> bool:
        """A configuration is there, so what it does not name is a default."""
        return self.has_record or bool(self.asked)

    def record_has(self, key: str) -> bool:
        """The tool wrote it."""
        return any(item.key == key for item in self.record)

    def renamed(self, names: Mapping[str, str]) -> Sources:
        """Keys in today's spelling."""

        def rename(group: tuple[Told, ...]) -> tuple[Told, ...]:
            return tuple(replace(item, key=names.get(item.key, item.key)) for item in group)

        return Sources(*map(rename, self.ordered)) if names else self


@dataclass(slots=True)
class Effective:
    """The outcome of a tool's rules, while it is built."""

    tool: str
    version: str
    settings: dict[str, Value] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    pending: list[tuple[Told, str]] = field(default_factory=list)

    def note(
        self, code: str, level: Literal["error", "warning", "note"], place: str, what: str, why: str, fix: str = ""
    ) -> None:
        """One finding."""
        self.findings.append(Finding(code, level, place, what, why, fix))

    def ignored(self, told: Told, instead: str = "") -> None:
        """A key that the tool never reads."""
        self.pending.append((told, instead))

    def choose(self, key: str, sources: Sources) -> Value | None:
        """The value of the weightiest source; where a lesser one says otherwise, both are shown."""
        told = [item for group in sources.ordered for item in group if item.key == key]
        if not told:
            return None
        holds = told[0]
        other = next((item for item in told[1:] if not _agree(item, holds)), None)
        by_hand = holds in sources.hand
        if other is None:
            why = "given by hand" if by_hand else None
            if not by_hand and holds in sources.asked and not sources.has_record:
                why = "as the YAML asks; a command-line option would have gone before it"
            exact = next((item for item in told if item.rounding is None), holds)
            return Value(exact.value, Origin("imported", exact.place, why))
        reason = "given by hand" if by_hand else _why(holds, other, sources)
        self.note(
            "I102",
            "note" if by_hand or (holds in sources.log and other in sources.log) else "warning",
            other.place,
            f"{key} is {other.value!r} here, but {holds.value!r} in {holds.place}.",
            f"{holds.value!r} holds: {reason}.",
        )
        return Value(holds.value, Origin("imported", holds.place, reason), other.value)

    def settle(self, names: Mapping[str, str], believed: Callable[[Told, Effective], Any]) -> None:
        """Turn the ignored keys into findings that say what holds instead, and into the declared column."""
        for told, instead in self.pending:
            key = names.get(told.key, told.key)
            value = self.settings.get(key)
            if value is None:
                holds = instead or "nothing changes by it"
                level: Literal["warning", "note"] = "note"
            else:
                wanted = believed(told, self)
                level = "note" if same(wanted, value.value) or told.value in (None, False) else "warning"
                if level == "warning" and value.declared is None:
                    self.settings[key] = Value(value.value, value.origin, wanted)
                holds = instead or self._in_force(key, value)
                holds += (
                    ", the same, but not by this key" if level == "note" and told.value not in (None, False) else ""
                )
            what = f"{self.tool} does not read {told.key}: {told.value!r}"[:300]
            self.note("I101", level, told.place, f"{what} here.", f"In force: {holds}.")
        self.pending.clear()

    def _in_force(self, key: str, value: Value) -> str:
        place = f" ({value.origin.place})" if value.origin.place else ""
        if not value.known:
            return f"{key} unknown ({value.origin.why})"
        rank = self.settings.get("lora_parameters.rank")
        if (
            key == "lora_parameters.scale"
            and rank is not None
            and isinstance(rank.value, int)
            and is_number(value.value)
        ):
            return f"{key} {value.value!r}{place}, which at rank {rank.value} is alpha {value.value * rank.value:g}"
        return f"{key} {value.value!r}{place}"


def is_number(value: Any) -> bool:
    """True and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _agree(one: Told, other: Told) -> bool:
    """A printed value agrees with an exact one within its rounding."""
    slack = max(one.rounding or 0.0, other.rounding or 0.0)
    if slack and isinstance(one.value, int | float) and isinstance(other.value, int | float):
        return abs(one.value - other.value) <= slack * 1.001
    return same(one.value, other.value)


def _why(holds: Told, other: Told, sources: Sources) -> str:
    if holds in sources.record and other in sources.log:
        return "it is of the adapter in this folder, so the log is of another run into the same folder"
    if holds in sources.record and other in sources.record:
        return "it was read first; these files may be of two runs"
    if holds in sources.log and other in sources.log:
        return "it is of the run's latest part"
    if holds in sources.record:
        return "the tool writes adapter_config.json as that very run starts, while a YAML may be edited later"
    return "the log prints it as that very run starts"
