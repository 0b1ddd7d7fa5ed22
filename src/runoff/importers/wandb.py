"""The local files of a wandb run: config.yaml (settings) and wandb-summary.json (last values).

The history itself is in a .wandb file of wandb's own and is not read: that is said. output.log is a log like any other.
Must not: apply rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from runoff.errors import ImportFailed
from runoff.importers.effective import is_number
from runoff.importers.facts import Facts, Importer, Reading, SourceFile, Tally, Told
from runoff.importers.lines import json_line, read_object, read_text
from runoff.importers.objectives import by_its_objective
from runoff.importers.settings_files import plain
from runoff.importers.training_arguments import in_force, is_trainers
from runoff.runs import MetricRow

__all__ = ["WANDB_CONFIG", "WANDB_HISTORY", "WANDB_SUMMARY"]

NO_HISTORY = "wandb keeps the curve in its own .wandb file, which is not read; export it as CSV for the curve"
MAX_YAML_BYTES = 1 << 20


def _read_config(source: SourceFile) -> Reading:
    if source.size > MAX_YAML_BYTES:
        raise ImportFailed(f"{source.name}: has {source.size:,} bytes, too many for a configuration.")
    try:
        tree = YAML(typ="rt").load(read_text(source))
    except (YAMLError, ValueError, TypeError, AttributeError, RecursionError, AssertionError, LookupError):
        raise ImportFailed(f"{source.name}: is not valid YAML. Was the copy interrupted?") from None
    if not isinstance(tree, Mapping):
        raise ImportFailed(f"{source.name}: holds no settings.")
    values = {
        str(key): (plain(value["value"]), _line(tree, key))
        for key, value in tree.items()
        if isinstance(value, Mapping) and "value" in value and not str(key).startswith("_")
    }
    plainly = {key: value for key, (value, _) in values.items()}
    kept = in_force(plainly) if is_trainers(plainly) else plainly
    told = [Told(key, value, f"{source.name}:{values[key][1]}") for key, value in kept.items()]
    return Reading((Facts("record", (), tuple(told), whole_folder=True),), Tally(len(tree)))


def _line(tree: Any, key: object) -> int:
    return int(tree.lc.key(key)[0]) + 1 if hasattr(tree, "lc") else 1


_SUMMARY = {
    "train/loss": ("train", "nats_per_target_token"),
    "train_loss": ("train", "nats_per_target_token"),
    "eval/loss": ("validation", "nats_per_target_token"),
    "val_loss": ("validation", "nats_per_target_token"),
    "train/learning_rate": ("train", "learning_rate"),
    "learning_rate": ("train", "learning_rate"),
    "train/grad_norm": ("train", "gradient_norm"),
}


def _read_summary(source: SourceFile) -> Reading:
    body, text = read_object(source)
    place = f"{source.name}:{json_line(text, '_step')}"
    found: dict[str, dict[str, Any]] = {}
    for key, (kind, field) in _SUMMARY.items():
        if is_number(body.get(key)):
            found.setdefault(kind, {})[field] = float(body[key])
    position: dict[str, Any] = {"iteration": _whole(body.get("iteration"))}
    position["optimizer_updates"] = _whole(body.get("train/global_step"))
    position["epoch"] = float(body["train/epoch"]) if is_number(body.get("train/epoch")) else None
    kinds: tuple[Literal["train", "validation"], ...] = ("train", "validation")
    with_loss = [kind for kind in kinds if "nats_per_target_token" in found.get(kind, {})]
    rows = tuple(by_its_objective(MetricRow(kind, **position, **found[kind], place=place), body) for kind in with_loss)
    if not rows:
        raise ImportFailed(f"{source.name}: holds no loss under a known name (train/loss, eval/loss).")
    return Reading(
        (Facts("summary", rows=rows, notes=(f"{source.name}: {NO_HISTORY}.",), whole_folder=True),), Tally(len(body))
    )


def _whole(value: object) -> int | None:
    return (
        int(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and value == value and abs(value) < 1e15
        else None
    )


def _no_history(source: SourceFile) -> Reading:
    raise ImportFailed(f"{source.name}: {NO_HISTORY}.")


def _is_config(source: SourceFile) -> bool:
    head = source.text_head
    return source.path.suffix in (".yaml", ".yml") and ("_wandb:" in head or "wandb_version:" in head)


WANDB_CONFIG = Importer("wandb config.yaml", _is_config, _read_config)
WANDB_SUMMARY = Importer("wandb summary", lambda source: source.path.name == "wandb-summary.json", _read_summary)
WANDB_HISTORY = Importer("wandb history", lambda source: source.path.suffix == ".wandb", _no_history)
