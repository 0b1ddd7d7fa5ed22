"""Base models that are on this machine already. Owns: looking. Must not: fetch, convert or ask the network."""

from __future__ import annotations

from pathlib import Path

from runoff.errors import ModelError
from runoff.models.cache import models_home
from runoff.models.folder import check_model_folder

__all__ = ["find_local"]


def find_local(name_or_path: str) -> Path | None:
    """The folder of a model that `get_model` would give without making anything, or None."""
    from runoff.models.get import EMBEDDED

    if name_or_path == EMBEDDED:
        return _whole(models_home() / EMBEDDED)
    path = Path(name_or_path).expanduser()
    if path.suffix.lower() == ".gguf":
        from runoff.models.gguf_convert import cache_name

        return _whole(models_home() / cache_name(path)) if path.is_file() else None
    if path.is_dir():
        return _whole(path)
    if name_or_path.count("/") != 1 or path.is_absolute() or name_or_path.startswith("."):
        return None
    return _in_hub_cache(name_or_path)


def _in_hub_cache(repo: str) -> Path | None:
    """Looks for the repository's folder first: most of the hub's library is only imported where there is one."""
    from huggingface_hub.constants import HF_HUB_CACHE

    if not Path(HF_HUB_CACHE, f"models--{repo.replace('/', '--')}").is_dir():
        return None
    from runoff.models.hub import cached_model

    return cached_model(repo)


def _whole(folder: Path) -> Path | None:
    try:
        check_model_folder(folder)
    except ModelError:
        return None
    return folder
