"""Tensor libraries behind one Protocol. The only package that imports torch, transformers, peft, mlx or mlx_lm.

`open_base` imports the library it needs when it is called, so that everything else starts fast.
"""

from __future__ import annotations

import importlib
import importlib.util
import platform
from pathlib import Path

from runoff.engines.base import Base, Engine, EngineFacts, OpenBase, Vector
from runoff.engines.quantized import check_quantization, mlx_bits
from runoff.errors import EngineError

__all__ = ["Base", "Engine", "EngineFacts", "Vector", "choose_engine", "open_base"]

_ENGINES = {
    "torch": ("runoff.engines.torch.loading", "open_torch", ("torch", "transformers", "peft")),
    "mlx": ("runoff.engines.mlx.loading", "open_mlx", ("mlx", "mlx_lm")),
}


def choose_engine(wanted: str, folder: Path | None = None) -> str:
    """`auto`: MLX on Apple silicon and for a folder that is quantized in its format, else torch; what is installed.

    Raises:
        EngineError: the engine's libraries are not installed.
    """
    apple = platform.system() == "Darwin" and platform.machine() == "arm64"
    mlx_first = apple or (folder is not None and mlx_bits(folder) is not None)
    order = ["mlx", "torch"] if mlx_first else ["torch", "mlx"]
    names = order if wanted == "auto" else [wanted]
    for name in names:
        if all(importlib.util.find_spec(library) for library in _ENGINES[name][2]):
            return name
    missing = " or ".join(f'pip install "runoff[{name}]"' for name in names)
    raise EngineError(f"no engine is installed to run a model with. Install one: {missing}.")


def open_base(folder: Path, *, engine: str = "auto", dtype: str = "auto") -> Base:
    """Load a model folder with an engine.

    Raises:
        EngineError: the engine is not installed, or can't compute with weights that are quantized like these.
        ModelError: the model can't be loaded.
    """
    chosen = choose_engine(engine, folder)
    check_quantization(folder, chosen)
    module, function, _ = _ENGINES[chosen]
    opener: OpenBase = getattr(importlib.import_module(module), function)
    return opener(folder, dtype=dtype)
