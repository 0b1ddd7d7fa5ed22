"""`--set key=value`: what a person remembers of a run, marked as such.

Must not: take a key that it does not know.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from runoff.config import Settings, flatten
from runoff.data import RowSet, load_rows
from runoff.data.rows import SPLITS
from runoff.errors import ImportFailed
from runoff.importers.effective import is_number
from runoff.importers.facts import Told
from runoff.importers.json_files import summary_rows
from runoff.importers.settings_files import plain
from runoff.runs import MetricRow

__all__ = ["counted", "read_assignments", "rows_by_hand"]

PLACE = "--set"
_COUNTS = (
    "train_rows",
    "valid_rows",
    "longest_row_tokens",
    "trainable_parameters",
    "effective_batch_rows",
    "optimizer_updates",
)
_METRICS = (
    "final_iteration", "final_train_loss", "final_val_loss", "final_learning_rate", "total_trained_tokens",
    "peak_memory_gb", "final_val_time_sec", "final_tokens_per_sec", "final_iterations_per_sec", "final_global_step",
)  # fmt: skip
_SETTINGS = tuple(flatten(Settings()))


def read_assignments(assignments: Sequence[str]) -> tuple[tuple[Told, ...], tuple[Told, ...], tuple[MetricRow, ...]]:
    """Settings, counts and final metrics.

    Raises:
        ImportFailed: not key=value, an unknown key (with the nearest), or a value of the wrong kind.
    """
    settings, counts, metrics = [], [], {}
    for text in assignments:
        key, value = _split(text)
        if key in _COUNTS:
            counts.append(Told(key, _whole(key, value), PLACE))
        elif key in _METRICS:
            metrics[key] = _number(key, value)
        elif key in _SETTINGS:
            settings.append(Told(key, value, PLACE))
        else:
            close = difflib.get_close_matches(key, [*_COUNTS, *_METRICS, *_SETTINGS], n=1)
            hint = (
                f"; did you mean {close[0]}?"
                if close
                else f". Counts: {', '.join(_COUNTS)}. Metrics: {', '.join(_METRICS)}."
            )
            raise ImportFailed(f"--set {text}: {key} is not known{hint}")
    rows, _ = summary_rows(metrics, PLACE)
    return tuple(settings), tuple(counts), tuple(rows)


def rows_by_hand(settings: Sequence[Told]) -> dict[str, RowSet]:
    """The rows in the folder of `--set data=FOLDER`, which a person says are those of the run.

    Raises:
        DataError: a row can't be read.
    """
    folders = [Path(told.value) for told in settings if told.key == "data" and isinstance(told.value, str)]
    paths = {split: folder / f"{split}.jsonl" for folder in folders for split in SPLITS}
    return {split: load_rows(path, name=split) for split, path in paths.items() if path.is_file()}


def counted(rows: Mapping[str, RowSet], counts: Sequence[Told]) -> tuple[Told, ...]:
    """The counts given by hand, and those of such rows where none is."""
    given = {told.key for told in counts}
    found = {f"{split}_rows": len(some.rows) for split, some in rows.items() if split != "test"}
    return (*counts, *(Told(key, count, PLACE) for key, count in found.items() if key not in given))


def _split(text: str) -> tuple[str, Any]:
    key, equals, raw = text.partition("=")
    if not equals or not key.strip() or not raw.strip():
        raise ImportFailed(f"--set {text}: write it as key=value, e.g. --set final_val_loss=1.6.")
    try:
        return key.strip(), plain(YAML(typ="safe", pure=True).load(raw))
    except (YAMLError, ValueError):
        raise ImportFailed(f"--set {text}: the value can't be read.") from None


def _whole(key: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ImportFailed(f"--set {key}={value}: must be a whole number, 0 or above.")
    return value


def _number(key: str, value: Any) -> float:
    if not is_number(value):
        raise ImportFailed(f"--set {key}={value}: must be a number.")
    return float(value)
