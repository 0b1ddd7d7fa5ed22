"""Runs as they are remembered: records and run folders. Must not: know engines."""

from runoff.runs.choose import choose_runs
from runoff.runs.folder import RunFolder, find_runs, judge_cache_file, runs_root, trunk_folder, votes_file
from runoff.runs.index import list_runs
from runoff.runs.record import (
    SCHEMA_VERSION,
    Identity,
    MetricRow,
    PlanRecord,
    Value,
    model_identity,
    plan_record,
    timestamp,
)
from runoff.runs.store import Run, create_run, free_folder, load_run

__all__ = [
    "SCHEMA_VERSION",
    "Identity",
    "MetricRow",
    "PlanRecord",
    "Run",
    "RunFolder",
    "Value",
    "choose_runs",
    "create_run",
    "find_runs",
    "free_folder",
    "judge_cache_file",
    "list_runs",
    "load_run",
    "model_identity",
    "plan_record",
    "runs_root",
    "timestamp",
    "trunk_folder",
    "votes_file",
]
