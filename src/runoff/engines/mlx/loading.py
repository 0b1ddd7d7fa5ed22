"""Loading a base for the MLX engine. Owns: type of numbers, rotary settings, what to say once. Must not: compute."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm.utils import load_config, load_model, maybe_set_recommended_wired_limit

from runoff.engines.mlx.engine import MlxBase
from runoff.engines.mlx.lanes import Lanes, fast_blas
from runoff.engines.quantized import mlx_bits
from runoff.errors import ModelError

__all__ = ["open_mlx"]

_SLOW_BLAS = (
    "MLX's Linux wheel brings the reference BLAS, some ten to forty times slower in float32 than OpenBLAS. {} OpenBLAS "
    "(apt install libopenblas0-pthread) in its place: LD_PRELOAD=libopenblas.so.0 runoff ..."
)


def open_mlx(folder: Path, *, dtype: str) -> MlxBase:
    """Load a model folder on MLX's default device.

    Raises:
        ModelError: mlx_lm can't load it, or its blocks are not where this engine looks for them.
    """
    lanes = Lanes.on_this_device()
    maybe_set_recommended_wired_limit()
    try:
        model, config = load_model(folder, lazy=True, model_config=_rope(load_config(folder)))
    except (OSError, ValueError, KeyError, TypeError, ImportError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"{folder}: mlx_lm can't load this model ({reason}).") from None
    if not hasattr(getattr(model, "model", None), "layers"):
        raise ModelError(f"{folder}: the MLX engine can't train {config['model_type']} models yet. Set engine: torch.")
    chosen = _dtype(dtype, model)
    model.set_dtype(chosen)
    model.freeze()
    model.eval()
    mx.eval(model.parameters())
    return MlxBase(model, chosen, lanes, _notes(torch_can=mlx_bits(folder) is None))


def _rope(config: dict[str, Any]) -> dict[str, Any]:
    """The rotary settings under the names that mlx_lm reads.

    transformers 5 writes `rope_parameters`; most of mlx_lm 0.32's models don't read that, and take a default base.
    """
    given = config.get("rope_parameters") or {}
    whole = given.get("full_attention", given)
    named = {
        "rope_theta": whole.get("rope_theta"),
        "rope_local_base_freq": given.get("sliding_attention", {}).get("rope_theta"),
        "partial_rotary_factor": whole.get("partial_rotary_factor"),
        "rope_scaling": None if whole.get("rope_type", "default") == "default" else whole,
    }
    return {name: value for name, value in named.items() if value is not None and config.get(name) is None}


def _dtype(wanted: str, model: Any) -> mx.Dtype:
    """`auto`: float32 on a CPU, where MLX has no fast 16-bit products; on a GPU the file's own 16-bit type."""
    if wanted != "auto":
        return {"float32": mx.float32, "bfloat16": mx.bfloat16}[wanted]
    if mx.default_device().type == mx.DeviceType.cpu:
        return mx.float32
    stored = {array.dtype for _, array in tree_flatten(model.parameters())}
    return mx.float16 if mx.float16 in stored else mx.bfloat16


def _notes(*, torch_can: bool) -> tuple[str, ...]:
    """torch_can: compute with this base."""
    on_cpu = mx.default_device().type == mx.DeviceType.cpu
    slow = on_cpu and platform.system() == "Linux" and fast_blas() is None
    return (_SLOW_BLAS.format("Set engine: torch, or put" if torch_can else "Put"),) if slow else ()
