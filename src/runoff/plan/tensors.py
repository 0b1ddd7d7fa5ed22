"""The header of a safetensors file: names, types and shapes without the weights.

Owns: reading and bounding it (https://huggingface.co/docs/safetensors, "Format"). Must not: read weights.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path

from runoff.errors import ModelError

__all__ = ["TensorInfo", "read_header"]

MAX_HEADER_BYTES = 100_000_000


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor's type (`F32`, `BF16`, ...) and shape."""

    dtype: str
    shape: tuple[int, ...]


def read_header(path: Path) -> dict[str, TensorInfo]:
    """Tensor name -> type and shape.

    Raises:
        ModelError: not a safetensors file, or cut short.
    """
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if not 2 <= length <= MAX_HEADER_BYTES:
                raise ValueError("its header has an impossible length")
            raw = json.loads(file.read(length))
        size = path.stat().st_size
        end = 0
        header = {}
        for name, entry in raw.items():
            if name != "__metadata__":
                header[name] = TensorInfo(str(entry["dtype"]), tuple(int(n) for n in entry["shape"]))
                end = max(end, int(entry["data_offsets"][1]))
        if size != 8 + length + end:
            raise ValueError(f"it has {size} bytes, but should have {8 + length + end}: an interrupted copy?")
    except OSError as error:
        raise ModelError(f"{path}: can't be read ({error.strerror}).") from None
    except (ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise ModelError(f"{path}: is not a whole safetensors file ({error}). Copy or download it again.") from None
    return header
