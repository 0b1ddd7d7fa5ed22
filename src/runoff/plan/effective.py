"""Settings as they take effect. Owns: the table of them. Must not: count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runoff.config import Config, Origin, flatten

__all__ = ["Effective", "effective_settings"]


@dataclass(frozen=True, slots=True)
class Effective:
    """One setting as it takes effect."""

    key: str
    value: Any
    origin: Origin


def effective_settings(config: Config) -> tuple[Effective, ...]:
    """Every setting in the order of the option table."""
    settings = config.settings
    rows = []
    for key, value in flatten(settings).items():
        if key == "iters" and settings.epochs is not None:
            rows.append(Effective(key, value, Origin("derived", why=f"epochs: {settings.epochs:g}")))
        elif key == "learning_rate" and settings.lr_schedule is not None:
            rows.append(Effective(key, settings.lr_schedule.arguments[0], Origin("derived", why="lr_schedule")))
        elif key.startswith("lora_parameters") and settings.fine_tune_type == "full":
            rows.append(Effective(key, None, Origin("derived", why="fine_tune_type: full")))
        else:
            rows.append(Effective(key, value, config.origin(key)))
    return tuple(rows)
