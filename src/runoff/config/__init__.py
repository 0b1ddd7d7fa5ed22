"""What was asked: the YAML, each value with its origin. Must not: know models, data or engines."""

from runoff.config.load import Config, Note, flatten, load_config, parse_config
from runoff.config.origins import DEFAULT, Origin
from runoff.config.settings import EarlyStopping, LoraParameters, LrSchedule, Settings

__all__ = [
    "DEFAULT",
    "Config",
    "EarlyStopping",
    "LoraParameters",
    "LrSchedule",
    "Note",
    "Origin",
    "Settings",
    "flatten",
    "load_config",
    "parse_config",
]
