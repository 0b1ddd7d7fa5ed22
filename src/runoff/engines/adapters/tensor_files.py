"""Files of tensors, read and written as numpy's float32 whatever type they are stored in.

Owns: the types, bfloat16 among them, which numpy does not know and safetensors.numpy neither reads nor writes. Must
not: know names.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from runoff.errors import ModelError
from runoff.files import write_parts
from runoff.plan.tensors import TensorInfo, read_header

__all__ = ["Array", "read_tensors", "rounded", "write_tensors"]

_NUMPY_TYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<u2", "U8": "|u1"}
_STORED = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}
_METADATA = {"format": "pt"}
Array = np.ndarray[Any, np.dtype[np.float32]]


def read_tensors(path: Path) -> dict[str, Array]:
    """All tensors of a file in float32. The package's numpy reader refuses bfloat16, which many adapters are in.

    Raises:
        ModelError: the file is broken, or holds something other than fractions.
    """
    tensors = read_header(path)
    foreign = {info.dtype for info in tensors.values()} - (_NUMPY_TYPES.keys() - {"U8"})
    if foreign:
        raise ModelError(f"{path}: holds {', '.join(sorted(foreign))} tensors, which an adapter never has.")
    raw = path.read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    entries = json.loads(raw[8:start])
    return {name: _float32(raw, start + entries[name]["data_offsets"][0], info) for name, info in tensors.items()}


def write_tensors(
    path: Path,
    tensors: Mapping[str, np.ndarray[Any, Any]],
    dtype: str = "float32",
    metadata: Mapping[str, str] = _METADATA,
) -> None:
    """Write numbers in float32, bfloat16 or float16, rounded to the nearest, and bytes as they are; one by one."""
    entries: dict[str, Any] = {"__metadata__": dict(metadata)}
    ordered = dict(sorted(tensors.items(), key=lambda item: -item[1].itemsize))  # wide ones first: all lie aligned
    end = 0
    for name, array in ordered.items():
        kind = "U8" if array.dtype == np.uint8 else _STORED[dtype]
        start, end = end, end + array.size * np.dtype(_NUMPY_TYPES[kind]).itemsize
        entries[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [start, end]}
    header = json.dumps(entries, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    contents = (array if array.dtype == np.uint8 else rounded(array, dtype) for array in ordered.values())
    plain: Iterator[Any] = map(np.ascontiguousarray, contents)
    write_parts(path, chain((len(header).to_bytes(8, "little"), header), plain))


def rounded(array: Array, dtype: str) -> np.ndarray[Any, Any]:
    """The numbers as they lie in a file: bfloat16 as the upper half of float32's bits, ties to even."""
    if dtype == "bfloat16":
        bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")
    return array.astype(_NUMPY_TYPES[_STORED[dtype]], copy=False)


def _float32(raw: bytes, start: int, info: TensorInfo) -> Array:
    flat = np.frombuffer(raw, _NUMPY_TYPES[info.dtype], math.prod(info.shape), start)
    if info.dtype == "BF16":
        flat = (flat.astype(np.uint32) << 16).view(np.float32)
    return flat.astype(np.float32).reshape(info.shape)
