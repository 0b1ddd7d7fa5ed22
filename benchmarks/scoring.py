"""Evaluating many runs on one base: scoring and generating together, against doing it run by run as scripts do.

Each contender is a process of its own, from loading the model to the last number. The adapters are random and small, on
12 of 30 blocks: what is computed does not depend on what they hold. Contenders take turns; seconds are medians. Answers
one by one take so long that a stated part of them is measured; what the rest would have taken is added.
lm-evaluation-harness takes part where it can be imported: it is no dependency of Runoff's (docs/log.md says why).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contenders.answerers import ANSWERERS, ANSWERING_RUNS
from benchmarks.contenders.scorers import HARNESS, PAIRS, SCORED_RUNS, SCORERS
from benchmarks.job import Job, chosen, read_job
from runoff.engines.adapters.folders import write_peft
from runoff.plan import LoraSpec, layout, read_model_facts

__all__ = ["run"]

CONTENDERS = SCORERS | PAIRS | ANSWERERS


def run(job: Job, options: argparse.Namespace) -> dict[str, Any]:
    """Let the contenders take turns, and print both tables with their ratios."""
    folder = Path(job.out)
    _write_adapters(job, folder)
    size = {"rows": options.eval_rows, "answers": options.answers, "tokens": options.answer_tokens}
    size["apart"] = min(options.answers, options.answers_apart)
    (folder / "scoring.json").write_text(json.dumps({"data": str(options.data), **size}))
    wanted = chosen(CONTENDERS, options.only)
    if HARNESS in wanted and importlib.util.find_spec("lm_eval") is None:
        print(f"  {HARNESS}: left out, since lm_eval can't be imported.")
        wanted.remove(HARNESS)
    turns: dict[str, list[dict[str, Any]]] = {name: [] for name in wanted}
    for _ in range(options.repeats):
        for name, found in turns.items():
            found.append(_turn(name, folder))
    seconds = {name: statistics.median(turn["seconds"] for turn in found) for name, found in turns.items()}
    cpu = {name: statistics.median(turn["cpu_seconds"] for turn in found) for name, found in turns.items()}
    for title, names in _tables(job, size):
        if names[0] in turns:
            _print_table(title, [name for name in names if name in turns], seconds, cpu)
    return {"size": size, "turns": turns, "seconds": seconds, "cpu_seconds": cpu}


def _tables(job: Job, size: dict[str, Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """A title and its contenders, ours first."""
    blocks = f"{job.num_layers} of {job.blocks} blocks"
    yield f"scoring {SCORED_RUNS} runs and the base on {size['rows']} answers, {blocks}", tuple(SCORERS)
    yield f"the base and a run on {size['rows']} answers and their contrast pairs", tuple(PAIRS)
    yield (
        f"{size['answers']} answers of the base and {ANSWERING_RUNS} runs, {size['tokens']} tokens at most"
        f" (one by one: {size['apart']} measured for each, the others' time added from these)",
        tuple(ANSWERERS),
    )


def _print_table(title: str, names: Sequence[str], seconds: dict[str, float], cpu: dict[str, float]) -> None:
    print(f"{title}\n{'contender':<52}{'wall s':>9}{'CPU s':>9}{'ours: wall':>12}{'CPU':>6}")
    for name in names:
        parts = f"{seconds[names[0]] / seconds[name]:>12.2f}{cpu[names[0]] / cpu[name]:>6.2f}"
        print(f"{name:<52}{seconds[name]:>9.1f}{cpu[name]:>9.1f}{parts}")


def _write_adapters(job: Job, folder: Path) -> None:
    facts = read_model_facts(Path(job.model))
    layers = tuple(layer for layer in facts.linear_layers if layer.block >= job.blocks - job.num_layers)
    spec = LoraSpec("lora", job.rank, job.scale, 0.0, layers)
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
