"""Every importer, in the order in which they are asked. A new format is one new file and one entry here."""

from __future__ import annotations

from runoff.importers.adapter_files import MLX_CONFIG, PEFT_CONFIG, TENSORS
from runoff.importers.columns import CSV_TABLE, JSON_LINES, JSON_LIST, JSON_LISTS
from runoff.importers.facts import Importer
from runoff.importers.json_files import METRICS_JSON
from runoff.importers.log_hf import hugging_face_lines
from runoff.importers.log_mlx_console import mlx_console_lines
from runoff.importers.log_mlx_lm import mlx_lm_lines
from runoff.importers.log_others import other_lines
from runoff.importers.logs import log_importer
from runoff.importers.model_card import MODEL_CARD
from runoff.importers.panels import PANEL, RUNS_TABLE
from runoff.importers.settings_files import YAML_CONFIG
from runoff.importers.tensorboard import TENSORBOARD
from runoff.importers.trainer_state import TRAINER_STATE
from runoff.importers.wandb import WANDB_CONFIG, WANDB_HISTORY, WANDB_SUMMARY

__all__ = ["IMPORTERS"]

LOG = log_importer((mlx_lm_lines, mlx_console_lines, hugging_face_lines, other_lines))

IMPORTERS: tuple[Importer, ...] = (
    TENSORS,
    TENSORBOARD,
    MODEL_CARD,
    WANDB_HISTORY,
    WANDB_CONFIG,
    WANDB_SUMMARY,
    PEFT_CONFIG,
    MLX_CONFIG,
    TRAINER_STATE,
    JSON_LISTS,
    JSON_LINES,
    JSON_LIST,
    METRICS_JSON,
    YAML_CONFIG,
    PANEL,
    RUNS_TABLE,
    CSV_TABLE,
    LOG,
)
