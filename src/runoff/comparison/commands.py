"""The commands that would settle what a comparison leaves open; each runs as printed.

Owns: their spelling. Must not: decide.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from runoff.comparison.aims import Aim
from runoff.comparison.compare import Comparison
from runoff.comparison.facts import Side
from runoff.comparison.requirements import unmeasured

__all__ = ["next_commands"]


def next_commands(comparison: Comparison, aim: Aim) -> Iterator[str]:
    """Measuring what is missing first, then a second seed of each run."""
    references = " ".join(shlex.quote(side.reference) for side in comparison.sides)
    measurable = all(side.run.folder.has_adapter for side in comparison.sides)
    if comparison.evidence.missing:
        if measurable:
            yield f"runoff evaluate {references}" + ("" if aim is Aim.GENERALIZATION else " --generate")
        return
    if measurable and unmeasured(comparison.evidence.measures):
        yield f"runoff evaluate {references} --generate"
    if not comparison.groups:
        yield from filter(None, map(_another_seed, comparison.sides))


def _another_seed(side: Side) -> str | None:
    """The same run with the next seed."""
    seed = side.setting("seed").value
    if side.run.identity.imported or not side.run.folder.config.exists() or not isinstance(seed, int):
        return None
    options = [
        f"{key}={value.value}"
        for key, value in side.run.plan.settings.items()
        if value.origin.kind == "option" and key != "seed"
    ]
    given = "".join(f" --set {shlex.quote(option)}" for option in [*options, f"seed={seed + 1}"])
    path, name = shlex.quote(str(side.run.folder.config)), shlex.quote(f"{side.run.name}-seed{seed + 1}")
    root = side.run.folder.path.parent
    where = "" if side.reference == side.run.folder.path.name else f" --runs {shlex.quote(str(root))}"
    return f"runoff train {path} --name {name}{where}{given}"
