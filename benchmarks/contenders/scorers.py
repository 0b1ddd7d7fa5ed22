"""Who scores answers under many runs: Runoff's way, its tricks left out one by one, scripts, lm-evaluation-harness."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.contenders.many_runs import Done, attached, examples, library_dtype, library_model
from benchmarks.job import Job
from runoff.data import Encoded, Fork, Forked, load_tokenizer
from runoff.engines import Engine, open_base
from runoff.engines.scoring import mean_loss, score_alone, score_batches, scoring_batches
from runoff.evaluation.pairs import forked_rows

__all__ = ["HARNESS", "PAIRS", "SCORED_RUNS", "SCORERS"]

SCORED_RUNS = 5


def score_together(job: Job, size: dict[str, Any], *, share: bool = True) -> Done:
    """As `runoff evaluate` does it: one base, one trunk, each row by itself."""
    base = open_base(Path(job.model), engine="torch")
    runs = [attached(job, base, at) for at in range(SCORED_RUNS)]
    if share:
        base.share_trunk(min(lowest for _, lowest in runs), budget_bytes=4 * 1024**3)
    rows = [Forked(one) for one in examples(job, size)]
    return Done([_loss(engine, rows) for engine in (base.attach(None), *(one for one, _ in runs))])


def score_without_trunk(job: Job, size: dict[str, Any]) -> Done:
    """The same, all blocks computed for each run."""
    return score_together(job, size, share=False)


def _loss(engine: Engine, rows: Sequence[Forked]) -> float:
    return mean_loss([one.row for one in score_alone(engine, rows)])


def score_apart(job: Job, size: dict[str, Any]) -> Done:
    """One pass a run, each from loading the model on; the same scorer in batches of 8, nothing shared."""
    losses = []
    for at in (None, *range(SCORED_RUNS)):
        base = open_base(Path(job.model), engine="torch")
        engine = base.attach(None) if at is None else attached(job, base, at)[0]
        losses.append(mean_loss(score_batches(engine, scoring_batches(examples(job, size)))))
    return Done(losses)


def score_as_scripts_do(job: Job, size: dict[str, Any]) -> Done:
    """transformers and PEFT, loaded for each run, a row at a time with all its logits."""
    import torch

    losses = []
    for at in (None, *range(SCORED_RUNS)):
        model, nats, tokens = library_model(job, at), 0.0, 0
        for one in examples(job, size):
            ids = torch.from_numpy(one.ids).long()[None]
            labels = ids.clone()
            labels[:, : one.target_start] = labels[:, one.target_end :] = -100
            with torch.no_grad():
                nats += float(model(input_ids=ids, labels=labels).loss) * one.target_tokens
            tokens += one.target_tokens
        losses.append(nats / tokens)
    return Done(losses)


def score_by_harness(job: Job, size: dict[str, Any]) -> Done:
    """lm-evaluation-harness by its Python interface: a model object for each run, batches of 8."""
    from lm_eval.models.huggingface import HFLM

    rows, losses = examples(job, size), []
    tokens = sum(one.target_tokens for one in rows)
    wanted = [(("", ""), ids[: one.target_start], ids[one.target_start : one.target_end]) for one, ids in _ids(rows)]
    for at in (None, *range(SCORED_RUNS)):
        adapter = None if at is None else str(Path(job.out) / f"adapter-{at}")
        model = HFLM(job.model, device="cpu", dtype=library_dtype(), batch_size=8, peft=adapter)
        found = model._loglikelihood_tokens(wanted, disable_tqdm=True)  # takes ids, which its public form does not
        losses.append(-sum(nats for nats, _ in found) / tokens)
    return Done(losses)


def _ids(rows: Sequence[Encoded]) -> Iterator[tuple[Encoded, list[int]]]:
    return ((one, one.ids.tolist()) for one in rows)


def pairs_as_forks(job: Job, size: dict[str, Any]) -> Done:
    """As `runoff evaluate` does it: the sentences in the same pass as the row that they fork off."""
    return Done([_loss(engine, rows) for rows, engine in _with_pairs(job, size)])


def pairs_as_rows(job: Job, size: dict[str, Any]) -> Done:
    """Each true and each false sentence in a pass of its own, from the prompt on."""
    losses = []
    for rows, engine in _with_pairs(job, size):
        losses.append(_loss(engine, [Forked(one.row) for one in rows]))
        for one in rows:
            score_alone(engine, [Forked(_from_the_prompt(one, fork)) for fork in one.forks])
    return Done(losses)


def _from_the_prompt(forked: Forked, fork: Fork) -> Encoded:
    return replace(forked.whole(fork), target_start=min(fork.start, fork.at + len(fork.ids) - 1))


def _with_pairs(job: Job, size: dict[str, Any]) -> Iterator[tuple[Sequence[Forked], Engine]]:
    base = open_base(Path(job.model), engine="torch")
    adapted, lowest = attached(job, base, 0)
    base.share_trunk(lowest, budget_bytes=4 * 1024**3)
    _, rows = forked_rows(examples(job, size), load_tokenizer(Path(job.model)), 2048)
    return ((rows, engine) for engine in (base.attach(None), adapted))


HARNESS = "scored by lm-evaluation-harness, loaded for each run"

SCORERS: dict[str, Callable[[Job, dict[str, Any]], Done]] = {
    "scored together": score_together,
    "scored together, the trunk not shared": score_without_trunk,
    "scored in a pass for each, loaded anew": score_apart,
    "scored as scripts do, loaded for each run": score_as_scripts_do,
    HARNESS: score_by_harness,
}
PAIRS: dict[str, Callable[[Job, dict[str, Any]], Done]] = {
    "pairs as forks of their rows": pairs_as_forks,
    "pairs as rows by themselves": pairs_as_rows,
}
