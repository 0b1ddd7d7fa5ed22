"""`runoff adapter`: adapter folders of PEFT and mlx-lm."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(help="Adapter folders of PEFT and mlx-lm.", no_args_is_help=True)


class Format(StrEnum):
    """Whose adapter folder it is to be."""

    MLX = "mlx"
    PEFT = "peft"


@app.callback()
def group() -> None:
    """Adapter folders of PEFT and mlx-lm."""


@app.command("convert")
def convert(
    source: Annotated[
        Path, typer.Argument(help="Adapter folder of either format, or a numbered .safetensors checkpoint in one.")
    ],
    target: Annotated[Path, typer.Argument(help="New folder.")],
    to: Annotated[Format, typer.Option("--to", help="Whose format.")],
    base: Annotated[
        str | None, typer.Option("--base", help="The base model; default: the one its adapter_config.json names.")
    ] = None,
) -> None:
    """Write an adapter in the other library's format.

    What can't be carried over is refused by name.
    """
    from runoff.cli.output import say
    from runoff.engines.adapters.conversion import base_of, convert_adapter
    from runoff.models import get_model
    from runoff.plan import read_model_facts

    name = base or base_of(source)
    spec = convert_adapter(source, target, to.value, read_model_facts(get_model(name, progress=say)), name)
    say(
        f"{target}: {spec.kind}, rank {spec.rank}, scale {spec.scale:g} (alpha {spec.alpha:g}) on {len(spec.layers)} "
        f"layers of {len(spec.blocks)} blocks, as {'mlx_lm' if to is Format.MLX else 'PEFT'} loads it."
    )
