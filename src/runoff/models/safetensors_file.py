"""Writing a safetensors file. Owns: the format (a length, a JSON header, the bytes). Must not: know what a model is.

The package `safetensors` wants every tensor in memory at once, knows bfloat16 only through torch, and has changed its
raw interface between versions; the format itself is frozen, and lets us hold one tensor at a time. The package reads
our files in the tests.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["write_safetensors"]

_WIDTH = {"F32": 4, "BF16": 2}


def write_safetensors(
    path: Path, shapes: Mapping[str, tuple[int, ...]], dtype: str, arrays: Iterable[np.ndarray[Any, np.dtype[Any]]]
) -> None:
    """Write tensors of one type; `arrays` yields them in the order of `shapes`, as the bits that are to be stored."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}  # transformers refuses a file without it
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + math.prod(shape) * _WIDTH[dtype]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in arrays:
            file.write(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).data)
        file.flush()
        os.fsync(file.fileno())  # or the folder's rename may reach the disk before the weights do
    if path.stat().st_size != 8 + len(text) + end:
        raise ValueError(f"the arrays for {path.name} are not of the sizes that were announced")
