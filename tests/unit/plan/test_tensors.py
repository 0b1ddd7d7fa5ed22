"""The header of a safetensors file, as the package reads it, and the sentence for a file that is none."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from runoff.errors import ModelError
from runoff.plan import TensorInfo, read_header


def written(path: Path, header: object, data: bytes = b"") -> Path:
    body = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(body)) + body + data)
    return path


def test_names_types_and_shapes(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "a": np.zeros((2, 3), np.float32),
        "b": np.zeros((), np.int64),
        "c": np.zeros((0, 4), np.float16),
    }
    safetensors.numpy.save_file(arrays, path, {"format": "pt"})
    assert read_header(path) == {
        "a": TensorInfo("F32", (2, 3)),
        "b": TensorInfo("I64", ()),
        "c": TensorInfo("F16", (0, 4)),
    }


def test_every_tensor_of_a_model_is_seen(tiny_model: Path) -> None:
    path = tiny_model / "model.safetensors"
    loaded = safetensors.numpy.load_file(path)
    assert {name: info.shape for name, info in read_header(path).items()} == {
        name: array.shape for name, array in loaded.items()
    }


GOOD = {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}


@pytest.mark.parametrize(
    ("header", "data", "why"),
    [
        (GOOD, b"123", "it has 72 bytes, but should have 73: an interrupted copy?"),
        (GOOD, b"12345", "it has 74 bytes, but should have 73: an interrupted copy?"),
        (b"{", b"", "its header has an impossible length"),
        (b"{]", b"", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ([1, 2], b"", "'list' object has no attribute 'items'"),
        ({"a": {"shape": [1]}}, b"", "'dtype'"),
        ({"a": 5}, b"", "'int' object is not subscriptable"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, header: object, data: bytes, why: str) -> None:
    path = written(tmp_path / "x.safetensors", header, data)
    with pytest.raises(ModelError) as caught:
        read_header(path)
    assert str(caught.value) == f"{path}: is not a whole safetensors file ({why}). Copy or download it again."


@pytest.mark.parametrize("content", [b"", b"1234567", b"\xff" * 8, b"\xff" * 4096, struct.pack("<Q", 99_999_999)])
def test_bytes_that_are_no_header(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="is not a whole safetensors file"):
        read_header(path)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        read_header(tmp_path / "none.safetensors")
    assert str(caught.value) == f"{tmp_path / 'none.safetensors'}: can't be read (No such file or directory)."
