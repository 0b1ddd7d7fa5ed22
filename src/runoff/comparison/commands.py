"""The commands that would settle what a comparison leaves open; each runs as printed.

Owns: their spelling. Must not: decide.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from runoff.comparison.aims import Aim
from runoff.comparison.compare import Comparison
from runoff.comparison.facts import Side
from runoff.comparison.requirements import unmeasured

__all__ = ["TrainCommand", "next_commands", "rescoring", "train_command"]


def next_commands(
    comparison: Comparison,
    aim: Aim,
    *,
    failed: bool = False,
    voters: Sequence[Side] = (),
    again: Sequence[Side] = (),
) -> Iterator[str]:
    """What to measure, read, vote on or train next, in this order.

    failed: whether some run failed a gate; then the answers are to be read. voters: those between whom nobody has voted
    and nothing else decides. again: of whom a second seed would show something.
    """
    usable = [side for side in comparison.sides if side.run.folder.has_adapter]
    references = " ".join(shlex.quote(side.reference) for side in usable)
    if comparison.evidence.missing:
        if len(usable) > 1:
            yield from _measuring(references, aim)
        return
    if len(usable) == len(comparison.sides) and unmeasured(comparison.evidence.measures):
        yield f"runoff evaluate {references} --generate"
    if failed and all(one.answers() for one in comparison.evidence.evaluations.values()):
        yield f"runoff side-by-side {references} --out answers"
    if voters:
        yield f"runoff vote {' '.join(shlex.quote(side.reference) for side in voters)}"
    if not comparison.groups:
        yield from _seeds(again)


def rescoring(comparison: Comparison, aim: Aim) -> Iterator[str]:
    """Where the stored test rows forbid to rank: scoring all runs anew, which leaves out what one was trained on."""
    if {check.topic for check in comparison.blocked} <= {"test rows", "record"}:
        yield from _measuring(" ".join(shlex.quote(side.reference) for side in comparison.sides), aim)


def _measuring(references: str, aim: Aim) -> Iterator[str]:
    yield f"runoff evaluate {references}" + ("" if aim is Aim.GENERALIZATION else " --generate")
    yield f"runoff compare {references}" + ("" if aim is Aim.GENERALIZATION else f" --aim {aim.value}")


@dataclass(frozen=True)
class TrainCommand:
    """A command line, the `--set` options in it, and how to name the run that it makes."""

    text: str
    overrides: tuple[str, ...]
    reference: str


def _seeds(sides: Sequence[Side]) -> Iterator[str]:
    """Every run once more with the next seed, and settings compared over both seeds."""
    trained: list[str] = []
    for side in sides:
        seed = side.setting("seed").value
        name = f"{side.run.name}-seed{seed + 1}" if isinstance(seed, int) else ""
        command = train_command(side, name, f"seed={seed + 1}") if name else None
        if command:
            trained += [side.reference, command.reference]
            yield command.text
    if trained and len(trained) == 2 * len(sides):
        runs = " ".join(map(shlex.quote, trained))
        yield f"runoff evaluate {runs}"
        yield f"runoff compare {runs} --replicates"


def train_command(side: Side, name: str, *options: str) -> TrainCommand | None:
    """A run again with other settings (`key=value`), beside the first; None where it was trained by another tool."""
    if side.run.identity.imported or not side.run.folder.config.exists():
        return None
    new = {option.partition("=")[0] for option in options}
    kept = [
        f"{given}={json.dumps(value.value)}"
        for given, value in side.run.plan.settings.items()
        if value.origin.kind == "option" and not {given, given.partition(".")[0]} & new
    ]
    overrides = (*kept, *options)
    given = "".join(f" --set {shlex.quote(text)}" for text in overrides)
    path, root, name = shlex.quote(str(side.run.folder.config)), side.run.folder.path.parent, name[:100]
    here = side.reference == side.run.folder.path.name
    where = "" if here else f" --runs {shlex.quote(str(root))}"
    text = f"runoff train {path} --name {shlex.quote(name)}{where}{given}"
    return TrainCommand(text, overrides, name if here else str(root / name))
