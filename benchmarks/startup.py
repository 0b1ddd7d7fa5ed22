"""Start-up: `runoff --help`, and `runoff compare` of two finished runs, as whole processes."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.job import Job

__all__ = ["run"]


def run(job: Job, options: argparse.Namespace) -> dict[str, Any]:
    """Medians of several processes."""
    commands = {"runoff --help": ["--help"]}
    finished = [path for path in (Path("demo/runs/long"), Path("demo/runs/short")) if (path / "run.json").exists()]
    if len(finished) == 2:
        commands["runoff compare, two finished runs"] = [
            "compare",
            *map(str, finished),
            "-o",
            str(options.out / "report"),
        ]
    else:
        print("  runoff compare: not timed, as there is no demo/runs (make demo)")
    results = {name: _seconds(arguments) for name, arguments in commands.items()}
    for name, seconds in results.items():
        print(f"{name:<36}{seconds:>8.2f} s")
    return results


def _seconds(arguments: list[str], repeats: int = 7) -> float:
    times = []
    for _ in range(repeats):
        started = time.monotonic()
        subprocess.run([sys.executable, "-m", "runoff", *arguments], check=True, stdout=subprocess.DEVNULL)
        times.append(time.monotonic() - started)
    return statistics.median(times)
