"""The job that all contenders do: the schedule of a real run, on a stated part of the data."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from runoff.models import get_model

__all__ = ["Job", "chosen", "make_job", "read_job"]


LONG = 200
"""Iterations from which a run validates every 50, as the real one does; a shorter one would hardly validate at all."""


@dataclass(frozen=True)
class Job:
    """12 of 30 blocks, rank 8, batch 2, accumulation 16, rows up to 800 tokens, as a real pair of runs had it."""

    model: str
    data: str
    out: str
    rows: int
    valid_rows: int
    iterations: int
    validate_every: int
    batch_size: int = 2
    accumulation: int = 16
    num_layers: int = 12
    blocks: int = 30
    rank: int = 8
    scale: float = 10.0
    learning_rate: float = 2e-4
    max_seq_length: int = 800
    seed: int = 0


def make_job(options: argparse.Namespace) -> Job:
    """Take the first rows of train and valid into a folder of their own, for every contender the same."""
    folder = options.out / "data"
    folder.mkdir(parents=True, exist_ok=True)
    for name, count in (("train", options.rows), ("valid", options.valid_rows)):
        lines = (options.data / f"{name}.jsonl").read_text("utf-8").splitlines(keepends=True)
        (folder / f"{name}.jsonl").write_text("".join(lines[:count]), "utf-8")
    # Whole updates: TRL counts those. It also ends one with each epoch, so rows should be a multiple of 32.
    updates = math.ceil(options.epochs * options.rows / (Job.batch_size * Job.accumulation))
    iterations = updates * Job.accumulation
    job = Job(
        model=str(get_model("smollm2-135m")),
        data=str(folder),
        out=str(options.out),
        rows=options.rows,
        valid_rows=options.valid_rows,
        iterations=iterations,
        validate_every=50 if iterations >= LONG else 16,
    )
    (options.out / "job.json").write_text(json.dumps(asdict(job)))
    return job


def read_job(path: Path) -> Job:
    """For a contender's own process."""
    return Job(**json.loads(path.read_text("utf-8")))


def chosen(names: Collection[str], only: Sequence[str] | None) -> list[str]:
    """The contenders to run: all, those of a whole name, or those with a part of one in theirs."""
    if not only:
        return list(names)
    return [name for name in names if any(part == name if part in names else part in name for part in only)]
