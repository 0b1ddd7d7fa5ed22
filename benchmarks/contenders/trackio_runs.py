"""Trackio with the numbers of made-up run folders: `write` them, `load` every point of some runs, `list` many runs.

Run by the Python of an environment that has trackio; imports nothing of this project.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any


def main(phase: str, store: Path, curves: Path, many: Path) -> None:
    """One phase; the two that are timed are processes of their own."""
    os.environ["TRACKIO_DIR"] = str(store)
    from trackio.sqlite_storage import SQLiteStorage as storage

    if phase == "write":
        for project, root in (("curves", curves), ("many", many)):
            for folder in sorted(path.parent for path in root.glob("*/run.json")):
                rows = _rows(folder) if project == "curves" else [_best(folder)]
                storage.bulk_log(project, folder.name, rows, config=_config(folder))
    elif phase == "load":
        logs = [storage.get_logs("curves", run) for run in storage.get_runs("curves")]
        assert sum(map(len, logs)) >= 50 * 2000
    else:
        configs = storage.get_all_run_configs("many")
        fitting = [run for run, config in configs.items() if config["learning_rate"] < 1e-4]
        found = [(log[0]["val_loss"], run) for run in fitting if (log := storage.get_logs("many", run))]
        assert sorted(one for one in found if one[0] < 2.7)


def _rows(folder: Path) -> list[dict[str, Any]]:
    with (folder / "metrics.jsonl").open() as lines:
        return [{key: value for key, value in json.loads(line).items() if key != "kind"} for line in lines]


def _best(folder: Path) -> dict[str, Any]:
    with (folder / "metrics.jsonl").open() as lines:
        rows = [json.loads(line) for line in lines]
    return {"val_loss": min(row["nats_per_target_token"] for row in rows if row["kind"] == "validation")}


def _config(folder: Path) -> dict[str, Any]:
    settings = json.loads((folder / "plan.json").read_text())["settings"]
    return {key: value["value"] for key, value in settings.items() if isinstance(value["value"], int | float | str)}


if __name__ == "__main__":
    main(sys.argv[1], *map(Path, sys.argv[2:5]))
