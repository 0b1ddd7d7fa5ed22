"""Checking and importing at size: many logs, one very large log, and `runoff check` on a corpus.

Each measurement is a process of its own; CPU seconds stand beside the wall clock. The logs are made
here, line by line as mlx-lm 0.31 prints them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.job import Job

__all__ = ["run"]

TRAIN = (
    "Iter {it}: Train loss {loss:.3f}, Learning Rate 1.000e-05, It/sec 0.417, Tokens/sec 180.{low:03d}, "
    "Trained Tokens {tokens}, Peak mem 8.082 GB\n"
)
NOISE = "[WARNING] Some sequences are longer than 512 tokens. The longest sentence 739 will be truncated to 512.\n"
BAR = "\rCalculating loss...:  {share:2d}%|####      | {share}/100 [00:03<00:05, 9.8it/s]"


@dataclass(frozen=True)
class _Measured:
    seconds: float
    cpu_seconds: float
    peak_bytes: int

    def __str__(self) -> str:
        return f"{self.seconds:8.2f} s {self.cpu_seconds:8.2f} s CPU {self.peak_bytes / 1e6:8.0f} MB"


def run(job: Job, options: argparse.Namespace) -> dict[str, Any]:
    """One table; sizes by --logs and --log-megabytes."""
    folder = options.out / "importing"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    results = {
        f"import of {options.logs} logs of 100 KB": _many(folder / "many", options.logs),
        f"import of one log of {options.log_megabytes} MB": _large(folder / "large", options.log_megabytes * 10**6),
        "runoff check, the model there": _check(folder, options.data, job.model),
        "runoff check, no model": _check(folder, options.data, "no/such-model"),
        "runoff check --data alone": _timed("check", "--data", str(options.data)),
        "importing the importers": _timed(command=("-c", "import runoff.importers")),
    }
    for name, measured in results.items():
        print(f"{name:<36}{measured}")
    large = results[f"import of one log of {options.log_megabytes} MB"]
    rates = [options.log_megabytes / seconds for seconds in (large.seconds, large.cpu_seconds)]
    print(f"the large log: {rates[0]:.0f} MB a second, {rates[1]:.0f} MB a second of CPU")
    shutil.rmtree(folder)
    return {name: vars(measured) for name, measured in results.items()}


def _timed(*arguments: str, command: tuple[str, ...] = ("-m", "runoff")) -> _Measured:
    """A whole process; 1 is the exit code of a check that found an error."""
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, *command, *arguments], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    code = process.returncode = os.waitstatus_to_exitcode(status)
    if code not in (0, 1):
        raise subprocess.CalledProcessError(code, process.args)
    unit = 1 if sys.platform == "darwin" else 1024
    return _Measured(time.monotonic() - started, used.ru_utime + used.ru_stime, used.ru_maxrss * unit)


def _many(folder: Path, logs: int) -> _Measured:
    for number in range(logs):
        _write_log(folder / "logs" / f"run{number:04d}.log", 100_000, number)
    return _timed("import", str(folder / "logs"), "--runs", str(folder / "runs"))


def _large(folder: Path, size: int) -> _Measured:
    _write_log(folder / "logs" / "large.log", size, 0)
    return _timed("import", str(folder / "logs" / "large.log"), "--runs", str(folder / "runs"))


def _write_log(path: Path, size: int, number: int) -> None:
    """A log as both streams give it: reports, a validation with its bar for each second one, warnings."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written, it = 0, 0
    with path.open("w", encoding="utf-8", newline="") as file:
        written += file.write("Loading pretrained model\nStarting training..., iters: 100000000\n")
        while written < size:
            it += 10
            parts = [NOISE, TRAIN.format(it=it, loss=1 + 1 / it, low=number % 1000, tokens=it * 417)]
            if it % 20 == 0:
                parts += [BAR.format(share=share) for share in range(0, 100, 4)]
                parts.append(f"\nIter {it}: Val loss {1.2 + 1 / it:.3f}, Val took 28.928s\n")
            written += file.write("".join(parts))
        file.write(f"Saved final weights to out/run{number}/adapters.safetensors.\n")


def _check(folder: Path, data: Path, model: str) -> _Measured:
    config = folder / "check.yaml"
    given = {"model": model, "data": str(data), "iters": 1000, "batch_size": 2, "num_layers": 4}
    config.write_text("\n".join(f"{key}: {json.dumps(value)}" for key, value in given.items()) + "\n", "utf-8")
    return _timed("check", str(config))
