"""Log files: one pass over the lines, every dialect at once, since real logs mix them.

Owns: the filter that most lines never get past, sections (a log may hold several runs, or one that was restarted), the
tally. Must not: know a dialect; those are the functions in DIALECTS.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from runoff.errors import ImportFailed
from runoff.importers.facts import Clue, Facts, Importer, Reading, SourceFile, Tally, Told
from runoff.importers.lines import blocks, clean, lines_with, without_redraws
from runoff.runs import MetricRow

__all__ = ["Dialect", "LogReader", "Section", "log_importer"]

_NEEDLES = {
    "Iter ": ("Iter ",),
    "oss": ("loss", "Loss"),
    "\xe2": (
        "\xe2\x96\xbc",
        "\xe2\x96\xb2",
        "\xe2\x94\x82",
        "mlx_lm.lora",
    ),  # the console's arrows and its panel's border
    "train_loss     tok/s": tuple(f".{tenth}k" for tenth in range(10)),  # the same console where the arrows are lost
    "val": ("val\x1b", " val "),
    "ave": ("Saved ", "save\x1b", " save "),
    "Loading ": ("Loading ",),
    "rain": ("ing training", "rainable p", "train_runtime"),
    "longest sentence": ("longest sentence",),
    " = ": ("Num ", "steps = ", "device = ", "ion) = "),
    "Node ": ("Node ",),
    "Running ": ("Running ",),
    "Saving model ": ("Saving model ",),
}
"""What a line of interest holds, by a sign that a block without them lacks. Bytes are read as Latin-1."""

_METRIC_LIKE = re.compile(
    r"Iter \d+:|[Ll]oss\W{1,4}(?:[\d.-]|nan|inf)|[Ll]oss[ _]\w+['\"]?\s*[:=]\s*-?(?:\d|nan|inf)|\d [▼▲]|\bval\s+\d"
)


@dataclass(slots=True)
class Section:
    """What one stretch of a log tells, while it is read."""

    labels: dict[str, None] = field(default_factory=dict)
    configs: dict[str, None] = field(default_factory=dict)
    settings: dict[str, Told] = field(default_factory=dict)
    counts: dict[str, Told] = field(default_factory=dict)
    rows: list[MetricRow] = field(default_factory=list)
    clues: dict[Clue, None] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    furthest: float = -1.0
    heading: str = ""
    finished: bool = False

    def tell(self, key: str, value: object, place: str, rounding: float | None = None) -> None:
        """A setting in the tool's spelling; the first mention in a section holds."""
        self.settings.setdefault(key, Told(key, value, place, rounding))

    def count(self, key: str, value: object, place: str, rounding: float | None = None) -> None:
        """A count in the record's spelling."""
        self.counts.setdefault(key, Told(key, value, place, rounding))

    def facts(self, *, several: bool) -> Facts:
        """Frozen. Among several runs in one log, the folder that each saved to tells more than a shared config."""
        own = [*self.labels] if several and self.labels else [*self.labels, *self.configs]
        return Facts(
            role="log",
            labels=tuple(own),
            settings=tuple(self.settings.values()),
            counts=tuple(self.counts.values()),
            rows=tuple(self.rows),
            clues=tuple(self.clues),
            finished=self.finished,
        )


@dataclass(slots=True)
class LogReader:
    """The state of one pass. Dialects write into `section`; `begin` opens a new one at a restart."""

    name: str
    sections: list[Section] = field(default_factory=lambda: [Section()])
    tally: Tally = field(default_factory=Tally)
    repeated: set[str] = field(default_factory=set)
    """Lines of this section that say nothing new when they come again, as warnings do by the thousand."""
    block: str = ""
    end: int = 0
    """Where in the block the line ends that is being looked at."""

    def following(self, characters: int) -> str:
        """The raw text behind this line, as far as it is at hand."""
        return self.block[self.end : self.end + characters]

    @property
    def section(self) -> Section:
        """The one being read."""
        return self.sections[-1]

    @property
    def segment(self) -> int:
        """Its number."""
        return len(self.sections) - 1

    def begin(self) -> None:
        """A run starts: what follows belongs to a new section if this one has seen rows."""
        if self.section.rows:
            self.sections.append(Section())
            self.repeated.clear()

    def advance(self, kind: str, position: float) -> int:
        """Rows count upwards; one that falls back is a restart. Returns the number of the segment it belongs to."""
        section = self.sections[-1]
        if position < section.furthest or position == section.last.get(kind):
            self.begin()
            section = self.sections[-1]
        section.last[kind] = section.furthest = position
        return len(self.sections) - 1

    def once(self, text: str) -> None:
        """This line needs no second look in this section."""
        if len(self.repeated) < MAX_REPEATED:
            self.repeated.add(text)


MAX_REPEATED = 4096
Dialect = Callable[[LogReader, str, str, bool], bool]
"""(reader, line without colours, place, whether the line is whole) -> whether it was understood."""


def log_importer(dialects: tuple[Dialect, ...]) -> Importer:
    """The importer of text logs."""

    def read(source: SourceFile) -> Reading:
        log = LogReader(source.name)
        try:
            with source.path.open("rb") as file:
                for block, whole in blocks(file, source.encoding):
                    _block(log, dialects, block, whole)
        except OSError as error:
            raise ImportFailed(f"{source.name}: can't be read ({error.strerror}).") from None
        log.tally.skipped += log.tally.read
        sections = [section for section in log.sections if section.rows or section.settings or section.counts]
        _adopt(sections)
        several = len({tuple(section.labels) for section in sections}) > 1
        return Reading(tuple(section.facts(several=several) for section in sections), log.tally)

    return Importer("log", lambda source: not source.is_binary, read)


def _understood(log: LogReader, dialects: tuple[Dialect, ...], text: str, place: str, whole: bool) -> bool:
    try:
        return any(dialect(log, text, place, whole) for dialect in dialects)
    except (ValueError, OverflowError):
        return False


def _adopt(sections: list[Section]) -> None:
    """A part that names no folder was started again by the part behind it, or goes on from one that never ended."""
    for part, behind in reversed(list(itertools.pairwise(sections))):
        if not part.labels:
            part.labels |= behind.labels
    if len(sections) > 1 and not sections[-1].labels and not sections[-2].finished:
        sections[-1].labels |= sections[-2].labels


def _block(log: LogReader, dialects: tuple[Dialect, ...], block: str, whole: bool) -> None:
    before = log.tally.read
    log.tally.read += block.count("\n") + (not whole)
    log.block = block = without_redraws(block)
    needles = [needle for sign, group in _NEEDLES.items() if sign in block for needle in group]
    for breaks, start, end in lines_with(block, needles):
        text = block[start:end]
        if text in log.repeated:
            log.tally.skipped -= 1
            continue
        log.end, text, place = end, clean(text), f"{log.name}:{before + breaks + 1}"
        if _understood(log, dialects, text, place, whole or end < len(block)):
            log.tally.skipped -= 1
        elif _METRIC_LIKE.search(text):
            log.tally.skipped -= 1
            log.tally.puzzle(place, text)
