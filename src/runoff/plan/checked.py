"""What `runoff check` answers: settings as they take effect, counts, findings, and what could not be looked at.

Owns: the noun, its tables as plain data and its JSON form. Must not: read files or print.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runoff.config import Reading
from runoff.plan.adapter import LoraSpec
from runoff.plan.draft import Draft, Facts
from runoff.plan.effective import effective_settings
from runoff.plan.findings import FINDINGS, OF_A_TOOL, OF_ROWS, Looked, look
from runoff.plan.gather import gather, gather_rows
from runoff.plan.unknown import Unknown
from runoff.words import count_of

__all__ = ["Checked", "CountRow", "SettingRow", "check_config", "check_data"]


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting as it takes effect, and where it comes from."""

    key: str
    value: Any
    origin: str


@dataclass(frozen=True, slots=True)
class CountRow:
    """One number and how it comes about; `value` is None where it can't be known, and `how` then says why."""

    name: str
    value: Any
    how: str = ""


@dataclass(frozen=True)
class Checked:
    """The answer for one configuration, or for a data folder alone."""

    name: str
    facts: Facts
    looked: Looked

    @property
    def failed(self) -> bool:
        """Whether a finding is an error."""
        return any(finding.level == "error" for finding in self.looked.findings)

    def settings(self) -> tuple[SettingRow, ...]:
        """Every setting as it takes effect, in the named tool if there is one."""
        facts = self.facts
        if not isinstance(facts.tool, Unknown):
            return tuple(SettingRow(row.key, row.value, row.why) for row in facts.tool.settings)
        if isinstance(facts.config, Unknown):
            return ()
        return tuple(SettingRow(row.key, row.value, str(row.origin)) for row in effective_settings(facts.config))

    def counts(self) -> tuple[CountRow, ...]:
        """The run's arithmetic, in the named tool if there is one."""
        tool = self.facts.tool
        if not isinstance(tool, Unknown):
            return tuple(CountRow(row.key, row.value, row.why) for row in (*tool.counts, *tool.notes))
        return tuple(_counts(self.facts))

    def to_json(self) -> dict[str, Any]:
        """Plain data; a count that can't be known is null, with the reason in `how`."""
        return {
            "name": self.name,
            "settings": [asdict(row) for row in self.settings()],
            "counts": [asdict(row) for row in self.counts()],
            "findings": [asdict(finding) for finding in self.looked.findings],
            "not_made": [asdict(checks) for checks in self.looked.not_made],
        }


def check_config(reading: Reading, name: str, model_folder: Path | Unknown, *, tool: str | None = None) -> Checked:
    """Check one configuration; with a tool, say what that tool does with it instead.

    Raises:
        ConfigError: no rules for the tool.
    """
    facts = gather(reading, model_folder, tool=tool)
    runoffs = tuple(check for check in FINDINGS if check not in OF_A_TOOL)
    return Checked(name, facts, look(Draft(facts), (*OF_A_TOOL, *OF_ROWS) if tool else runoffs))


def check_data(folder: Path) -> Checked:
    """Check the rows of a data folder.

    Raises:
        DataError: it has none of the three files.
    """
    facts = gather_rows(folder)
    return Checked(str(folder), facts, look(Draft(facts), OF_ROWS))


def _counts(facts: Facts) -> Iterator[CountRow]:
    yield from _row_counts(facts)
    if isinstance(facts.config, Unknown):
        return
    yield from _length_counts(facts)
    yield from _token_counts(facts)
    yield from _adapter_counts(facts)


def _row_counts(facts: Facts) -> Iterator[CountRow]:
    if isinstance(facts.rows, Unknown):
        if not isinstance(facts.config, Unknown):
            yield CountRow("rows", None, facts.rows.why)
        return
    for split in facts.rows.splits:
        sources = count_of(len(split.sources), "source") if split.sources else "no sources named"
        yield CountRow(f"{split.name} rows", split.rows, sources)
    yield CountRow("rows that repeat another", len(facts.rows.equal), "word for word")
    yield CountRow("pairs of near-duplicates", len(facts.rows.near), "70 % of their three-word sequences, or more")


def _length_counts(facts: Facts) -> Iterator[CountRow]:
    pace, length = facts.pace, facts.length
    if isinstance(pace, Unknown):
        yield CountRow("iterations", None, pace.why)
        return
    yield CountRow("iterations", pace.iterations)
    yield CountRow("optimizer updates", pace.optimizer_updates, f"of {pace.effective_batch_rows} rows")
    rates = f"{pace.first_learning_rate:g} at the first update, {pace.last_learning_rate:g} at the last"
    yield CountRow("sum of learning rates", float(f"{pace.learning_rate_sum:.6g}"), rates)
    yield CountRow("checkpoints", pace.checkpoints)
    if isinstance(length, Unknown):
        yield CountRow("epochs", None, length.why)
        return
    yield CountRow("epochs", round(length.epochs, 3), f"{length.iterations_per_epoch} iterations each")
    yield CountRow("validations", length.validations, f"of {length.validation_rows} rows")


def _token_counts(facts: Facts) -> Iterator[CountRow]:
    if isinstance(facts.data, Unknown):
        yield CountRow("tokens", None, facts.data.why)
        return
    train = facts.data.train
    yield CountRow("target tokens per epoch", train.target_tokens, f"of {train.tokens:,} tokens")
    yield CountRow("longest training row", train.longest_tokens, "tokens")
    yield CountRow("training rows cut", len(train.rows_cut), f"{train.tokens_cut:,} tokens lost")


def _adapter_counts(facts: Facts) -> Iterator[CountRow]:
    if isinstance(facts.adapter, Unknown) or isinstance(facts.model, Unknown):
        why = facts.adapter.why if isinstance(facts.adapter, Unknown) else ""
        yield CountRow("trainable parameters", None, why)
        return
    adapter, model = facts.adapter, facts.model
    share = f"{adapter.trainable_parameters / model.parameters:.3%} of {model.parameters:,}"
    yield CountRow("trainable parameters", adapter.trainable_parameters, share)
    yield CountRow("adapted blocks", len(adapter.blocks), f"of {model.blocks}")
    if isinstance(adapter, LoraSpec):
        yield CountRow("scale", adapter.scale, f"alpha {adapter.alpha:g} at rank {adapter.rank}")
    if isinstance(facts.memory, Unknown):
        yield CountRow("memory", None, facts.memory.why)
        return
    for part in facts.memory:
        yield CountRow(f"memory: {part.name}", part.bytes, part.how)
