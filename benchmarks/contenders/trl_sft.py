"""TRL's SFTTrainer: as it comes (gradient checkpointing on), or with TRL_BENCH_CHECKPOINTING=off."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
import transformers
from datasets import Dataset
from peft import LoraConfig
from trl import SFTConfig, SFTTrainer

from benchmarks.contenders.common import Clock, job_from_argv, print_result, rows
from benchmarks.job import Job


def main() -> None:
    """Train, and print the result."""
    job = job_from_argv()
    out = Path(job.out) / "trl"
    bf16 = torch.cpu._is_avx512_bf16_supported()
    model = transformers.AutoModelForCausalLM.from_pretrained(
        job.model, dtype=torch.bfloat16 if bf16 else torch.float32
    )
    trainer = SFTTrainer(
        model=model,
        args=_config(job, out, bf16),
        train_dataset=_dataset(job, "train"),
        eval_dataset=_dataset(job, "valid"),
        processing_class=transformers.AutoTokenizer.from_pretrained(job.model),
        peft_config=LoraConfig(
            r=job.rank,
            lora_alpha=int(job.scale * job.rank),
            target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
            layers_to_transform=list(range(job.blocks - job.num_layers, job.blocks)),
        ),
    )
    clock = Clock()
    trainer.train()
    trainer.save_model(str(out))
    seconds = clock.stop()
    train, _ = rows(job)
    whole = job.iterations * job.batch_size / len(train)
    print_result(job, seconds, round(whole * sum(example.target_tokens for example in train)), out)


def _config(job: Job, out: Path, bf16: bool) -> SFTConfig:
    options: dict[str, object] = {}
    if os.environ.get("TRL_BENCH_CHECKPOINTING") == "off":
        options = {"gradient_checkpointing": False, "group_by_length": True}
        if "group_by_length" not in SFTConfig.__dataclass_fields__:
            options = {"gradient_checkpointing": False, "train_sampling_strategy": "group_by_length"}
    return SFTConfig(
        output_dir=str(out),
        per_device_train_batch_size=job.batch_size,
        per_device_eval_batch_size=8,
        gradient_accumulation_steps=job.accumulation,
        max_steps=-(-job.iterations // job.accumulation),
        learning_rate=job.learning_rate,
        lr_scheduler_type="constant",
        weight_decay=0.01,
        max_length=job.max_seq_length,
        eval_strategy="steps",
        eval_steps=max(job.validate_every // job.accumulation, 1),
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        bf16=bf16,
        use_cpu=True,
        seed=job.seed,
        disable_tqdm=True,
        dataloader_pin_memory=False,
        **options,
    )


def _dataset(job: Job, name: str) -> Dataset:
    """Prompt and completion, so that TRL too learns the answers alone."""
    lines = (Path(job.data) / f"{name}.jsonl").read_text("utf-8").splitlines()
    messages = [json.loads(line)["messages"] for line in lines]
    return Dataset.from_list([{"prompt": one[:-1], "completion": one[-1:]} for one in messages])


if __name__ == "__main__":
    main()
