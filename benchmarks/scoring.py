"""Evaluating many runs on one base: scoring and generating together, against doing it run by run as scripts do.

Each contender is a process of its own, from loading the model to the last number. The adapters are random and small, on
12 of 30 blocks: what is computed does not depend on what they hold. Contenders take turns; seconds are medians. Answers
one by one take so long that a stated part of them is measured; what the rest would have taken is added.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.job import Job, read_job
from runoff.data import Encoded, encode_for_scoring, load_rows, load_tokenizer
from runoff.engines import Base, Engine, open_base
from runoff.engines.adapters import read_adapter, write_peft
from runoff.engines.generation import Sampling, batches, generate
from runoff.engines.scoring import mean_loss, score_batches, scoring_batches
from runoff.plan import AdapterSpec, layout, read_model_facts

__all__ = ["run"]

SCORED_RUNS, ANSWERING_RUNS = 5, 2


def run(job: Job, options: argparse.Namespace) -> dict[str, Any]:
    """Let the contenders take turns, and print both tables with their ratios."""
    folder = Path(job.out)
    _write_adapters(job, folder)
    size = {"rows": options.eval_rows, "answers": options.answers, "tokens": options.answer_tokens}
    size["apart"] = min(options.answers, options.answers_apart)
    (folder / "scoring.json").write_text(json.dumps({"data": str(options.data), **size}))
    wanted = [name for name in CONTENDERS if not options.only or any(part in name for part in options.only)]
    turns: dict[str, list[dict[str, Any]]] = {name: [] for name in wanted}
    for _ in range(options.repeats):
        for name, found in turns.items():
            found.append(_turn(name, folder))
    seconds = {name: statistics.median(turn["seconds"] for turn in found) for name, found in turns.items()}
    cpu = {name: statistics.median(turn["cpu_seconds"] for turn in found) for name, found in turns.items()}
    titles = (
        f"scoring {SCORED_RUNS} runs and the base on {size['rows']} answers, {job.num_layers} of {job.blocks} blocks",
        f"{size['answers']} answers of the base and {ANSWERING_RUNS} runs, {size['tokens']} tokens at most"
        f" (one by one: {size['apart']} measured for each, the others' time added from these)",
    )
    names = list(CONTENDERS)
    for title, together, apart in zip(titles, names[::2], names[1::2], strict=True):
        if not {together, apart} <= turns.keys():
            continue
        print(f"{title}\n{'contender':<44}{'wall s':>9}{'CPU s':>9}{'x ours':>8}")
        for name in (together, apart):
            print(f"{name:<44}{seconds[name]:>9.1f}{cpu[name]:>9.1f}{seconds[name] / seconds[together]:>8.2f}")
        print(
            f"  ours takes {seconds[together] / seconds[apart]:.2f} of the time (CPU: {cpu[together] / cpu[apart]:.2f})"
        )
    return {"size": size, "turns": turns, "seconds": seconds, "cpu_seconds": cpu}


def _write_adapters(job: Job, folder: Path) -> None:
    facts = read_model_facts(Path(job.model))
    layers = tuple(layer for layer in facts.linear_layers if layer.block >= job.blocks - job.num_layers)
    spec = AdapterSpec("lora", job.rank, job.scale, 0.0, layers)
    for at in range(SCORED_RUNS):
        parameters = 1e-3 * np.random.default_rng(at).standard_normal(layout(spec)[-1].stop)
        write_peft(folder / f"adapter-{at}", spec, parameters.astype(np.float32), job.model)


def _turn(name: str, folder: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scoring", name, str(folder)],
        capture_output=True,
        text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"},
        check=True,
    )
    (line,) = [one for one in done.stdout.splitlines() if one.startswith("RESULT ")]
    found: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
    print(f"  {name}: {found}", flush=True)
    return found


def _examples(job: Job, size: dict[str, Any]) -> list[Encoded]:
    rows = load_rows(Path(size["data"]) / "train.jsonl", name="train").rows[: size["rows"]]
    return encode_for_scoring(rows, load_tokenizer(Path(job.model)), max_seq_length=2048)


def _prompts(job: Job, size: dict[str, Any]) -> list[npt.NDArray[np.int32]]:
    tokenizer = load_tokenizer(Path(job.model))
    rows = load_rows(Path(size["data"]) / "train.jsonl", name="train").rows[: size["answers"]]
    texts = [tokenizer.render(row.messages[:-1], add_generation_prompt=True) for row in rows]
    return [np.asarray(tokenizer.encode(text), dtype=np.int32) for text in texts]


def _attached(job: Job, base: Base, at: int) -> tuple[Engine, int]:
    spec, parameters = read_adapter(Path(job.out) / f"adapter-{at}", read_model_facts(Path(job.model)))
    engine = base.attach(spec)
    engine.set_parameters(parameters)
    return engine, spec.lowest_block


@dataclass(frozen=True)
class Done:
    """What a contender found, and the seconds of what it was spared: wall and CPU."""

    result: list[float]
    spared_seconds: float = 0.0
    spared_cpu_seconds: float = 0.0


def score_together(job: Job, size: dict[str, Any]) -> Done:
    """As `runoff evaluate` does it: one base, one trunk."""
    base = open_base(Path(job.model), engine="torch")
    attached = [_attached(job, base, at) for at in range(SCORED_RUNS)]
    base.share_trunk(min(lowest for _, lowest in attached), budget_bytes=4 * 1024**3)
    batches = scoring_batches(_examples(job, size), 1)
    engines = (base.attach(None), *(one for one, _ in attached))
    return Done([mean_loss(score_batches(engine, batches)) for engine in engines])


def score_apart(job: Job, size: dict[str, Any]) -> Done:
    """One pass a run, each from loading the model on; the same scorer in batches of 8, nothing shared."""
    losses = []
    for at in (None, *range(SCORED_RUNS)):
        base = open_base(Path(job.model), engine="torch")
        engine = base.attach(None) if at is None else _attached(job, base, at)[0]
        losses.append(mean_loss(score_batches(engine, scoring_batches(_examples(job, size)))))
    return Done(losses)


def answer_together(job: Job, size: dict[str, Any]) -> Done:
    """As `runoff generate` does it: one base, one trunk, everyone answers a batch before the next one begins."""
    base = open_base(Path(job.model), engine="torch")
    attached = [_attached(job, base, at) for at in range(ANSWERING_RUNS)]
    base.share_trunk(min(lowest for _, lowest in attached), budget_bytes=4 * 1024**3)
    engines = [base.attach(None), *(engine for engine, _ in attached)]
    end_ids, prompts = load_tokenizer(Path(job.model)).end_ids, _prompts(job, size)
    counts = [0.0] * len(engines)
    for places in batches([len(prompt) for prompt in prompts], size["tokens"]):
        batch = [prompts[place] for place in places]
        for at, engine in enumerate(engines):
            counts[at] += sum(len(one.ids) for one in generate(engine, batch, end_ids, Sampling(size["tokens"])))
    return Done(counts)


def answer_apart(job: Job, size: dict[str, Any]) -> Done:
    """As home-made scripts do it: transformers' generate, an answer at a time, the model loaded for each run."""
    import torch
    import transformers
    from peft import PeftModel

    bf16 = torch.cpu._is_avx512_bf16_supported()
    prompts = _prompts(job, size)[: size["apart"]]
    spared = size["answers"] / len(prompts) - 1
    counts, seconds, cpu = [], 0.0, 0.0
    for at in (None, *range(ANSWERING_RUNS)):
        model: Any = transformers.AutoModelForCausalLM.from_pretrained(
            job.model, dtype=torch.bfloat16 if bf16 else torch.float32
        )
        if at is not None:
            model = PeftModel.from_pretrained(model, str(Path(job.out) / f"adapter-{at}"))
        model.eval()
        counts.append(0.0)
        seconds, cpu = seconds - time.monotonic(), cpu - time.process_time()
        for prompt in prompts:
            ids = torch.from_numpy(prompt).long()[None]
            out = model.generate(input_ids=ids, max_new_tokens=size["tokens"], do_sample=False)
            counts[-1] += out.shape[1] - len(prompt)
        seconds, cpu = seconds + time.monotonic(), cpu + time.process_time()
    return Done(counts, spared * seconds, spared * cpu)


CONTENDERS: dict[str, Callable[[Job, dict[str, Any]], Done]] = {
    "scored together": score_together,
    "scored in a pass for each, loaded anew": score_apart,
    "answered together": answer_together,
    "answered one by one, loaded for each run": answer_apart,
}


def main() -> None:
    """One contender, in a process of its own."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    job, size = read_job(folder / "job.json"), json.loads((folder / "scoring.json").read_text())
    started, cpu = time.monotonic(), time.process_time()
    done = CONTENDERS[name](job, size)
    seconds = time.monotonic() - started + done.spared_seconds
    cpu_seconds = time.process_time() - cpu + done.spared_cpu_seconds
    body = {"seconds": seconds, "cpu_seconds": cpu_seconds, "result": done.result}
    print("RESULT " + json.dumps(body), flush=True)


if __name__ == "__main__":
    main()
