"""Start-up: `runoff --help`, and `runoff compare` of two finished runs, as whole processes."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.job import Job
from benchmarks.reports import process_seconds
from benchmarks.synthetic import write_runs

__all__ = ["run"]

REPEATS = 7
GOALS = {"runoff --help": 0.3, "runoff compare, two finished runs": 1.5}


def run(_job: Job, options: argparse.Namespace) -> dict[str, Any]:
    """Medians over several processes, of the time on the clock and of processor time."""
    root = Path("demo/runs")
    if not all((root / name / "run.json").exists() for name in ("long", "short")):
        print("  no demo/runs (make demo): two made-up runs are compared")
        root = write_runs(options.out / "runs-2", 2, points=200, scored=True)
    names = sorted(path.parent.name for path in root.glob("*/run.json"))[:2]
    commands = {
        "runoff --help": ["--help"],
        "runoff compare, two finished runs": [
            "compare", *names, "--runs", str(root), "-o", str(options.out / "report")
        ],
    }  # fmt: skip
    results = {name: _medians(arguments) for name, arguments in commands.items()}
    for name, (wall, process) in results.items():
        print(f"{name:<36}{wall:>8.2f} s{process:>8.2f} s of processor time (goal {GOALS[name]} s)")
    return {name: {"seconds": wall, "process_seconds": process} for name, (wall, process) in results.items()}


def _medians(arguments: list[str]) -> tuple[float, float]:
    turns = []
    for _ in range(REPEATS):
        started = time.monotonic()
        process = process_seconds([sys.executable, "-m", "runoff", *arguments])
        turns.append((time.monotonic() - started, process))
    walls, processes = zip(*turns, strict=True)
    return statistics.median(walls), statistics.median(processes)
