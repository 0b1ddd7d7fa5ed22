"""Runoff's own loop on the torch engine, through the public `train`."""

from __future__ import annotations

import os
import time
from pathlib import Path

from benchmarks.contenders.common import job_from_argv, print_result
from benchmarks.job import Job
from runoff.config import parse_config
from runoff.engines import open_base
from runoff.training import prepare, train


def main(engine: str = "torch") -> None:
    """Train, and print the result."""
    job = job_from_argv()
    prepared = prepare(parse_config(_yaml(job, engine)))
    base = open_base(Path(job.model), engine=engine)
    started = time.monotonic()
    run = train(
        prepared.plan.config, f"runoff-{engine}", root=Path(job.out), overwrite=True, prepared=prepared, base=base
    )
    seconds = time.monotonic() - started
    print_result(job, seconds, run.identity.result["target_tokens"], run.folder.adapter)


def _yaml(job: Job, engine: str) -> str:
    cache = os.environ.get("RUNOFF_BENCH_CACHE", "auto")
    return f"""
model: {job.model}
data: {job.data}
engine: {engine}
mask_prompt: true
num_layers: {job.num_layers}
lora_parameters: {{rank: {job.rank}, scale: {job.scale}, dropout: 0.0}}
optimizer: adamw
learning_rate: {job.learning_rate}
batch_size: {job.batch_size}
grad_accumulation_steps: {job.accumulation}
iters: {job.iterations}
max_seq_length: {job.max_seq_length}
steps_per_eval: {job.validate_every}
steps_per_report: {job.validate_every}
save_every: 1000
seed: {job.seed}
trunk_cache: "{cache}"
"""


if __name__ == "__main__":
    main()
