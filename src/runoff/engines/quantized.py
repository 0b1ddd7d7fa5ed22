"""Which engine can use a quantized base. Owns: the sentences. Must not: load weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from runoff.errors import EngineError

__all__ = ["check_quantization", "mlx_bits"]


def check_quantization(folder: Path, engine: str) -> None:
    """Refuse a base whose weights are quantized in a form that the engine, or this machine, can't compute with.

    Raises:
        EngineError: what is in the folder, and what to do.
    """
    bits, method = mlx_bits(folder), _method(folder)
    if engine == "torch" and bits is not None:
        raise EngineError(
            f"{folder}: its weights are quantized in MLX's own format ({bits} bits), which torch can't read. "
            "Set engine: mlx, or name the model that it was made from."
        )
    if method == "bitsandbytes" and engine == "mlx":
        raise EngineError(
            f"{folder}: its weights are quantized by bitsandbytes, which MLX can't read. Name the model that it was "
            "made from, or what mlx_lm.convert -q makes of that."
        )
    if method == "bitsandbytes" and not _has_cuda():
        raise EngineError(
            f"{folder}: its weights are quantized by bitsandbytes, which needs CUDA, and this machine has none. Name "
            "the model that it was made from, or, with engine: mlx, what mlx_lm.convert -q makes of that."
        )


def mlx_bits(folder: Path) -> int | None:
    """Bits of weights that are quantized as mlx_lm.convert -q does it; None for all others."""
    ours = _config(folder).get("quantization")
    return ours.get("bits") if isinstance(ours, dict) and _method(folder) is None else None


def _method(folder: Path) -> Any:
    theirs = _config(folder).get("quantization_config")
    return theirs.get("quant_method") if isinstance(theirs, dict) else None


def _config(folder: Path) -> dict[str, Any]:
    """Empty where it can't be read: the engine will say so."""
    try:
        body = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return body if isinstance(body, dict) else {}


def _has_cuda() -> bool:
    import torch

    return bool(torch.cuda.is_available())
