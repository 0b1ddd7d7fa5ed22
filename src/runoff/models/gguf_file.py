"""One .gguf file. Owns: opening it, its metadata with the type that was asked for, its tensors as float32.

Must not: know what a llama model or a tokenizer is. Whatever is wrong with the file becomes one sentence here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from runoff.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["GgufFile", "GgufTensor", "open_gguf"]

# Every type that the package `gguf` unpacks and that our tests check against an arithmetic of their own.
_READABLE = frozenset({"F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"})
_BROKEN = (ValueError, IndexError, KeyError, OverflowError, MemoryError)

T = TypeVar("T")


@dataclass(frozen=True)
class GgufTensor:
    """One tensor, still packed; its bytes are read from the disk when `unpacked` is called."""

    name: str
    type_name: str
    shape: tuple[int, ...]
    packed: NDArray[Any]

    def unpacked(self) -> NDArray[np.float32]:
        """The values, in the shape that torch and MLX use (outputs first)."""
        from gguf import GGMLQuantizationType
        from gguf.quants import dequantize

        values = dequantize(self.packed, GGMLQuantizationType[self.type_name])
        return np.ascontiguousarray(values, dtype=np.float32).reshape(self.shape)


@dataclass(frozen=True)
class GgufFile:
    """The file's metadata (by key) and tensors (by llama.cpp's names)."""

    path: Path
    fields: Mapping[str, Any] = field(repr=False)
    tensors: Mapping[str, GgufTensor] = field(repr=False)

    def find(self, key: str, kind: type[T]) -> T | None:
        """The value of a metadata key, or None where the file has no such key."""
        if key not in self.fields:
            return None
        try:
            value = self.fields[key].contents()
        except _BROKEN as error:
            raise self.problem(f'its "{key}" can\'t be read') from error
        if kind is float and isinstance(value, int):
            value = float(value)
        if not isinstance(value, kind):
            raise self.problem(f'its "{key}" is {type(value).__name__}, where {kind.__name__} is expected')
        return value

    def get(self, key: str, kind: type[T]) -> T:
        """The value of a metadata key that has to be there."""
        if (value := self.find(key, kind)) is None:
            raise self.problem(f'its metadata lacks "{key}"')
        return value

    def problem(self, what: str) -> ModelError:
        """The sentence for a file that is sound, but not a model that Runoff can read."""
        return ModelError(f"{self.path}: {what}; use another GGUF file, or the model's safetensors folder.")


def open_gguf(path: Path) -> GgufFile:
    """Read the header; tensors stay on the disk."""
    if not path.is_file():
        raise ModelError(f"{path}: there is no such file; check the path.")
    reader = _reader(path)
    file = GgufFile(path, reader.fields, {tensor.name: _tensor(tensor) for tensor in reader.tensors})
    _refuse_what_we_cannot_read(file, str(reader.endianess.name))
    return file


def _reader(path: Path) -> Any:
    from gguf import GGUFReader

    try:
        return GGUFReader(path)
    except OSError as error:
        raise ModelError(f"{path}: can't be read ({error.strerror or error}); check who may read it.") from error
    except _BROKEN as error:
        what = "not a whole GGUF file of version 2 or 3 (cut short, or something else under that name)"
        raise ModelError(f"{path}: {what}; download it again.") from error


def _tensor(raw: Any) -> GgufTensor:
    shape = tuple(int(size) for size in reversed(raw.shape))
    return GgufTensor(raw.name, raw.tensor_type.name, shape, raw.data)


def _refuse_what_we_cannot_read(file: GgufFile, byte_order: str) -> None:
    if byte_order != "LITTLE":
        raise file.problem("it is written for a big-endian machine")
    if (parts := file.find("split.count", int)) and parts > 1:
        how = "join them with `llama-gguf-split --merge` and give the result"
        raise ModelError(f"{file.path}: only one of the {parts} files of a model; {how}.")
    for tensor in file.tensors.values():
        if tensor.type_name not in _READABLE:
            known = ", ".join(sorted(_READABLE))
            raise file.problem(f"its tensor {tensor.name} is of type {tensor.type_name}, and Runoff reads {known}")
