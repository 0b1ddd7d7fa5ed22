"""Dispatch. Owns: what a model's name may be, and who turns each kind of name into a folder.

Must not: read or write model files itself; the modules beside it do, and are imported only when they are needed, so
that `import runoff.models` costs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runoff.errors import ModelError
from runoff.models.folder import check_model_folder

__all__ = ["get_model", "recorded_model"]

EMBEDDED = "smollm2-135m"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


def get_model(name_or_path: str, *, progress: Callable[[str], None] | None = None) -> Path:
    """The local folder of a model given as a folder, a .gguf file, a Hugging Face id, or "smollm2-135m".

    The folder holds config.json, safetensors, tokenizer.json, tokenizer_config.json and (where the source has one)
    generation_config.json. What had to be made is kept in $RUNOFF_HOME/models, so that the next call only looks.
    `progress` gets a line of plain text whenever something slow begins.
    """
    say = progress or _say_nothing
    if name_or_path == EMBEDDED:
        from runoff.models.embedded import embedded_model

        return embedded_model(EMBEDDED, say)
    path = _as_path(name_or_path)
    if path.suffix.lower() == ".gguf":
        from runoff.models.gguf_convert import converted_gguf

        return converted_gguf(path, say)
    if path.is_dir():
        check_model_folder(path)
        return path
    if path.exists():
        raise ModelError(f"{path}: a model is a folder or a .gguf file, and this is neither.")
    if _HUB_ID.fullmatch(name_or_path):
        from runoff.models.hub import hub_model

        return hub_model(name_or_path, say)
    raise ModelError(
        f'model "{name_or_path}": there is no such folder or file; give a model folder, a .gguf file, '
        f'a Hugging Face id such as "HuggingFaceTB/SmolLM2-135M-Instruct", or "{EMBEDDED}".'
    )


def recorded_model(record: Mapping[str, Any], *, progress: Callable[[str], None] | None = None) -> Path:
    """The local folder of the base that a run's record names: the folder while it is there, else by the name.

    Raises:
        ModelError: as `get_model`, or where the record names none (an import's files need not).
    """
    folder, name = record.get("folder"), record.get("name")
    if folder and Path(str(folder)).is_dir():
        return Path(str(folder))
    if not name:
        raise ModelError("the run's record names no base model; import the run again with --set model=NAME.")
    return get_model(str(name), progress=progress)


def _as_path(name: str) -> Path:
    if not name or "\0" in name:
        raise ModelError('the model\'s name is empty or no name at all; give a folder, a .gguf file or "smollm2-135m".')
    try:
        return Path(name).expanduser()
    except RuntimeError as error:  # ~somebody who has no home
        raise ModelError(f"model {name}: there is no home folder of that name; write the path out.") from error


def _say_nothing(_: str) -> None:
    return None
