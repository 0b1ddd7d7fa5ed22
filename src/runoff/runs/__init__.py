"""Runs as they are remembered: records and run folders. Must not: know engines."""

from runoff.runs.choose import choose_runs
from runoff.runs.index import list_runs
from runoff.runs.record import SCHEMA_VERSION, Identity, MetricRow, PlanRecord, Value, plan_record
from runoff.runs.store import (
    Run,
    RunFolder,
    create_run,
    find_runs,
    free_folder,
    judge_cache_file,
    load_run,
    runs_root,
    trunk_folder,
    votes_file,
)

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
    "plan_record",
    "runs_root",
    "trunk_folder",
    "votes_file",
]
