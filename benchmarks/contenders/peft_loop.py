"""A careful loop as people write it: transformers, PEFT, length-sorted batches, no gradient where none is needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import transformers
from peft import LoraConfig, get_peft_model

from benchmarks.contenders.common import Clock, job_from_argv, print_result, rows
from runoff.data import Batch, epoch_order, make_batch


def main() -> None:
    """Train, and print the result."""
    job = job_from_argv()
    torch.manual_seed(job.seed)
    bf16 = torch.cpu._is_avx512_bf16_supported()
    model = transformers.AutoModelForCausalLM.from_pretrained(
        job.model, dtype=torch.bfloat16 if bf16 else torch.float32
    )
    blocks = list(range(job.blocks - job.num_layers, job.blocks))
    config = LoraConfig(
        r=job.rank,
        lora_alpha=int(job.scale * job.rank),
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        layers_to_transform=blocks,
    )
    model = get_peft_model(model, config)
    train, valid = rows(job)
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=job.learning_rate, weight_decay=0.01
    )
    clock = Clock()
    tokens = window = 0
    lengths = [len(example.ids) for example in train]
    order = [rows_ for epoch in range(99) for rows_ in epoch_order(lengths, job.batch_size, seed=job.seed, epoch=epoch)]
    for iteration, picked in enumerate(order[: job.iterations], start=1):
        batch = make_batch([train[index] for index in picked])
        nats = _nats(model, batch)
        nats.backward()
        tokens += batch.target_tokens
        window += batch.target_tokens
        if iteration % job.accumulation == 0 or iteration == job.iterations:
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter.grad /= window
            optimizer.step()
            optimizer.zero_grad()
            window = 0
        if iteration % job.validate_every == 0 or iteration == job.iterations:
            model.eval()
            with torch.no_grad():
                for start in range(0, len(valid), 8):
                    _nats(model, make_batch(valid[start : start + 8]))
            model.train()
    adapter = Path(job.out) / "peft-loop"
    model.save_pretrained(adapter)
    print_result(job, clock.stop(), tokens, adapter)


def _nats(model: torch.nn.Module, batch: Batch) -> torch.Tensor:
    """Summed nats over the targets, with the logits of every position, as the library computes them."""
    ids = torch.from_numpy(batch.ids).long()
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()
    labels = torch.from_numpy(np.where(batch.targets, batch.ids, -100)).long()[:, 1:]
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100, reduction="sum")


if __name__ == "__main__":
    main()
