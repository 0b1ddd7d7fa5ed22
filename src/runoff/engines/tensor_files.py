"""Files of tensors, read and written as numpy's float32 whatever type they are stored in.

Owns: the types, bfloat16 among them, which numpy does not know and safetensors.numpy neither reads nor writes. Must
not: know names.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from runoff.errors import ModelError
from runoff.files import write_bytes
from runoff.plan.tensors import TensorInfo, read_header

__all__ = ["Array", "read_tensors", "rounded", "write_tensors"]

_NUMPY_TYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<u2"}
_STORED = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}
Array = np.ndarray[Any, np.dtype[np.float32]]


def read_tensors(path: Path) -> dict[str, Array]:
    """All tensors of a file in float32. The package's numpy reader refuses bfloat16, which many adapters are in.

    Raises:
        ModelError: the file is broken, or holds something other than fractions.
    """
    tensors = read_header(path)
    foreign = {info.dtype for info in tensors.values()} - _NUMPY_TYPES.keys()
    if foreign:
        raise ModelError(f"{path}: holds {', '.join(sorted(foreign))} tensors, which an adapter never has.")
    raw = path.read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    entries = json.loads(raw[8:start])
    return {name: _float32(raw, start + entries[name]["data_offsets"][0], info) for name, info in tensors.items()}


def write_tensors(path: Path, tensors: Mapping[str, Array], dtype: str = "float32") -> None:
    """Write them in float32, bfloat16 or float16, rounded to the nearest."""
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    parts, end = [], 0
    for name, array in tensors.items():
        parts.append(rounded(array, dtype).tobytes())
        start, end = end, end + len(parts[-1])
        entries[name] = {"dtype": _STORED[dtype], "shape": list(array.shape), "data_offsets": [start, end]}
    header = json.dumps(entries, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    write_bytes(path, b"".join([len(header).to_bytes(8, "little"), header, *parts]))


def rounded(array: Array, dtype: str) -> np.ndarray[Any, Any]:
    """The numbers as they lie in a file: bfloat16 as the upper half of float32's bits, ties to even."""
    if dtype == "bfloat16":
        bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")
    return array.astype(_NUMPY_TYPES[_STORED[dtype]])


def _float32(raw: bytes, start: int, info: TensorInfo) -> Array:
    flat = np.frombuffer(raw, _NUMPY_TYPES[info.dtype], math.prod(info.shape), start)
    if info.dtype == "BF16":
        flat = (flat.astype(np.uint32) << 16).view(np.float32)
    return flat.astype(np.float32).reshape(info.shape)
