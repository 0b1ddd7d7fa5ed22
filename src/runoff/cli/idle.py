"""Options that change nothing without another one. Owns: refusing them aloud. Must not: know what any of them does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

__all__ = ["refuse_idle"]


def refuse_idle(context: typer.Context, needed: str, names: Sequence[str]) -> None:
    """To be called where `needed` was not given; `names` are the parameters that are nothing without it.

    Raises:
        ConfigError: one of them was given.
    """
    from runoff.errors import ConfigError

    spelled = {parameter.name: parameter.opts[0] for parameter in context.command.params}
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise ConfigError([f"{spelled[name]} has no effect without {needed}. Add that, or leave this out."])
