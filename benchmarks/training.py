"""Training the same model on the same rows: Runoff, TRL, a plain PEFT loop and mlx_lm.lora, taking turns.

Each turn is a process of its own, so that memory and start-up are honest. Every contender's adapter is scored
afterwards by one scorer on the same validation answers. The floor is the time of the bare matrix products of the same
shapes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.job import Job, chosen

__all__ = ["CONTENDERS", "run"]

CONTENDERS = {
    "runoff torch": ("benchmarks.contenders.runoff_torch", {}),
    "runoff torch, no trunk cache": ("benchmarks.contenders.runoff_torch", {"RUNOFF_BENCH_CACHE": "off"}),
    "runoff torch, no lean pass": ("benchmarks.contenders.runoff_torch", {"RUNOFF_BENCH_LEAN": "off"}),
    "runoff torch, nothing shared by rows": ("benchmarks.contenders.runoff_torch", {"RUNOFF_BENCH_SHARING": "off"}),
    "runoff torch, neither": (
        "benchmarks.contenders.runoff_torch",
        {"RUNOFF_BENCH_CACHE": "off", "RUNOFF_BENCH_LEAN": "off"},
    ),
    "TRL as it comes": ("benchmarks.contenders.trl_sft", {}),
    "TRL tuned": ("benchmarks.contenders.trl_sft", {"TRL_BENCH_CHECKPOINTING": "off"}),
    "plain PEFT loop": ("benchmarks.contenders.peft_loop", {}),
    "runoff mlx + OpenBLAS": ("benchmarks.contenders.runoff_mlx", {"BENCH_OPENBLAS": "1"}),
    "runoff mlx + OpenBLAS, one stream": (
        "benchmarks.contenders.runoff_mlx",
        {"BENCH_OPENBLAS": "1", "RUNOFF_BENCH_LANES": "off"},
    ),
    "mlx_lm.lora + OpenBLAS": ("benchmarks.contenders.mlx_lm_lora", {"BENCH_OPENBLAS": "1"}),
    "mlx_lm.lora + OpenBLAS, float32": (
        "benchmarks.contenders.mlx_lm_lora",
        {"BENCH_OPENBLAS": "1", "MLX_LM_BENCH_FLOAT32": "1"},
    ),
    "float32, for its loss": ("benchmarks.contenders.runoff_torch", {"RUNOFF_BENCH_DTYPE": "float32"}),
    "floor: bare products": ("benchmarks.contenders.floor", {}),
}
OPENBLAS = ("libopenblas.so.0", "/usr/lib/x86_64-linux-gnu/openblas-pthread/libopenblas.so.0")


def run(job: Job, options: argparse.Namespace) -> dict[str, Any]:
    """Let the contenders take turns, and print the table."""
    names = chosen(CONTENDERS, options.only)
    turns: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for _ in range(options.repeats):
        for name in names:
            turns[name].append(_turn(name, job))
            print(f"  {name}: {turns[name][-1]}", flush=True)
    medians = {name: _median(found) for name, found in turns.items()}
    print(_table(job, medians))
    return {"job": vars(job), "turns": turns, "medians": medians}


def _turn(name: str, job: Job) -> dict[str, Any]:
    module, environment = CONTENDERS[name]
    env = os.environ | environment | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    if environment.get("BENCH_OPENBLAS"):
        found = next((path for path in OPENBLAS if Path(path).exists()), OPENBLAS[0])
        env["LD_PRELOAD"] = found
    done = subprocess.run(
        [sys.executable, "-m", module, str(Path(job.out) / "job.json")],
        capture_output=True,
        text=True,
        env=env,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode or not lines:
        return {"error": (done.stderr.strip().splitlines() or ["no output"])[-1][:200]}
    return dict(json.loads(lines[-1].removeprefix("RESULT ")))


def _median(turns: list[dict[str, Any]]) -> dict[str, Any]:
    whole = [turn for turn in turns if "error" not in turn]
    if not whole:
        return turns[0]
    return {key: statistics.median(turn[key] for turn in whole) for key in whole[0] if whole[0][key] is not None}


def _table(job: Job, medians: dict[str, dict[str, Any]]) -> str:
    ours = medians.get("runoff torch", {})
    head = (
        f"{job.rows} rows, {job.iterations} iterations of {job.batch_size}, {job.num_layers} of {job.blocks} blocks, "
        f"validation of {job.valid_rows} rows every {job.validate_every} iterations"
    )
    lines = [
        head,
        f"{'contender':<36}{'wall s':>9}{'x ours':>8}{'cpu s':>8}{'x ours':>8}"
        f"{'target tok/s':>14}{'peak MB':>9}{'held-out loss':>15}",
    ]
    for name, row in medians.items():
        if "error" in row:
            lines.append(f"{name:<36}  failed: {row['error']}")
            continue
        wall, cpu = (f"{row[key] / ours[key]:.2f}" if key in ours else "" for key in ("seconds", "cpu_seconds"))
        loss = f"{row['held_out_loss']:.4f}" if "held_out_loss" in row else ""
        memory = f"{row['peak_memory_bytes'] / 1e6:.0f}" if "peak_memory_bytes" in row else ""
        speed = f"{row['target_tokens'] / row['seconds']:.0f}" if "target_tokens" in row else ""
        times = f"{row['seconds']:>9.1f}{wall:>8}{row['cpu_seconds']:>8.1f}{cpu:>8}"
        lines.append(f"{name:<36}{times}{speed:>14}{memory:>9}{loss:>15}")
    return "\n".join(lines)
