"""What was asked: the YAML, each value with its origin. Must not: know models, data or engines."""

from runoff.config.given import Given, Problem, ProblemKind, is_number, yaml_1_1_reading
from runoff.config.keys import takes_numbers_only
from runoff.config.load import Config, Note, Reading, flatten, load_config, parse_config, read_config, read_text
from runoff.config.optimizers import has_own_rate
from runoff.config.origins import DEFAULT, Origin
from runoff.config.settings import EarlyStopping, LoraParameters, LrSchedule, Settings

__all__ = [
    "DEFAULT",
    "Config",
    "EarlyStopping",
    "Given",
    "LoraParameters",
    "LrSchedule",
    "Note",
    "Origin",
    "Problem",
    "ProblemKind",
    "Reading",
    "Settings",
    "flatten",
    "has_own_rate",
    "is_number",
    "load_config",
    "parse_config",
    "read_config",
    "read_text",
    "takes_numbers_only",
    "yaml_1_1_reading",
]
