"""mlx_lm.lora as a command, on the same rows.

As it comes it computes in the file's own type, bfloat16, for which MLX has no fast products on a CPU; with
MLX_LM_BENCH_FLOAT32 it gets a float32 copy of the model, made outside the clock, and does the arithmetic of ours.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.contenders.common import Clock, job_from_argv, print_result, rows


def main() -> None:
    """Train, and print the result. Loading the model is inside the clock here, as the command can't be split."""
    job = job_from_argv()
    out = Path(job.out) / "mlx-lm"
    model = _float32(job.model, Path(job.out)) if os.environ.get("MLX_LM_BENCH_FLOAT32") else job.model
    config = Path(job.out) / "mlx-lm.yaml"
    config.write_text(f"""
model: {model}
train: true
data: {job.data}
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
val_batches: -1
save_every: 1000
seed: {job.seed}
adapter_path: {out}
""")
    clock = Clock()
    subprocess.run([sys.executable, "-m", "mlx_lm", "lora", "-c", str(config)], check=True, stdout=sys.stderr)
    seconds = clock.stop()
    train, _ = rows(job)
    whole = job.iterations * job.batch_size / len(train)
    tokens = round(whole * sum(example.target_tokens for example in train))
    print_result(job, seconds, tokens, out)


def _float32(model: str, place: Path) -> str:
    from mlx_lm import convert

    target = place / "model-float32"
    if not target.exists():
        convert(model, str(target), dtype="float32")
    return str(target)


if __name__ == "__main__":
    main()
