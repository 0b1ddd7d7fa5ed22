"""From one adapter format to the other.

Owns: what conversion refuses beyond what reading does, and that the new folder is whole or absent. Must not: know the
formats themselves (engines/adapters.py does).
"""

from __future__ import annotations

import contextlib
import shutil
import uuid
from pathlib import Path
from typing import Literal

from runoff.engines.adapters.folders import adapter_config, read_lora, tensor_names, write_mlx, write_peft
from runoff.errors import ModelError, disk_error
from runoff.plan import LoraSpec, ModelFacts

__all__ = ["base_of", "convert_adapter"]


def base_of(source: Path) -> str:
    """The base that an adapter's own settings name.

    Raises:
        ModelError: they name none.
    """
    config = adapter_config(source)
    name = config.get("base_model_name_or_path") or config.get("model")
    if not isinstance(name, str) or not name:
        raise ModelError(f"{source}: does not say which base it belongs to. Name it with --base.")
    return name


def convert_adapter(
    source: Path, target: Path, to: Literal["mlx", "peft"], model: ModelFacts, base_name: str
) -> LoraSpec:
    """Write the adapter in `source` (a folder of either format, or a numbered checkpoint in one) to a new folder.

    Raises:
        ModelError: it can't be read or carried over, by name; or `target` exists.
        RunError: the disk is full or the folder not writable.
    """
    if target.exists():
        raise ModelError(f"{target}: exists already. Name a new folder.")
    spec, parameters = read_lora(source, model)
    if spec.kind == "dora" and spec.dropout > 0:
        raise ModelError(
            f"{source}: DoRA with dropout {spec.dropout:g} can't be carried over: PEFT drops the base's input too, "
            "mlx-lm the adapter's alone, so it would train on as another run. Set the dropout in its "
            "adapter_config.json to 0 if it is only to be used; that changes no answer."
        )
    if any("language_model." in name for name in tensor_names(source)):
        raise ModelError(
            f"{source}: belongs to the language part of a larger model, which the two libraries name differently, so "
            "it can't be carried over."
        )
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        if to == "mlx":
            write_mlx(part, spec, parameters, base_name, model.blocks)
        else:
            write_peft(part, spec, parameters, base_name)
        part.rename(target)
    except OSError as error:
        raise disk_error(error, target, "the adapter") from None
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(part)
    return spec
