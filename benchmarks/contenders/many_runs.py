"""What scoring and answering for many runs need: the job's rows and prompts, its adapters, the libraries' models.

Must not: measure time.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.job import Job
from runoff.data import Encoded, encode_for_scoring, load_rows, load_tokenizer
from runoff.engines import Base, Engine
from runoff.engines.adapters.folders import read_adapter
from runoff.plan import read_model_facts

__all__ = ["Done", "attached", "examples", "library_dtype", "library_model", "prompts"]


@dataclass(frozen=True)
class Done:
    """What a contender found, and the seconds of what it was spared: wall and CPU."""

    result: list[float]
    spared_seconds: float = 0.0
    spared_cpu_seconds: float = 0.0


def examples(job: Job, size: dict[str, Any]) -> list[Encoded]:
    """The rows to score."""
    rows = load_rows(Path(size["data"]) / "train.jsonl", name="train").rows[: size["rows"]]
    return encode_for_scoring(rows, load_tokenizer(Path(job.model)), max_seq_length=2048)


def prompts(job: Job, size: dict[str, Any]) -> list[npt.NDArray[np.int32]]:
    """The ids of the questions to answer."""
    tokenizer = load_tokenizer(Path(job.model))
    rows = load_rows(Path(size["data"]) / "train.jsonl", name="train").rows[: size["answers"]]
    texts = [tokenizer.render(row.messages[:-1], add_generation_prompt=True) for row in rows]
    return [np.asarray(tokenizer.encode(text), dtype=np.int32) for text in texts]


def attached(job: Job, base: Base, at: int) -> tuple[Engine, int]:
    """One of the adapters on a base, and the lowest block that it adapts."""
    spec, parameters = read_adapter(Path(job.out) / f"adapter-{at}", read_model_facts(Path(job.model)))
    engine = base.attach(spec)
    engine.set_parameters(parameters)
    return engine, spec.lowest_block


def library_dtype() -> str:
    """The type that is fast on this machine."""
    import torch

    return "bfloat16" if torch.cpu._is_avx512_bf16_supported() else "float32"


def library_model(job: Job, at: int | None) -> Any:
    """transformers' model, with PEFT's adapter on it."""
    import transformers
    from peft import PeftModel

    model: Any = transformers.AutoModelForCausalLM.from_pretrained(job.model, dtype=library_dtype())
    return (model if at is None else PeftModel.from_pretrained(model, str(Path(job.out) / f"adapter-{at}"))).eval()
