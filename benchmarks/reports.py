"""Reports and lists of many runs, as whole processes: the time that their processors worked, and what was written.

Process time, not wall time, so that a busy machine changes little. The runs are made up (benchmarks/synthetic.py).
Other trackers do the nearest that they can do with the same numbers, if a Python that has them is named in
RUNOFF_BENCH_TRACKERS (a virtual environment of their own: they want other versions of much); else they are skipped.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.job import Job
from benchmarks.synthetic import write_runs

__all__ = ["process_seconds", "run"]

WHERE = "learning_rate<1e-4 and best_val_loss<2.7"
TRACKERS = {"MLflow": "mlflow_runs.py", "Trackio": "trackio_runs.py"}


@dataclass(frozen=True)
class Measured:
    """One line of the table."""

    what: str
    seconds: float
    goal: float | None = None
    note: str = ""


def run(_job: Job, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure ours against the goals, then the others on the same numbers."""
    found = [*_comparisons(options.out), *_lists(options.out)]
    for name, script in TRACKERS.items():
        found += _tracker(name, Path(__file__).parent / "contenders" / script, options.out)
    for one in found:
        goal = "" if one.goal is None else f"{one.goal:>7.1f} s"
        print(f"{one.what:<58}{one.seconds:>9.2f} s{goal:>11}  {one.note}")
    return [vars(one) for one in found]


def process_seconds(command: list[str]) -> float:
    """Seconds of processor time, user and system, of a command that must end well."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return used.ru_utime + used.ru_stime


def _runoff(*arguments: str) -> float:
    return process_seconds([sys.executable, "-m", "runoff", *arguments])


def _comparisons(out: Path) -> list[Measured]:
    found = []
    for count, points, goal in ((2, 200, 1.0), (50, 2000, 3.0), (2000, 20, 10.0)):
        root = write_runs(out / f"runs-{count}", count, points=points, scored=True)
        report = out / f"report-{count}"
        seconds = _runoff("compare", "run-*", "--runs", str(root), "-o", str(report), "--brief")
        size = (report / "report.html").stat().st_size / 1e6
        what = f"runoff compare, {count:,} runs of {points:,} points"
        found.append(Measured(what, seconds, goal, f"HTML {size:.1f} MB"))
    return found


LOAD = "import sys; from runoff.runs import find_runs, load_run; from pathlib import Path"
LOAD += "; assert sum(len(load_run(one).metrics) for one in find_runs(Path(sys.argv[1]))) >= 50 * 2000"


def _lists(out: Path) -> list[Measured]:
    root = write_runs(out / "runs-10000", 10_000, points=20, scored=False)
    (root / ".index.sqlite").unlink(missing_ok=True)
    command = ("runs", "--runs", str(root), "--where", WHERE, "--sort", "best_val_loss")
    return [
        Measured(
            "Runoff: every point of 50 runs loaded", process_seconds([sys.executable, "-c", LOAD, str(out / "runs-50")])
        ),
        Measured("runoff runs, 10,000 runs, index made from nothing", _runoff(*command), 60.0),
        Measured("runoff runs --where ... --sort ..., 10,000 runs", _runoff(*command), 1.0),
    ]


def _tracker(name: str, script: Path, out: Path) -> list[Measured]:
    """Writing, which may take minutes, is not timed and done once."""
    python = os.environ.get("RUNOFF_BENCH_TRACKERS")
    if python is None:
        print(f"  {name}: skipped, as RUNOFF_BENCH_TRACKERS names no Python that has it")
        return []
    store = out / name.lower()
    command = [str(store), str(out / "runs-50"), str(out / "runs-10000")]
    try:
        if not (store / "written").exists():
            process_seconds([python, str(script), "write", *command])
            (store / "written").touch()
        return [
            Measured(
                f"{name}: every point of 50 runs loaded", process_seconds([python, str(script), "load", *command])
            ),
            Measured(
                f"{name}: 10,000 runs filtered and sorted", process_seconds([python, str(script), "list", *command])
            ),
        ]
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"  {name}: skipped ({error})")
        return []
