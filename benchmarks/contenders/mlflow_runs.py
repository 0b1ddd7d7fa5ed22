"""MLflow with the numbers of made-up run folders: `write` them, `load` every point of some runs, `list` many runs.

Run by the Python of an environment that has mlflow; imports nothing of this project.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def main(phase: str, store: Path, curves: Path, many: Path) -> None:
    """One phase; the two that are timed are processes of their own."""
    import mlflow

    store.mkdir(parents=True, exist_ok=True)
    client = mlflow.MlflowClient(f"sqlite:///{store}/mlflow.db")
    if phase == "write":
        for name, root in (("curves", curves), ("many", many)):
            experiment = client.create_experiment(name)
            for folder in sorted(path.parent for path in root.glob("*/run.json")):
                _write(client, experiment, folder, every=name == "curves")
    elif phase == "load":
        experiment = client.get_experiment_by_name("curves").experiment_id
        points = 0
        for run in client.search_runs([experiment], max_results=1000):
            points += sum(len(client.get_metric_history(run.info.run_id, key)) for key in run.data.metrics)
        assert points >= 4 * 50 * 2000
    else:
        experiment = client.get_experiment_by_name("many").experiment_id
        # Parameters are texts in MLflow, so that a rate can't be filtered by size: that is done here.
        found = client.search_runs(
            [experiment], "metrics.val_loss < 2.7", max_results=50_000, order_by=["metrics.val_loss"]
        )
        assert [run for run in found if float(run.data.params["learning_rate"]) < 1e-4]


def _write(client: Any, experiment: str, folder: Path, *, every: bool) -> None:
    from mlflow.entities import Metric, Param

    run = client.create_run(experiment, run_name=folder.name).info.run_id
    with (folder / "metrics.jsonl").open() as lines:
        rows = [json.loads(line) for line in lines]
    wanted = ("nats_per_target_token", "learning_rate", "tokens_per_second", "peak_memory_bytes")
    metrics = [
        Metric(f"{row['kind']}_{key}", row[key], 0, row["iteration"]) for row in rows for key in wanted if key in row
    ]
    if not every:
        losses = [row["nats_per_target_token"] for row in rows if row["kind"] == "validation"]
        metrics = [Metric("val_loss", min(losses), 0, 0)]
    settings = json.loads((folder / "plan.json").read_text())["settings"]
    params = [Param(key, str(value["value"])) for key, value in settings.items() if value["value"] is not None]
    client.log_batch(run, params=params[:100])
    for start in range(0, len(metrics), 1000):
        client.log_batch(run, metrics=metrics[start : start + 1000])


if __name__ == "__main__":
    main(sys.argv[1], *map(Path, sys.argv[2:5]))
