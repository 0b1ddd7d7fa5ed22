"""From a .gguf file to a model folder. Owns: the order of the steps, and under which name the result is kept.

Must not: know the details of weights, configurations or tokenizers; the modules beside it do.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

from runoff.errors import ModelError
from runoff.models.cache import made_once
from runoff.models.folder import ModelRecord, sha256_of, write_json, write_record

__all__ = ["CONVERTER", "cache_name", "convert_gguf", "converted_gguf"]

CONVERTER = 1  # raise it when the same file would give another folder
_SAMPLE = 1 << 20


def converted_gguf(path: Path, say: Callable[[str], None]) -> Path:
    """The model folder of a .gguf file, converted at the first call."""

    def make(folder: Path) -> None:
        say(f"Converting {path.name}")
        dtype = convert_gguf(path, folder)
        write_record(folder, ModelRecord(path.name, sha256_of(path), CONVERTER, {"dtype": dtype}))

    return made_once(cache_name(path), make)


def convert_gguf(path: Path, folder: Path) -> str:
    """Fill a folder; returns the type of the weights. What is refused is refused before anything large is written."""
    from runoff.models.gguf_config import config_json, generation_config_json, read_shape
    from runoff.models.gguf_file import open_gguf
    from runoff.models.gguf_tokenizer import write_tokenizer
    from runoff.models.gguf_weights import write_weights

    file = open_gguf(path)
    shape = read_shape(file)
    write_tokenizer(file, folder, shape.context)
    dtype = write_weights(file, shape, folder / "model.safetensors")
    write_json(folder / "config.json", config_json(file, shape, dtype))
    write_json(folder / "generation_config.json", generation_config_json(file))
    return dtype


def cache_name(path: Path) -> str:
    """The file's stem and a fingerprint: size, time of change, first and last megabyte, and our converter's version.

    Not a hash of the whole file, which would take seconds at every call; a copy with another time of change is
    converted again, which costs a little disk and is never wrong. The record beside the weights has the whole hash.
    """
    try:
        status = path.stat()
        with path.open("rb") as file:
            sample = file.read(_SAMPLE)
            file.seek(max(0, status.st_size - _SAMPLE))
            sample += file.read(_SAMPLE)
    except OSError as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror or str(error)
        raise ModelError(f"{path}: can't be read ({reason}); check the path.") from error
    stamp = f"{CONVERTER} {status.st_size} {status.st_mtime_ns} ".encode()
    stem = re.sub(r"[^\w-]+", "-", path.stem, flags=re.ASCII).strip("-")[:60]
    return f"{stem or 'model'}-{hashlib.sha256(stamp + sample).hexdigest()[:12]}"
