"""A model folder. Owns: what must lie in one, the sentences for what is missing, and the record of where it came from.

Must not: fetch, convert or change a model.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from runoff.errors import ModelError

__all__ = [
    "RECORD_NAME",
    "ModelRecord",
    "check_model_folder",
    "missing_parts",
    "sha256_of",
    "write_json",
    "write_record",
]

RECORD_NAME = "runoff_model.json"


@dataclass(frozen=True)
class ModelRecord:
    """Where a folder that Runoff made came from; `source_sha256` is of the weights as they were before the making."""

    source: str
    source_sha256: str
    converter: int
    details: dict[str, str] = field(default_factory=dict)


def write_record(folder: Path, record: ModelRecord) -> None:
    """Put the record beside the weights, where a person and a run's own record find it."""
    write_json(folder / RECORD_NAME, asdict(record))


def write_json(path: Path, content: object) -> None:
    """JSON as a person reads it."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def sha256_of(path: Path) -> str:
    """The hash of a whole file; only ever taken while a model is made, never when it is found ready."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_model_folder(folder: Path) -> None:
    """Raise one sentence unless the folder can be loaded; looks at names only, so it costs nothing."""
    try:
        if missing := missing_parts(folder):
            raise ModelError(f"{folder}: not a whole model folder: {' and '.join(missing)} missing; {_advice(folder)}.")
    except OSError as error:
        raise ModelError(f"{folder}: can't be read ({error.strerror or error}); check who may read it.") from error


def missing_parts(folder: Path) -> list[str]:
    """What a loader would look for in vain."""
    parts = [name for name in ("config.json", "tokenizer.json") if not (folder / name).is_file()]
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        parts += [name for name in _shards(index) if not (folder / name).is_file()]
    elif not any(folder.glob("*.safetensors")):
        parts.append("*.safetensors")
    return parts


def _shards(index: Path) -> list[str]:
    try:
        return sorted({str(name) for name in json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{index}: not a list of weight files; download the model again.") from error


def _advice(folder: Path) -> str:
    """What most likely happened, told by what lies there instead."""
    names = {entry.name for entry in folder.iterdir()}
    if RECORD_NAME in names:
        return "delete this folder, and Runoff makes it again"
    if names & {"adapter_config.json", "adapters.safetensors", "adapter_model.safetensors"}:
        return "this is an adapter, so give the base model that it was trained on"
    if ggufs := sorted(name for name in names if name.lower().endswith(".gguf")):
        return f"give the file itself, {folder / ggufs[0]}"
    if any(name.startswith("pytorch_model") for name in names):
        return "Runoff unpickles nothing, so save the model again as safetensors"
    return "download the model again, or give another folder"
