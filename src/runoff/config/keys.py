"""Which keys a configuration may have, and what kind of value each takes; all read off the schema.

Owns: sections and their keys, the key that a misspelled one was meant to be. Must not: read a file or judge a value.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from runoff.config.optimizers import OPTIMIZERS
from runoff.config.settings import EarlyStopping, LoraParameters, LrSchedule, Settings

__all__ = ["SECTIONS", "is_known", "may_be_null", "nearest_key", "opened", "opens", "takes_numbers_only"]

SECTIONS: dict[str, type[BaseModel]] = {
    "lora_parameters": LoraParameters,
    "lr_schedule": LrSchedule,
    "early_stopping": EarlyStopping,
}
_HF_DATASET = (
    *("path", "config", "train_split", "valid_split", "test_split"),
    *(name for name in Settings.model_fields if name.endswith("_feature")),
)
_NULLABLE = frozenset(
    name for name, info in Settings.model_fields.items() if type(None) in getattr(info.annotation, "__args__", ())
)


def may_be_null(key: str) -> bool:
    """Whether null is a value of this setting; elsewhere it says that nothing is given."""
    return key.partition(".")[0] in _NULLABLE


def opens(dotted: str) -> bool:
    """Whether the keys of a mapping below this key are settings of their own."""
    head, _, rest = dotted.partition(".")
    return (not rest and (head in SECTIONS or head in ("optimizer_config", "hf_dataset"))) or (
        head == "optimizer_config" and "." not in rest
    )


def opened(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Dotted key and value of each setting that a value holds, or of the one that it is."""
    if opens(key) and isinstance(value, Mapping) and value:
        for inner, deep in value.items():
            yield from opened(f"{key}.{inner}", deep)
    else:
        yield key, value


def takes_numbers_only(key: str) -> bool:
    """It takes a number and nothing else, so that true would pass for 1."""
    head, _, rest = key.partition(".")
    fields = SECTIONS[head].model_fields if rest and head in SECTIONS else Settings.model_fields
    kind = fields[rest or head].annotation if (rest or head) in fields else None
    return {kind, *getattr(kind, "__args__", ())} & {int, float} != set() and bool not in getattr(kind, "__args__", ())


def is_known(key: str) -> bool:
    """Whether a dotted key is a setting."""
    head, dot, rest = key.partition(".")
    if not dot:
        return head in Settings.model_fields
    if head in SECTIONS:
        return rest in SECTIONS[head].model_fields
    if head == "optimizer_config":
        return rest.partition(".")[0] in OPTIMIZERS
    return head == "hf_dataset" and rest in _HF_DATASET


def nearest_key(key: str) -> str:
    """The known key that looks most like this one, or nothing."""
    known = [
        *Settings.model_fields,
        *(f"{head}.{name}" for head, cls in SECTIONS.items() for name in cls.model_fields),
        *(f"optimizer_config.{name}" for name in sorted(OPTIMIZERS)),
        *(f"hf_dataset.{name}" for name in _HF_DATASET),
    ]
    spelled = {name.rpartition(".")[2]: name for name in reversed(known)} | {name: name for name in known}
    close = difflib.get_close_matches(key, spelled, n=1, cutoff=0.6)
    return spelled[close[0]] if close else ""
