"""lm-evaluation-harness, through its own API. Owns: finding tasks, running them on a model, reading the results.

Must not: store or compare. It brings torch with it, so it is imported here alone and only when it is asked for.
"""

from __future__ import annotations

import importlib.util
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from runoff.errors import EngineError

__all__ = ["INSTALL", "Harness", "TaskScore", "is_task_file"]

INSTALL = 'pip install "lm_eval[hf]==0.4.13"'
"""What it was tried with. Not one of Runoff's own extras: through others it needs a library under the LGPL."""
_ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class TaskScore:
    """One metric of one task. version: of the task, empty where it has none. value: as the harness reports it.

    standard_error: its own, None where it has none. per_example: document -> value, where the metric is the mean of
    them; else empty. n: documents.
    """

    task: str
    metric: str
    version: str
    higher_is_better: bool | None
    value: float
    standard_error: float | None
    n: int
    per_example: Mapping[str, float] = field(default_factory=dict)


def is_task_file(name: str) -> bool:
    """Whether a task is named by its file."""
    return name.endswith(_ENDINGS)


class Harness:
    """Tasks that can be run.

    tasks: names of the harness's own tasks, groups or tags, or paths of task files (which may run code of their own).
    problems: by name, why a task can't be run.

    Raises:
        EngineError: lm-evaluation-harness is not installed.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        if importlib.util.find_spec("lm_eval") is None or importlib.util.find_spec("torch") is None:
            raise EngineError(f"lm-evaluation-harness is not installed. Install it: {INSTALL}.")
        from lm_eval.tasks import TaskManager

        logging.getLogger("lm_eval").setLevel(logging.ERROR)
        self.version = version("lm_eval")
        self._manager = TaskManager(include_defaults=not all(map(is_task_file, tasks)))
        self.problems = {name: reason for name in tasks if (reason := self._problem(name)) is not None}
        self.tasks = tuple(name for name in tasks if name not in self.problems)

    def _problem(self, name: str) -> str | None:
        """Load a task and its data once: what goes wrong later is not the data's fault."""
        if is_task_file(name) and not Path(name).is_file():
            return "no such file"
        try:
            self._manager.load([name])
        except KeyError as error:
            known = "not a registered" in str(error)
            return "lm-evaluation-harness has no task of this name" if known else _reason(error)
        except (ConnectionError, FileNotFoundError, TimeoutError) as error:
            return f"its data can't be reached ({_reason(error)})"
        except Exception as error:  # a task is code and data of somebody else's: anything may happen in it
            return f"it can't be loaded ({_reason(error)})"
        return None

    def scores(
        self, model: Path, adapter: Path | None, tasks: Sequence[str], *, dtype: str, limit: int | None = None
    ) -> Iterator[tuple[str, list[TaskScore]]]:
        """Load a model folder, with a PEFT adapter folder on it or without, and run one task after the other.

        dtype: as transformers calls it. limit: questions of each task at most.

        Raises:
            EngineError: the harness failed.
        """
        try:
            import lm_eval
            from lm_eval.models.huggingface import HFLM

            adapter_place = str(adapter) if adapter else None
            loaded = HFLM(str(model), device=_device(), dtype=dtype, batch_size=8, peft=adapter_place)
            for task in tasks:
                found = lm_eval.simple_evaluate(
                    loaded, tasks=[task], task_manager=self._manager, limit=limit, bootstrap_iters=1000
                )
                yield task, list(_scores(found or {}))
        except Exception as error:
            raise EngineError(f"lm-evaluation-harness failed ({_reason(error)}).") from error


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def _scores(found: Mapping[str, Any]) -> Iterator[TaskScore]:
    """Every number of every task that has documents; groups are their tasks."""
    for task, documents in (found.get("samples") or {}).items():
        results, higher = found["results"][task], (found.get("higher_is_better") or {}).get(task, {})
        for key, value in results.items():
            metric, comma, rule = key.partition(",")
            if not comma or metric.endswith("_stderr") or not isinstance(value, int | float):
                continue
            own = [one for one in documents if one.get("filter", rule) == rule]
            error = results.get(f"{metric}_stderr,{rule}")
            yield TaskScore(
                task,
                metric if rule == "none" else f"{metric} ({rule})",
                _version(found["versions"].get(task)),
                higher.get(metric),
                float(value),
                float(error) if isinstance(error, int | float) and math.isfinite(error) else None,
                len(own),
                _per_example(own, metric, float(value)),
            )


def _version(given: object) -> str:
    """A task file without a version has the word for its kind of file in its place."""
    return "" if given in (None, "Yaml") else str(given)


def _per_example(documents: Sequence[Mapping[str, Any]], metric: str, whole: float) -> dict[str, float]:
    """The values of the documents, if their mean is what the harness reports."""
    values = {str(one["doc_id"]): one.get(metric) for one in documents}
    known = {document: float(value) for document, value in values.items() if isinstance(value, int | float)}
    is_mean = len(known) == len(values) > 0 and math.isclose(sum(known.values()) / len(known), whole, abs_tol=1e-6)
    return known if is_mean else {}


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
