"""YAML configurations, as their owners wrote them: every key with its line, foreign and misplaced ones too.

Must not: judge a key (the rules do), or follow a path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import YAMLError

from runoff.errors import ImportFailed
from runoff.importers.facts import Clue, Facts, Importer, Reading, SourceFile, Tally, Told
from runoff.importers.lines import read_text

__all__ = ["YAML_CONFIG"]

MAX_YAML_BYTES = 1 << 20
_KEY = re.compile(r"^[A-Za-z_][\w.-]*\s*:(\s|$)", re.M)
_OPENED = ("lora_parameters", "lr_schedule")
_TOOL_KEYS = {
    "axolotl": ("base_model", "micro_batch_size", "sequence_len", "adapter"),
    "llama-factory": ("model_name_or_path", "finetuning_type", "cutoff_len", "stage"),
    "mlx-lm": ("iters", "num_layers", "lora_layers", "lora_parameters", "steps_per_eval", "steps_per_report"),
}


def _read(source: SourceFile) -> Reading:
    if source.size > MAX_YAML_BYTES:
        raise ImportFailed(f"{source.name}: has {source.size:,} bytes, too many for a configuration.")
    text = read_text(source)
    try:
        tree = YAML(typ="rt").load(text)
    except DuplicateKeyError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        found = re.search(r'duplicate key "([^"]*)"', str(error.problem))
        key = found[1] if found else "a key"
        raise ImportFailed(
            f"{source.name}{line}: {key} stands here a second time. Most tools take the last; keep the line that held."
        ) from None
    except (YAMLError, ValueError, TypeError, AttributeError, RecursionError, AssertionError, LookupError):
        raise ImportFailed(f"{source.name}: is not valid YAML. Was the copy interrupted?") from None
    if not isinstance(tree, CommentedMap):
        raise ImportFailed(f"{source.name}: holds no settings, one `key: value` a line.")
    told = tuple(_told(tree, source.name))
    labels = [
        _last(item.value) for item in told if item.key in ("adapter_path", "output_dir") and isinstance(item.value, str)
    ]
    facts = Facts("asked", tuple(label for label in labels if label), told, clues=tuple(_clues(told)))
    return Reading((facts,), Tally(text.count("\n") + (not text.endswith("\n"))))


def _told(tree: CommentedMap, name: str) -> Iterator[Told]:
    for key, value in tree.items():
        place = f"{name}:{_line(tree, key)}"
        if key in _OPENED and isinstance(value, CommentedMap):
            for inner, deep in value.items():
                yield Told(f"{key}.{inner}", plain(deep), f"{name}:{_line(value, inner)}")
        else:
            yield Told(str(key), plain(value), place)


def _line(tree: CommentedMap, key: Any) -> int:
    try:
        return int(tree.lc.key(key)[0]) + 1
    except (KeyError, TypeError, AttributeError):
        return 1


def plain(value: Any, depth: int = 0) -> Any:
    """Without the YAML library's own types; what JSON has no word for becomes text."""
    if isinstance(value, Mapping) and depth < 20:
        return {str(key): plain(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple) and depth < 20:
        return [plain(inner, depth + 1) for inner in value]
    if isinstance(value, bool) or value is None:
        return value
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return str(value)[:200]


def _clues(told: tuple[Told, ...]) -> Iterator[Clue]:
    keys = {item.key.partition(".")[0] for item in told}
    for tool, wanted in _TOOL_KEYS.items():
        found = [key for key in wanted if key in keys]
        if len(found) >= 2:
            yield Clue(tool, f"the YAML's keys are {tool}'s ({', '.join(found)})")
            return


def _last(path: str) -> str:
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2]


def _is_yaml(source: SourceFile) -> bool:
    if source.is_binary or source.path.suffix not in (".yaml", ".yml", ".txt", ".conf", ""):
        return False
    return source.path.suffix in (".yaml", ".yml") or len(_KEY.findall(source.text_head)) >= 5


YAML_CONFIG = Importer("YAML", _is_yaml, _read)
