"""The floor: the large matrix products that the job can't do without, and nothing else.

For each row once the trunk, for each training row the adapted blocks forward and backward and the head on the targets,
for each validation the adapted blocks and the head forward; all at the shapes of the real batches. Results go to memory
that is there already, as fresh pages would cost as much as some of the products.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import torch

from benchmarks.contenders.common import Clock, job_from_argv, print_result, rows
from runoff.data import epoch_order, fixed_order


def main() -> None:
    """Time the products."""
    job = job_from_argv()
    shape = json.loads((Path(job.model) / "config.json").read_text("utf-8"))
    d, f, heads = shape["hidden_size"], shape["intermediate_size"], shape["num_attention_heads"]
    kv = shape["num_key_value_heads"] * d // heads
    dtype = torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32
    block = [torch.randn(n, k, dtype=dtype) for n, k in ((d, d), (kv, d), (kv, d), (d, d), (f, d), (f, d), (d, f))]
    head = torch.randn(shape["vocab_size"], d, dtype=dtype)
    train, valid = rows(job)
    order = [b for epoch in range(99) for b in epoch_order([len(e.ids) for e in train], 2, seed=job.seed, epoch=epoch)]
    validations = job.iterations // job.validate_every + 2
    passes: Counter[tuple[int, int, int]] = Counter()
    for picked in order[: job.iterations]:
        tokens, targets = (sum(len(train[i].ids) for i in picked), sum(train[i].target_tokens for i in picked))
        passes[tokens, targets, 2] += 1
    for picked in fixed_order([len(example.ids) for example in valid], 8):
        tokens, targets = (sum(len(valid[i].ids) for i in picked), sum(valid[i].target_tokens for i in picked))
        passes[tokens, targets, 1] += validations
    trunk_tokens = sum(len(example.ids) for example in [*train, *valid])
    most = max([tokens * max(f, d) for tokens, _, _ in passes] + [targets * len(head) for _, targets, _ in passes])
    room = torch.zeros(max(most, 512 * f), dtype=dtype)
    clock = Clock()
    with torch.inference_mode():
        for (tokens, targets, times), count in passes.items():
            for _ in range(count):
                _products(block, tokens, times * job.num_layers, room)
                _products([head], targets, times, room)
        for _ in range(0, trunk_tokens, 512):
            _products(block, min(512, trunk_tokens), job.blocks - job.num_layers, room)
    seconds = clock.stop()
    trained = sum(targets * count for (_, targets, times), count in passes.items() if times == 2)
    print_result(job, seconds, trained, None)


def _products(weights: list[torch.Tensor], tokens: int, times: int, room: torch.Tensor) -> None:
    for weight in weights:
        x = torch.ones(tokens, weight.shape[1], dtype=weight.dtype)
        y = room[: tokens * len(weight)].view(tokens, len(weight))
        for _ in range(times):
            torch.mm(x, weight.T, out=y)


if __name__ == "__main__":
    main()
