"""lm-evaluation-harness beside our own measures: the base and every run on its tasks.

Owns: what is stored and not run again, and that whatever goes wrong with a task costs a sentence. Must not: run it
(engines/harness.py).
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from runoff.engines.adapters.folders import read_lora, write_peft
from runoff.engines.harness import Harness, TaskScore, is_task_file
from runoff.errors import ModelError, RunoffError
from runoff.estimates.bounded import SHARE
from runoff.estimates.estimate import Estimate, mean, rate
from runoff.evaluation.evaluate import Evaluation
from runoff.evaluation.stored import HARNESS, StoredMeasure, load_measures, store_measures
from runoff.files import write_json
from runoff.models import recorded_model
from runoff.plan import ModelFacts, read_model_facts
from runoff.runs import Run

__all__ = ["run_harness"]

DIMENSION = "What do standard tasks say?"
MATTERS = 0.02
_CANNOT_SEE = (
    "How the model writes: choices are scored by likelihood, without the chat template, and barely move under an "
    "adapter that has broken generation."
)
Scores = Mapping[str, list[TaskScore]]


@dataclass(frozen=True)
class _Work:
    """What is common to all models of one call. dtype: as in the evaluation that the results stand beside."""

    harness: Harness
    model: ModelFacts
    dtype: str
    limit: int | None
    say: Callable[[str], None]


def run_harness(
    runs: Sequence[Run],
    evaluations: Sequence[Evaluation],
    tasks: Sequence[str],
    *,
    limit: int | None = None,
    say: Callable[[str], None] = lambda _text: None,
) -> bool:
    """Run tasks on the base and on every run, and keep the results beside each.

    evaluations: one for each run that was measured, of the same test set; other runs are left out. tasks: the
    harness's names, or paths of task files. limit: questions of each task at most. What can't be run costs a sentence;
    False says that nothing was stored.
    """
    named = {run.name: run for run in runs}
    try:
        harness = Harness(tasks)
        for name, problem in harness.problems.items():
            say(f"Not run: {name}: {problem}.")
        if not harness.tasks or not evaluations:
            return False
        first = evaluations[0]
        model = read_model_facts(recorded_model(named[first.run].identity.model, progress=say))
        work = _Work(harness, model, str(first.engine.get("dtype", "auto")), limit, say)
        base = _scored(work, "the base model", None, model.sha256, first.folder)
        for one in evaluations:
            try:
                own = _scored(work, one.run, named[one.run].folder.adapter, one.adapter_sha256, one.folder)
            except ModelError as error:  # what PEFT can't load (whole weights): the other runs go on
                say(f"Not run: {one.run}: {error}")
            else:
                _store(work, one, own, base)
    except RunoffError as error:
        say(f"Not run: {error}")
        return False
    return True


def _store(work: _Work, evaluation: Evaluation, own: Scores, base: Scores) -> None:
    """Beside what other calls have stored."""
    found = [
        _measure(score, other, work.harness.version)
        for task in work.harness.tasks
        for score, other in zip(own[task], base[task], strict=True)
    ]
    about = {"lm_eval": work.harness.version, "adapter_sha256": evaluation.adapter_sha256}
    before = {key: old for key, old in load_measures(evaluation.folder).items() if old.dimension == DIMENSION}
    kept = before | {new.key: new for new in found}
    store_measures(evaluation.folder, about, list(kept.values()), name=HARNESS)


def _scored(work: _Work, who: str, adapter: Path | None, weights: str, place: Path) -> Scores:
    """By task: what is kept in `place`, and what is missing, from one loaded model. weights: their identity."""
    settings = [work.model.sha256, weights, work.harness.version, work.limit, work.dtype]
    paths = {task: place / f"harness-{_identity(task, settings)}.json" for task in work.harness.tasks}
    left = [task for task, path in paths.items() if not path.exists()]
    if left:
        work.say(f"lm-evaluation-harness {work.harness.version}: {', '.join(left)} under {who}.")
        with tempfile.TemporaryDirectory() as temporary:
            folder = None
            if adapter:
                folder = Path(temporary)  # as PEFT loads it, whatever wrote it
                write_peft(folder, *read_lora(adapter, work.model), str(work.model.folder))
            for task, scores in work.harness.scores(
                work.model.folder, folder, left, dtype=work.dtype, limit=work.limit
            ):
                write_json(paths[task], {"task": task, "scores": [asdict(score) for score in scores]})
    bodies = {task: json.loads(path.read_text("utf-8")) for task, path in paths.items()}
    return {task: [TaskScore(**score) for score in body["scores"]] for task, body in bodies.items()}


def _identity(task: str, settings: Sequence[Any]) -> str:
    """Of a task (its file's text, where it has one) on some weights."""
    told = Path(task).read_text("utf-8", "replace") if is_task_file(task) else ""
    return hashlib.sha256(json.dumps([task, told, *settings]).encode()).hexdigest()[:12]


def _measure(own: TaskScore, base: TaskScore, version: str) -> StoredMeasure:
    unit = own.metric
    shared = {one: (own.per_example[one], base.per_example[one]) for one in own.per_example if one in base.per_example}
    return StoredMeasure(
        key=f"harness_{own.task}_{own.metric}",
        title=f"{own.task}{own.version and f' {own.version}'}, {own.n} questions, lm-evaluation-harness {version}",
        dimension=DIMENSION,
        unit=unit,
        higher_is_better=own.higher_is_better,
        matters=MATTERS,
        cannot_see=_CANNOT_SEE,
        base=_estimate(base, unit),
        author=Estimate.unknown_because("the author did not sit for it", unit),
        run=_estimate(own, unit),
        per_example=shared,
        clusters={one: one for one in shared},
        flags=(),
        bounds=SHARE if all(set(pair) <= {0.0, 1.0} for pair in shared.values()) else None,
    )


def _estimate(score: TaskScore, unit: str) -> Estimate:
    """From the documents where they are known; else as the harness has it, with twice its standard error."""
    values = list(score.per_example.values())
    if values and set(values) <= {0.0, 1.0}:
        return rate(int(sum(values)), len(values), unit=unit)
    if values:
        return mean(values, list(score.per_example), unit=unit)
    made = "lm-evaluation-harness's own"
    whole = Estimate(score.value, None, None, 0.95, unit, score.n, score.n, f"{made}; it gives no standard error")
    if score.standard_error is None:
        return whole
    half = 1.96 * score.standard_error
    return replace(whole, low=score.value - half, high=score.value + half, method=f"{made} standard error")
