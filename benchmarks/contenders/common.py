"""What contenders share: the clock's borders, memory, the rows as tokens, and one scorer for every adapter.

The time of a contender starts when its model is loaded and its rows are tokens, and ends when its adapter is on disk:
training, validation, saving. `target_tokens` are the answers' tokens that were trained on. `cpu_seconds` (user and
system, children too) say more than the wall on a machine that is shared.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.job import Job, read_job
from runoff.config import Settings
from runoff.data import Encoded, encode_for_scoring, encode_for_training, load_dataset, load_tokenizer
from runoff.engines import open_base
from runoff.engines.adapters.folders import read_adapter
from runoff.engines.scoring import mean_loss, score_batches, scoring_batches
from runoff.plan import read_model_facts

__all__ = ["Clock", "job_from_argv", "print_result", "rows"]


def job_from_argv() -> Job:
    """The job named on the command line."""
    return read_job(Path(sys.argv[1]))


def rows(job: Job) -> tuple[list[Encoded], list[Encoded]]:
    """Train (answers as targets) and valid as tokens."""
    dataset = load_dataset(Settings(data=job.data))
    tokenizer = load_tokenizer(Path(job.model))
    train = encode_for_training(dataset.train.rows, tokenizer, mask_prompt=True, max_seq_length=job.max_seq_length)
    valid = dataset.valid.rows if dataset.valid else ()
    return train, encode_for_scoring(valid, tokenizer, max_seq_length=job.max_seq_length)


class Clock:
    """Runs from its making on."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.monotonic(), self._cpu_seconds()

    def stop(self) -> dict[str, float]:
        """Wall and CPU seconds so far."""
        return {"seconds": time.monotonic() - self._wall, "cpu_seconds": self._cpu_seconds() - self._cpu}

    @staticmethod
    def _cpu_seconds() -> float:
        times = os.times()
        return times.user + times.system + times.children_user + times.children_system


def print_result(job: Job, seconds: dict[str, float], target_tokens: int, adapter: Path | None, **extra: Any) -> None:
    """Take the memory first, then score the adapter, outside the clock, in float32 on torch for everyone alike.

    The memory is that of the largest process, for a command is a child of the contender that runs it.
    """
    most = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    peak = most * (1 if sys.platform == "darwin" else 1024)
    result = {**seconds, "target_tokens": target_tokens, "peak_memory_bytes": peak, **extra}
    if adapter is not None:
        spec, parameters = read_adapter(adapter, read_model_facts(Path(job.model)))
        base = open_base(Path(job.model), engine="torch", dtype="float32")
        engine = base.attach(spec)
        engine.set_parameters(parameters)
        result["held_out_loss"] = mean_loss(score_batches(engine, scoring_batches(rows(job)[1])))
    print("RESULT " + json.dumps(result), flush=True)
