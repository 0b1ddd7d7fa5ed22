"""What is known before a run: every part a fact, or the reason why it can't be had.

Owns: `Facts` (what there is) and `Draft` (how a check reaches it). Must not: gather anything.
"""

from __future__ import annotations

from dataclasses import dataclass

from runoff.config import Config, Given, Problem, Settings
from runoff.plan.adapter import AdapterSpec
from runoff.plan.counts import Length, Pace
from runoff.plan.data_facts import DataFacts
from runoff.plan.foreign import ToolReport
from runoff.plan.machine import MachineFacts
from runoff.plan.memory import MemoryPart
from runoff.plan.model_facts import ModelFacts
from runoff.plan.row_facts import RowFacts
from runoff.plan.template_facts import TemplateFacts
from runoff.plan.unknown import NotKnown, Unknown, known

__all__ = ["Draft", "Facts"]

NOT_ASKED = Unknown("it was not asked for")


@dataclass(frozen=True)
class Facts:
    """The parts. `rows` are the rows as text, `data` the same as tokens."""

    given: tuple[Given, ...] = ()
    problems: tuple[Problem, ...] = ()
    config: Config | Unknown = NOT_ASKED
    model: ModelFacts | Unknown = NOT_ASKED
    rows: RowFacts | Unknown = NOT_ASKED
    data: DataFacts | Unknown = NOT_ASKED
    template: TemplateFacts | Unknown = NOT_ASKED
    adapter: AdapterSpec | Unknown = NOT_ASKED
    pace: Pace | Unknown = NOT_ASKED
    length: Length | Unknown = NOT_ASKED
    memory: tuple[MemoryPart, ...] | Unknown = NOT_ASKED
    machine: MachineFacts | Unknown = NOT_ASKED
    tool: ToolReport | Unknown = NOT_ASKED


@dataclass(frozen=True)
class Draft:
    """Facts as a check looks at them: an unknown one raises `NotKnown`, and the check is listed as not made."""

    facts: Facts

    @property
    def given(self) -> tuple[Given, ...]:
        """The keys of the file and of --set."""
        return self.facts.given

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What the loader found wrong."""
        return self.facts.problems

    @property
    def config(self) -> Config:
        """What was asked."""
        return known(self.facts.config)

    @property
    def settings(self) -> Settings:
        """The settings as they take effect."""
        return self.config.settings

    @property
    def model(self) -> ModelFacts:
        """The base model."""
        return known(self.facts.model)

    @property
    def rows(self) -> RowFacts:
        """The rows as text."""
        return known(self.facts.rows)

    @property
    def data(self) -> DataFacts:
        """The rows as tokens."""
        return known(self.facts.data)

    @property
    def template(self) -> TemplateFacts:
        """The chat template."""
        return known(self.facts.template)

    @property
    def adapter(self) -> AdapterSpec:
        """What is trained."""
        adapter = self.facts.adapter
        if isinstance(adapter, Unknown):
            raise NotKnown(adapter.why)
        return adapter

    @property
    def pace(self) -> Pace:
        """The arithmetic that the settings alone decide."""
        return known(self.facts.pace)

    @property
    def length(self) -> Length:
        """The arithmetic that the number of rows decides."""
        return known(self.facts.length)

    @property
    def memory(self) -> tuple[MemoryPart, ...]:
        """Memory by part."""
        return known(self.facts.memory)

    @property
    def machine(self) -> MachineFacts:
        """This machine."""
        return known(self.facts.machine)

    @property
    def tool(self) -> ToolReport:
        """What the tool named with --for would do."""
        return known(self.facts.tool)

    def place(self, key: str) -> str:
        """Where a setting was given, or that it is a default."""
        return self.config.origin(key).place or f"{key} (default)"

    def was_given(self, key: str) -> bool:
        """Whether the file or an option gives this setting."""
        return self.config.origin(key).kind != "default"

    def bytes_of_memory(self) -> int:
        """This machine's memory.

        Raises:
            NotKnown: the system does not tell.
        """
        if self.machine.memory_bytes is None:
            raise NotKnown("the system does not say how much memory it has")
        return self.machine.memory_bytes
