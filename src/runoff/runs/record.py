"""A run as it is remembered: identity, settings and counts with their origins, metric rows.

Owns: the record's nouns and their JSON form (docs/record-format.md). Must not: know file names (runs/folder.py does) or
any engine. Unknown is `Value(None, Origin("unknown", why=...))`, never a default and never 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

from runoff.config import Origin
from runoff.plan import Finding, LoraSpec, ModelFacts, Plan

__all__ = [
    "SCHEMA_VERSION",
    "Identity",
    "MetricRow",
    "PlanRecord",
    "Status",
    "Value",
    "model_identity",
    "plan_record",
    "timestamp",
]

SCHEMA_VERSION = 1

Status = Literal["running", "finished", "interrupted", "failed", "imported"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


class Identity(_Record):
    """run.json: who this run is and what it was made with. Times are ISO 8601, UTC."""

    schema_version: int = SCHEMA_VERSION
    name: str
    status: Status
    created: str
    ended: str | None = None
    runoff_version: str
    command: str | None = None
    engine: dict[str, Any] | None = None
    packages: dict[str, str] = {}
    python: str | None = None
    machine: dict[str, Any] = {}
    git: dict[str, Any] | None = None
    model: dict[str, Any] = {}
    tokenizer_sha256: str | None = None
    data: dict[str, Any] = {}
    result: dict[str, Any] = {}
    changed: list[dict[str, Any]] = []
    """Settings that changed when the run was taken up again: key, then, now, iteration, when."""
    imported: dict[str, Any] | None = None
    files: dict[str, str] = {}
    """sha256 of the record's own files when the run had ended; empty while it runs."""


@dataclass(frozen=True, slots=True)
class Value:
    """One remembered value, where it came from, and what the file said where that differs (`declared`)."""

    value: Any
    origin: Origin
    declared: Any = None

    @property
    def known(self) -> bool:
        """False where the record can't tell."""
        return self.origin.kind != "unknown"

    @classmethod
    def unknown(cls, why: str, declared: Any = None) -> Self:
        """A value that the files do not hold."""
        return cls(None, Origin("unknown", why=why), declared)

    def to_json(self) -> dict[str, Any]:
        """Only what is set."""
        body: dict[str, Any] = {"value": self.value, "origin": self.origin.kind}
        extra = {"place": self.origin.place, "why": self.origin.why, "declared": self.declared}
        return body | {key: value for key, value in extra.items() if value is not None}

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`.

        Raises:
            KeyError: it has no value or no origin.
            TypeError: its origin is no text.
        """
        origin = Origin(body["origin"], body.get("place"), body.get("why"))
        if not (type(origin.kind) is str and type(origin.place) in _TEXT and type(origin.why) in _TEXT):
            raise TypeError(f"an origin is {origin!r:.200}")
        return cls(body["value"], origin, body.get("declared"))


@dataclass(frozen=True)
class PlanRecord:
    """plan.json: settings and counts as they took effect, and the findings."""

    settings: Mapping[str, Value]
    counts: Mapping[str, Value]
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "schema_version": SCHEMA_VERSION,
            "settings": {key: value.to_json() for key, value in self.settings.items()},
            "counts": {key: value.to_json() for key, value in self.counts.items()},
            "findings": [asdict(finding) for finding in self.findings],
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(
            {key: Value.from_json(value) for key, value in body["settings"].items()},
            {key: Value.from_json(value) for key, value in body["counts"].items()},
            tuple(_finding(finding) for finding in body.get("findings", ())),
            tuple(body.get("notes", ())),
        )


def _finding(body: Mapping[str, Any]) -> Finding:
    odd = next((key for key, value in body.items() if not isinstance(value, str)), None)
    if odd is not None:
        raise TypeError(f"a finding's {odd} is {body[odd]!r:.80}")
    return Finding(**body)


def plan_record(plan: Plan) -> PlanRecord:
    """What a plan leaves behind."""
    adapter, model, counts = plan.adapter, plan.model, plan.counts
    derived = {
        **asdict(counts),
        "blocks": model.blocks,
        "adapted_blocks": len(adapter.blocks),
        "lowest_adapted_block": adapter.lowest_block,
        "adapted_layers": ", ".join(adapter.keys),
        "trainable_parameters": adapter.trainable_parameters,
        "base_parameters": model.parameters,
        **({"scale": adapter.scale, "alpha": adapter.alpha} if isinstance(adapter, LoraSpec) else {}),
        "train_rows": plan.data.train.rows,
        "train_rows_cut": len(plan.data.train.rows_cut),
        "train_rows_without_target": len(plan.data.train.rows_without_target),
        "valid_rows": plan.data.valid.rows if plan.data.valid else 0,
        "longest_row_tokens": plan.data.train.longest_tokens,
        "target_tokens_planned": round(counts.epochs * counts.target_tokens_per_epoch),
    }
    return PlanRecord(
        settings={row.key: Value(_plain(row.value), row.origin) for row in plan.effective},
        counts={key: Value(value, Origin("derived")) for key, value in derived.items()},
        findings=plan.findings,
        notes=tuple(str(note) for note in plan.config.notes),
    )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One row of metrics.jsonl. What a tool did not write is None.

    nats_per_target_token: the tool's own loss; its averaging is the tool's (see `loss_definition` in run.json).
    low, high: of a validation's loss, 95 % over its sources; `text` then compares it with the one before.
    target_tokens: trained up to here. rounding: half-widths of rounded values, by field.
    others: what else a tool reports, under a name with its unit where that is known, else under the tool's own.
    """

    kind: Literal["train", "validation", "checkpoint", "event", "alarm"]
    iteration: int | None = None
    optimizer_updates: int | None = None
    epoch: float | None = None
    nats_per_target_token: float | None = None
    target_tokens: int | None = None
    learning_rate: float | None = None
    gradient_norm: float | None = None
    tokens_per_second: float | None = None
    iterations_per_second: float | None = None
    peak_memory_bytes: int | None = None
    seconds: float | None = None
    rows: int | None = None
    text: str | None = None
    place: str | None = None
    segment: int = 0
    low: float | None = None
    high: float | None = None
    rounding: Mapping[str, float] = field(default_factory=dict)
    others: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Only what is known."""
        body = {name: getattr(self, name) for name in self.__slots__}
        return {
            key: value
            for key, value in body.items()
            if value is not None and value != {} and (key, value) != ("segment", 0)
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; fields of newer versions are passed over, nan and inf come by name.

        Raises:
            TypeError: it has no kind, or a text where a number belongs.
        """
        if not body.keys() <= _METRIC_FIELDS:
            body = {key: value for key, value in body.items() if key in _METRIC_FIELDS}
        named = {
            key: _NAMED[value]
            for key, value in body.items()
            if key != "text" and type(value) is str and value in _NAMED
        }
        for key, value in body.items():
            if type(value) not in _KINDS.get(key, _NUMERIC) and key not in named:
                raise TypeError(f"{key} is {value!r:.80}")
        return cls(**{**body, **named} if named else body)


_METRIC_FIELDS = frozenset(MetricRow.__slots__)
_NUMERIC: frozenset[type] = frozenset({int, float, type(None)})
_TEXT: frozenset[type] = frozenset({str, type(None)})
_KINDS: Mapping[str, frozenset[type]] = {
    **dict.fromkeys(("kind", "text", "place"), _TEXT),
    **dict.fromkeys(("rounding", "others"), frozenset({dict})),
}
"""What a field of a metric row may be, where it is no number."""
_NAMED = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def model_identity(model: ModelFacts, name: str) -> dict[str, Any]:
    """What a record says of its base, which was asked for by this name."""
    return {"name": name, "folder": str(model.folder), "sha256": model.sha256, "type": model.model_type}


def timestamp() -> str:
    """Now, as records write it: UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
