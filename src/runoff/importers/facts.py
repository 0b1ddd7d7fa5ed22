"""What one foreign file tells, before any rule is applied to it.

Owns: the nouns that every importer yields and the merge reads. Must not: know a format, a tool's rules or a run folder.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from runoff.runs import MetricRow

__all__ = ["AdapterTensors", "Clue", "Facts", "Importer", "Reading", "SourceFile", "Tally", "Told"]

Role = Literal["asked", "record", "log", "summary", "tensors"]
MAX_SAMPLES = 5
SAMPLE_CHARACTERS = 160


@dataclass(frozen=True, slots=True)
class Told:
    """One value as a file tells it. `key` is the file's own spelling, dotted; `rounding` its half-width if printed."""

    key: str
    value: Any
    place: str
    rounding: float | None = None


@dataclass(frozen=True, slots=True)
class Clue:
    """Why a file must come from a tool, and from versions `since` <= v < `before` of it."""

    tool: str
    why: str
    since: str | None = None
    before: str | None = None


@dataclass(frozen=True, slots=True)
class AdapterTensors:
    """What the tensors of an adapter say: the last word on what was adapted. Ranks are sorted and distinct.

    kind: as fine_tune_type has it. Whole weights have no ranks. whole_parameters: of weights that lie beside a PEFT
    adapter as they are; PEFT saves those of modules_to_save, which are trained, and embeddings, which are not.
    """

    place: str
    ranks: tuple[int, ...]
    blocks: tuple[int, ...]
    layers: tuple[str, ...]
    trainable_parameters: int
    kind: Literal["lora", "dora", "full"]
    whole_parameters: int = 0


@dataclass(frozen=True, slots=True)
class Facts:
    """What one file says about one run.

    role: `asked` (a config that a person wrote), `record` (settings that the tool wrote), `log`, `summary`, `tensors`.
    labels: names that the file gives its run; files with a label in common belong together.
    settings: in the tool's spelling. counts: in the record's spelling.
    """

    role: Role
    labels: tuple[str, ...] = ()
    settings: tuple[Told, ...] = ()
    counts: tuple[Told, ...] = ()
    rows: tuple[MetricRow, ...] = ()
    tensors: AdapterTensors | None = None
    clues: tuple[Clue, ...] = ()
    notes: tuple[str, ...] = ()
    finished: bool = False
    """The log's own last line is there."""
    whole_folder: bool = False
    """A file of this kind makes its folder one run's (a trainer_state.json does, a log does not)."""


@dataclass(slots=True)
class Tally:
    """Lines (or records) of one file: read, of no concern, and not understood with samples."""

    read: int = 0
    skipped: int = 0
    not_understood: int = 0
    samples: list[str] = field(default_factory=list)

    def puzzle(self, place: str, text: str) -> None:
        """Count a line that looks like metrics and can't be read as such."""
        self.not_understood += 1
        if len(self.samples) < MAX_SAMPLES:
            printable = "".join(
                letter if letter.isprintable() else "·" for letter in text.strip()[: SAMPLE_CHARACTERS * 4]
            )
            self.samples.append(f"{place}: {printable.strip()[:SAMPLE_CHARACTERS]}")


@dataclass(frozen=True, slots=True)
class Reading:
    """One file, read. Several facts: the file holds several runs."""

    facts: tuple[Facts, ...]
    tally: Tally


@dataclass(frozen=True)
class SourceFile:
    """A file to import. `name`: its path as places and copies show it; `head`: its first bytes, to recognise it by."""

    path: Path
    name: str
    head: bytes
    size: int
    columns: Mapping[str, str] = field(default_factory=dict)
    is_prose: bool = False
    """A README that nobody named: it was found below a folder."""

    @cached_property
    def text_head(self) -> str:
        """The first bytes as text."""
        return self.head.decode(self.encoding, "replace")

    @property
    def encoding(self) -> str:
        """UTF-8 unless it is UTF-16, in which PowerShell's `>` writes: by its mark, or by every other byte being 0."""
        if self.head[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return "utf-16"
        first = self.head[:64]
        letters = len(first) >= 16 and first[1::2].strip(b"\0") == b"" and b"\0" not in first[::2]
        return "utf-16-le" if letters else "utf-8-sig"

    @cached_property
    def is_object(self) -> bool:
        """It begins as a JSON object does (and not as a Python dictionary)."""
        return not self.is_binary and re.match(r'\s*\{\s*["}]', self.text_head) is not None

    @property
    def is_binary(self) -> bool:
        """A zero byte near the start: not text, unless it is UTF-16."""
        return b"\0" in self.head and not self.encoding.startswith("utf-16")

    @property
    def folder(self) -> str:
        """Name of the folder that holds it."""
        return self.path.parent.name


@dataclass(frozen=True, slots=True)
class Importer:
    """One foreign format: `accepts` looks at name and head alone, `read` at the whole file.

    `read` raises ImportFailed where the file is not what its head promised. a_run_each: its facts are as many runs.
    reads_prose: a README below a folder too, which may quote a log and is read by no other.
    """

    kind: str
    accepts: Callable[[SourceFile], bool]
    read: Callable[[SourceFile], Reading]
    a_run_each: bool = False
    reads_prose: bool = False
