"""Loading a base for the torch engine. Owns: which device and type of numbers. Must not: compute."""

from __future__ import annotations

import os
from pathlib import Path

import torch
import transformers

from runoff.engines.torch.engine import TorchBase
from runoff.errors import ModelError

__all__ = ["open_torch"]

PRODUCTS = "256"
"""Shapes of products that oneDNN keeps code for, half a megabyte each. Batches differ: its own 1,024 would fill up."""


def open_torch(folder: Path, *, dtype: str, lean: bool = True) -> TorchBase:
    """Load a model folder on the best device at hand. Without `lean`, the libraries' own code computes everything.

    Raises:
        ModelError: transformers can't load it.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", PRODUCTS)
    device = _device()
    chosen = _dtype(dtype, device)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=chosen, local_files_only=True)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"{folder}: transformers can't load this model ({reason}).") from None
    if not hasattr(getattr(model, "model", None), "layers") or not hasattr(model, "lm_head"):
        raise ModelError(f"{folder}: the torch engine can't train {model.config.model_type} models yet.")
    model.requires_grad_(False)
    return TorchBase(model.to(device).eval(), device, chosen, lean=lean)


def _device() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _dtype(wanted: str, device: torch.device) -> torch.dtype:
    if wanted != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[wanted]
    if device.type == "cpu":
        # Without these instructions bfloat16 products are several times slower than float32 ones.
        capability = torch.backends.cpu.get_cpu_capability()
        fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        return torch.bfloat16 if fast and capability != "DEFAULT" else torch.float32
    return torch.bfloat16
