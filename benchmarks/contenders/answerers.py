"""Who answers prompts for many runs: Runoff's way, and home-made scripts'."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.contenders.many_runs import Done, attached, library_model, prompts
from benchmarks.job import Job
from runoff.data import load_tokenizer
from runoff.engines import open_base
from runoff.engines.generation import Sampling, batches, generate

__all__ = ["ANSWERERS", "ANSWERING_RUNS"]

ANSWERING_RUNS = 2


def answer_together(job: Job, size: dict[str, Any]) -> Done:
    """As `runoff generate` does it: one base, one trunk, everyone answers a batch before the next one begins."""
    base = open_base(Path(job.model), engine="torch")
    runs = [attached(job, base, at) for at in range(ANSWERING_RUNS)]
    base.share_trunk(min(lowest for _, lowest in runs), budget_bytes=4 * 1024**3)
    engines = [base.attach(None), *(engine for engine, _ in runs)]
    end_ids, asked = load_tokenizer(Path(job.model)).end_ids, prompts(job, size)
    counts = [0.0] * len(engines)
    for places in batches([len(prompt) for prompt in asked], size["tokens"]):
        batch = [asked[place] for place in places]
        for at, engine in enumerate(engines):
            counts[at] += sum(len(one.ids) for one in generate(engine, batch, end_ids, Sampling(size["tokens"])))
    return Done(counts)


def answer_apart(job: Job, size: dict[str, Any]) -> Done:
    """As home-made scripts do it: transformers' generate, an answer at a time, the model loaded for each run."""
    import torch

    asked = prompts(job, size)[: size["apart"]]
    spared = size["answers"] / len(asked) - 1
    counts, seconds, cpu = [], 0.0, 0.0
    for at in (None, *range(ANSWERING_RUNS)):
        model = library_model(job, at)
        counts.append(0.0)
        seconds, cpu = seconds - time.monotonic(), cpu - time.process_time()
        for prompt in asked:
            ids = torch.from_numpy(prompt).long()[None]
            out = model.generate(input_ids=ids, max_new_tokens=size["tokens"], do_sample=False)
            counts[-1] += out.shape[1] - len(prompt)
        seconds, cpu = seconds + time.monotonic(), cpu + time.process_time()
    return Done(counts, spared * seconds, spared * cpu)


ANSWERERS: dict[str, Callable[[Job, dict[str, Any]], Done]] = {
    "answered together": answer_together,
    "answered one by one, loaded for each run": answer_apart,
}
