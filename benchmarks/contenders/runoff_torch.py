"""Runoff's own loop on the torch engine, through the public `train`.

RUNOFF_BENCH_CACHE=off, RUNOFF_BENCH_LEAN=off, RUNOFF_BENCH_SHARING=off and RUNOFF_BENCH_LANES=off leave a trick out;
RUNOFF_BENCH_DTYPE=float32 is the reference for the held-out loss.
"""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.contenders.common import Clock, job_from_argv, print_result
from benchmarks.job import Job
from runoff.config import parse_config
from runoff.engines import Base, open_base
from runoff.training import prepare, train


def main(engine: str = "torch") -> None:
    """Train, and print the result."""
    job = job_from_argv()
    for name, leave_out in (("SHARING", _share_nothing), ("LANES", _one_lane)):
        if os.environ.get(f"RUNOFF_BENCH_{name}") == "off":
            leave_out()
    prepared = prepare(parse_config(_yaml(job, engine)))
    base = _base(Path(job.model), engine)
    clock = Clock()
    run = train(
        prepared.plan.config, f"runoff-{engine}", root=Path(job.out), overwrite=True, prepared=prepared, base=base
    )
    print_result(job, clock.stop(), run.identity.result["target_tokens"], run.folder.adapter)


def _base(model: Path, engine: str) -> Base:
    dtype = os.environ.get("RUNOFF_BENCH_DTYPE", "auto")
    if engine != "torch" or os.environ.get("RUNOFF_BENCH_LEAN") != "off":
        return open_base(model, engine=engine, dtype=dtype)
    from runoff.engines.torch.loading import open_torch

    return open_torch(model, dtype=dtype, lean=False)


def _share_nothing() -> None:
    """Let what rows begin with be computed for each of them."""
    from runoff.data import Batch
    from runoff.data.openings import Openings

    Batch.shared = property(lambda batch: (0,) * len(batch.lengths))  # type: ignore[assignment]
    Openings.of = lambda *_: 0  # type: ignore[method-assign]


def _one_lane() -> None:
    """Let MLX compute all rows of a batch on one stream."""
    from runoff.engines.mlx.lanes import Lanes

    Lanes.on_this_device = classmethod(lambda cls: cls(()))  # type: ignore[method-assign, assignment]


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
