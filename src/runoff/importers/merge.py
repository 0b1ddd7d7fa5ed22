"""One group of files becomes one record: tool and version, settings in force, counts, rows, findings.

Must not: read or write files, or know a format.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from runoff.data import RowSet
from runoff.importers.counts import Evidence, hugging_face_counts, mlx_counts
from runoff.importers.effective import Effective, Sources
from runoff.importers.facts import AdapterTensors, Clue, Facts, Told
from runoff.importers.group import Group, Item
from runoff.importers.pace import pace_counts
from runoff.importers.rows import Curve, merge_rows, row_findings
from runoff.importers.rules_hf import hugging_face_rules
from runoff.importers.rules_mlx_lm import around_the_update, believed, declared_names, mlx_lm_rules, peak_memory
from runoff.importers.shapes import shape_counts
from runoff.importers.tensors_hold import chosen_tensors, tensor_clues, tensors_hold, wrong_base
from runoff.importers.versions import Range, parse_version, range_of
from runoff.plan import Finding
from runoff.runs import MetricRow, PlanRecord, Value

__all__ = ["TOOLS", "Hand", "Merged", "merge"]

_MLX = ("mlx-lm", "mlx-lm-lora")
_HUGGING_FACE = ("llama-factory", "axolotl", "trl", "unsloth", "transformers", "peft")
TOOLS = (
    "mlx-lm-lora",
    "unsloth-mlx",
    "mlx-lm",
    "llama-factory",
    "axolotl",
    "unsloth",
    "trl",
    "torchtune",
    "litgpt",
    "nanochat",
    "transformers",
    "peft",
)
LOSSES = {
    "mlx-lm": "mlx-lm: training loss is the mean of the micro-batches' token means since the last report, while the "
    "weights move; validation loss is the mean over tokens, a pad token of each row included",
    "transformers": "Hugging Face Trainer: training loss is the mean, over the updates since the last report, of each "
    "one's mean over its tokens (before transformers 4.46: over its micro-batches); eval_loss is the mean over rows of "
    "the batches' token means",
}


@dataclass(frozen=True)
class Hand:
    """What a person gives: settings, counts and final metrics by --set, the rows of the folder that it names as data,
    and the tool by --tool."""

    settings: tuple[Told, ...] = ()
    counts: tuple[Told, ...] = ()
    rows: tuple[MetricRow, ...] = ()
    tool: str | None = None
    version: str | None = None
    data: Mapping[str, RowSet] = field(default_factory=dict)


@dataclass(frozen=True)
class Merged:
    """All that is remembered of one imported run."""

    name: str
    tool: str | None
    versions: Range
    evidence: tuple[str, ...]
    plan: PlanRecord
    rows: tuple[MetricRow, ...]
    loss_definition: str | None
    data: Mapping[str, RowSet] = field(default_factory=dict)

    @property
    def version(self) -> str | None:
        """One version or a range; None where nothing is known."""
        return None if self.versions == Range() else str(self.versions)


def merge(group: Group, hand: Hand) -> Merged:
    """Apply the rules to what the files tell."""
    facts = [item.facts for item in group.items]
    tensors = chosen_tensors(group.items)
    tool, versions, evidence = _tool(facts, hand, tensors)
    rows, findings = merge_rows([*_curves(group.items), Curve("--set", hand.rows, final=True)])
    rows = peak_memory(rows, versions) if tool == "mlx-lm" else rows
    effective = _rules(tool, _sources(facts, hand, rows), versions)
    findings = (*findings, *tensors_hold(effective, tensors))
    seen = Evidence(effective, versions, _told(facts, hand), tensors, rows, _finished(facts))
    counts = _counts(tool, seen)
    findings = (
        *effective.findings,
        *findings,
        *wrong_base(seen, counts),
        *_sampled(seen, counts),
        *_resumed(seen),
        *row_findings(rows, seen.whole("iters"), group.name),
        *_early_end(facts, seen, counts, group.name),
    )
    notes = (*group.notes, *effective.notes, *_notes(facts))
    settings = {key: _shown(value) for key, value in effective.settings.items()}
    plan = PlanRecord(settings, counts, _sorted(findings), notes)
    trainer = tool in _HUGGING_FACE and tool != "peft"  # an adapter folder alone may be of any loop
    loss = LOSSES.get(tool or "") or (LOSSES["transformers"] if trainer else None)
    has_loss = any(row.nats_per_target_token is not None for row in rows)
    return Merged(group.name, tool, versions, evidence, plan, rows, loss if has_loss else None, hand.data)


def _shown(value: Value) -> Value:
    return (
        value
        if value.value is not None or value.known
        else Value.unknown(value.origin.why or "not recorded", value.declared)
    )


def _sorted(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    order = {"error": 0, "warning": 1, "note": 2}
    return tuple(sorted(dict.fromkeys(findings), key=lambda finding: order[finding.level]))


def _tool(
    facts: Sequence[Facts], hand: Hand, tensors: AdapterTensors | None
) -> tuple[str | None, Range, tuple[str, ...]]:
    clues = list(dict.fromkeys(clue for each in facts for clue in each.clues))
    clues += tensor_clues(tensors, facts) if any(clue.tool == "mlx-lm" for clue in clues) else ()
    if hand.tool:
        return (
            hand.tool,
            range_of((clue for clue in clues if clue.tool == hand.tool), hand.version),
            ("given by --tool",),
        )
    found = {clue.tool for clue in clues}
    tool = next((name for name in TOOLS if name in found), None)
    if tool == "mlx-lm-lora":
        found.discard("mlx-lm")
    mine = [clue for clue in clues if clue.tool == tool]
    versions = range_of(mine)
    return tool, versions, tuple(_evidence(mine, versions))


def _evidence(clues: Sequence[Clue], versions: Range) -> Iterator[str]:
    """What names the tool, and what sets the two bounds; what these imply is left out."""
    for clue in clues:
        bounds = (("since", clue.since, versions.since), ("before", clue.before, versions.before))
        binding = [f"{word} {bound}" for word, bound, end in bounds if bound and parse_version(bound) == end]
        if binding or not (clue.since or clue.before):
            yield clue.why + (f" ({clue.tool} {', '.join(binding)})" if binding else "")


def _sources(facts: Sequence[Facts], hand: Hand, rows: Sequence[MetricRow]) -> Sources:
    def told(role: str) -> tuple[Told, ...]:
        return tuple(item for each in facts if each.role == role for item in each.settings)

    logs = [each for each in reversed(facts) if each.role == "log"]
    log = tuple(item for each in sorted(logs, key=_progress, reverse=True) for item in each.settings)
    return Sources(hand.settings, told("record"), log, told("asked"))


def _progress(facts: Facts) -> float:
    """How far a state of Trainer's has come; a text log goes before them, since it tells what its last part says."""
    return next((float(item.value) for item in facts.counts if item.key == "optimizer_updates"), math.inf)


def _notes(facts: Sequence[Facts]) -> Iterator[str]:
    """Of Trainer's states only the latest one's."""
    states = [each for each in facts if _progress(each) < math.inf]
    latest = max(states, key=_progress, default=None)
    yield from (note for each in facts if each is latest or each not in states for note in each.notes)


def _told(facts: Sequence[Facts], hand: Hand) -> Mapping[str, Told]:
    """By key; what a person gives goes before files, and a later state of a run before an earlier one."""
    told: dict[str, Told] = {}
    for item in (item for each in facts for item in each.counts):
        earlier = told.get(item.key)
        progress = item.key in ("optimizer_updates", "epochs")
        slack = (item.rounding or 0.0) + (earlier.rounding or 0.0) if earlier else 0.0
        further = earlier is None or not progress or item.value > earlier.value + slack
        exact = earlier is not None and earlier.rounding and not item.rounding and item.value >= earlier.value - slack
        if further or exact:
            told[item.key] = item
    return told | {item.key: item for item in hand.counts}


def _curves(items: Sequence[Item]) -> list[Curve]:
    """Exact files before printed ones before summaries; each kind in the order given. Saved adapters come last."""
    weight = {"trainer_state.json": 0, "log": 1}

    def key(item: Item) -> int:
        return 3 if item.facts.role == "summary" else weight.get(item.kind, 2)

    saved = [row for item in items if item.facts.role == "tensors" for row in item.facts.rows]
    saved.sort(key=lambda row: row.iteration or row.optimizer_updates or 0)
    rest = sorted((item for item in items if item.facts.role != "tensors"), key=key)
    curves = [Curve(item.source.name, item.facts.rows, final=item.facts.role == "summary") for item in rest]
    return [*curves, Curve("the adapter's files", tuple(saved))]


def _finished(facts: Sequence[Facts]) -> bool:
    logs = [each for each in facts if each.role == "log"]
    return any(each.finished for each in facts if each.role == "summary") or (
        bool(logs) and any(each.finished for each in logs)
    )


def _rules(tool: str | None, sources: Sources, versions: Range) -> Effective:
    if tool == "mlx-lm" or (tool is None and sources.record):
        result = mlx_lm_rules(sources, versions)
        result.settle(declared_names(), believed)
        return result
    if tool in _HUGGING_FACE or tool == "unsloth-mlx":
        return hugging_face_rules(sources, versions, str(tool))
    result = Effective(tool or "the tool", str(versions))
    why = f"what {tool} does with this key is not known here" if tool else "the tool is not known; name it with --tool"
    for key in sources.keys:
        told = sources.first(key)
        by_hand = told in sources.hand
        result.settings[key] = (
            result.choose(key, sources) or Value.unknown(why) if by_hand else Value.unknown(why, told.value)
        )
    return result


def _counts(tool: str | None, seen: Evidence) -> dict[str, Value]:
    in_updates = tool is None and any(row.optimizer_updates is not None for row in seen.rows)
    counts = hugging_face_counts(seen) if in_updates or tool not in (*_MLX, None) else mlx_counts(seen)
    iterations: int | None = counts["iterations"].value if counts["iterations"].known else None
    return counts | pace_counts(seen.rows, iterations) | shape_counts(seen)


def _sampled(seen: Evidence, counts: Mapping[str, Value]) -> list[Finding]:
    """A validation loss over a random part of the valid set."""
    rows, every, batch = counts["validation_rows"], seen.whole("val_batches"), seen.whole("batch_size")
    if every is None or batch is None or "drawn anew" not in (rows.origin.why or ""):
        return []
    place = seen.effective.settings["val_batches"].origin.place or f"val_batches {every}"
    of = counts["valid_rows"].value
    when = around_the_update(seen.versions)
    what = (
        f"Each validation loss is of {rows.value} of the {of} rows, drawn anew each time."
        if rows.known
        else f"Each validation loss is of {every * batch} rows at most; of more rows they are drawn anew each time."
    )
    return [Finding("I110", "note", place, what, f"It moves with the draw, and is taken {when}.")]


def _early_end(facts: Sequence[Facts], seen: Evidence, counts: Mapping[str, Value], name: str) -> Iterator[Finding]:
    """Fewer optimizer updates than were planned; `row_findings` says it of iterations."""
    planned = max((item.value for each in facts for item in each.settings if item.key == "max_steps"), default=0)
    done = counts["optimizer_updates"]
    if seen.finished or not done.known or not 0 < done.value < planned or any(row.iteration for row in seen.rows):
        return
    what = f"The files end at optimizer update {done.value} of {planned}."
    yield Finding("I108", "warning", done.origin.place or name, what, "Whether the run went on is not known.")


def _resumed(seen: Evidence) -> list[Finding]:
    """Weights that were trained before: the counts of this run are not all that made the adapter."""
    value = seen.effective.settings.get("resume_adapter_file")
    if value is None or not value.known or not value.value:
        return []
    what = f"The adapter starts from {value.value}, not from scratch."
    place = value.origin.place or "resume_adapter_file"
    return [Finding("I111", "note", place, what[:300], "What was trained before is in none of this run's counts.")]
