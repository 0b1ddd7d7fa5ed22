"""`runoff model`: base models on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(help="Base models on this machine.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Base models on this machine."""


@app.command("get")
def get(
    name: Annotated[str, typer.Argument(help="A folder, a Hugging Face id, a .gguf file, or smollm2-135m (embedded).")],
) -> None:
    """Make a local model folder and print its path."""
    import sys

    from runoff.models import get_model

    print(get_model(name, progress=lambda text: print(text, file=sys.stderr)))
