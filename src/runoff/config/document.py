"""The option table for the documentation, from the schema itself. Must not: describe anything twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from runoff.config.foreign import DONE_WITHOUT, REFUSED, TRANSLATIONS
from runoff.config.keys import SECTIONS
from runoff.config.optimizers import OPTIMIZER_ARGUMENTS
from runoff.config.settings import RUNOFF_ONLY, Settings

__all__ = ["settings_document"]


def settings_document() -> str:
    """docs/settings.md: every key with its default and meaning, and the foreign spellings."""
    lines = [
        "# Settings",
        "",
        "Made from the schema by `python docs/generate.py`; do not edit. The YAML is mlx-lm's and its keys keep their",
        "meaning; keys marked * are Runoff's own. Any key can be given on the command line:",
        "`--set learning_rate=2e-4`, `--set lora_parameters.rank=16`.",
        "",
        *_table(Settings, ""),
    ]
    for name, section in SECTIONS.items():
        lines += ["", f"## {name}", "", *_table(section, f"{name}.")]
    lines += ["", "## optimizer_config", "", *_optimizers()]
    lines += ["", "## Spellings of other tools", "", "Translated aloud: the run says what became of each.", ""]
    lines += [", ".join(f"`{key}`" for key in sorted(TRANSLATIONS)) + ".", "", "Read, and done without:", ""]
    lines += [f"- `{key}`: {why}" for key, why in sorted(DONE_WITHOUT.items())]
    lines += ["", "Refused:", "", *(f"- `{key}`: {why}" for key, why in sorted(REFUSED.items()))]
    return "\n".join(lines) + "\n"


def _optimizers() -> Iterator[str]:
    yield "One section for each optimizer, with MLX's names and defaults; only the chosen one's may be filled."
    yield "`adafactor` makes a learning rate of its own unless `relative_step` is false; `learning_rate` beside it is"
    yield "refused."
    yield from ("", "| argument | must be |", "|---|---|")
    for optimizer, arguments in OPTIMIZER_ARGUMENTS.items():
        for name, (_, must_be) in arguments.items():
            yield f"| `{optimizer}.{name}` | {must_be} |"


def _table(model: type[BaseModel], prefix: str) -> Iterator[str]:
    yield "| key | default | meaning |"
    yield "|---|---|---|"
    for name, info in model.model_fields.items():
        mark = "*" if not prefix and name in RUNOFF_ONLY else ""
        yield f"| `{prefix}{name}`{mark} | {_default(info)} | {info.description}{_choices(info)} |"


def _choices(info: FieldInfo) -> str:
    """The words that may stand there, where only a few may."""
    if get_origin(info.annotation) is not Literal:
        return ""
    return " One of " + ", ".join(f"`{word}`" for word in get_args(info.annotation)) + "."


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "(needed)"
    value: Any = info.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "see below"
    if value is None or value == {}:
        return "not set"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"
