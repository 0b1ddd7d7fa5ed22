"""What another tool would do with the same file: the rules of each tool and version, as data and arithmetic.

Owns: `--for TOOL@VERSION`. The rules come from the tools' own sources, which each module names. Must not: read files or
import a tool.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from runoff.config import Given
from runoff.errors import ConfigError
from runoff.plan.foreign.mlx_lm import mlx_lm
from runoff.plan.foreign.nouns import Around, Ignored, Stop, ToolReport, ToolValue, Version, version_text
from runoff.plan.foreign.trainers import axolotl, llama_factory, trl
from runoff.plan.foreign.unsloth import unsloth

__all__ = ["TOOLS", "Around", "Ignored", "Stop", "ToolReport", "ToolValue", "tool_report"]

Rules = Callable[[Version, Sequence[Given], Around], ToolReport]

TOOLS: dict[str, tuple[Rules, Version]] = {
    "mlx-lm": (mlx_lm, (0, 32, 2)),
    "trl": (trl, (1, 16, 0)),
    "axolotl": (axolotl, (0, 18, 0)),
    "llama-factory": (llama_factory, (0, 9, 6)),
    "unsloth": (unsloth, (2026, 11, 0)),
}
"""name -> (rules, the version whose source was read last)."""


def tool_report(wanted: str, given: Sequence[Given], around: Around) -> ToolReport:
    """Apply the rules of `TOOL` or `TOOL@VERSION`; without a version, of the one that was read last.

    Raises:
        ConfigError: no such tool, or a version that is no version or whose rules are not known.
    """
    name, at, text = wanted.strip().lower().replace("_", "-").partition("@")
    if name not in TOOLS:
        raise ConfigError([f"--for {wanted}: no rules for this tool. There are: {', '.join(TOOLS)}."])
    rules, latest = TOOLS[name]
    version = latest
    if at:
        try:
            parts = [int(part) for part in text.removeprefix("v").split(".")]
        except ValueError:
            raise ConfigError([f"--for {wanted}: write the version as numbers, e.g. {name}@0.28.3."]) from None
        first, second, third, *_ = [*parts, 0, 0]
        version = (first, second, third)
    if version > latest:
        known = f"the rules are known up to {name} {version_text(latest)}"
        raise ConfigError([f"--for {wanted}: {known}. Name that version or an earlier one."])
    return rules(version, given, around)
