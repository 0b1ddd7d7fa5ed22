"""Where the answers come from. Owns: the test set that all runs have answered, and answering a prompts file once.

Must not: mark, order or render.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runoff.engines import Base
from runoff.engines.generation import Sampling
from runoff.errors import RunError
from runoff.evaluation.answers import Answer
from runoff.evaluation.evaluate import Evaluation, largest_in_common, load_evaluations
from runoff.evaluation.generating import generate_answers
from runoff.evaluation.material import BASE, Material, TrainingRow
from runoff.evaluation.samples import training_rows
from runoff.evaluation.stored import load_generation
from runoff.evaluation.suite import load_prompts
from runoff.runs import Run

__all__ = [
    "Gathered",
    "Rows",
    "gather_prompted",
    "gather_stored",
    "material_of",
    "shared_evaluations",
    "together",
    "trained_on",
]

Rows = tuple[TrainingRow, ...]


@dataclass(frozen=True)
class Gathered:
    """Answers by label with what the badges need.

    place: of the prompts. notes: sentences for the reader. trained_on: the training rows of each run, by label; those
    of all runs together are the material's.
    """

    material: Material
    place: str
    notes: tuple[str, ...] = ()
    trained_on: Mapping[str, Rows] = field(default_factory=dict)


def gather_stored(runs: Sequence[Run]) -> Gathered:
    """The answers that `runoff evaluate --generate` stored beside the runs.

    Raises:
        RunError: a run has none, the runs have none to the same test set, or two share a name.
    """
    evaluations = shared_evaluations(runs)
    own = trained_on({run.name: run for run in runs})
    material = Material(_answers(runs, evaluations), together(own))
    return Gathered(material, evaluations[0].test["place"], tuple(_notes(evaluations)), own)


def gather_prompted(
    runs: Sequence[Run],
    prompts: str,
    *,
    max_tokens: int = 256,
    base: Base | None = None,
    say: Callable[[str], None] = lambda _text: None,
) -> Gathered:
    """The answers of the base and of every run to other prompts, greedily; kept, so that each is generated once.

    prompts: a .jsonl or .yaml file, or one question.

    Raises:
        DataError: the prompts can't be read.
        RunError: none of the runs can be used, or two share a name.
    """
    _distinct(runs)
    answers = generate_answers(runs, prompts, Sampling(max_tokens), base=base, say=say)
    checked = load_prompts(Path(prompts)) if prompts.endswith((".yaml", ".yml")) else ()
    own = trained_on({run.name: run for run in runs})
    material = Material({label: tuple(some) for label, some in answers.items()}, together(own), prompts=checked)
    return Gathered(material, prompts, trained_on=own)


def shared_evaluations(runs: Sequence[Run]) -> list[Evaluation]:
    """One evaluation with answers for each run, of the test set with the most rows that all of them have answered.

    Raises:
        RunError: a run has no answers, the runs have none to the same test set, or two share a name.
    """
    found = [{one.key: one for one in load_evaluations(run) if one.answers()} for run in runs]
    _distinct(runs)
    names = " ".join(run.name for run in runs)
    without = [run.name for run, own in zip(runs, found, strict=True) if not own]
    if without:
        raise RunError(
            f"{' and '.join(without)}: no generated answers are stored. Run: runoff evaluate {names} --generate."
        )
    key = largest_in_common(found)
    if key is None:
        raise RunError(
            f"{' and '.join(run.name for run in runs)} answered different test sets. Give them one: --test FILE."
        )
    return [own[key] for own in found]


def material_of(runs: Sequence[Run], evaluations: Sequence[Evaluation]) -> Material:
    """The stored answers of the base and of each run, and the rows that any of the runs was trained on."""
    return Material(_answers(runs, evaluations), together(trained_on({run.name: run for run in runs})))


def trained_on(runs: Mapping[str, Run]) -> dict[str, Rows]:
    """The rows that each run was trained on, as far as they are at hand; a file that runs share is read once."""
    read: dict[tuple[Any, Any], Rows] = {}
    found = {}
    for label, run in runs.items():
        recorded = run.identity.data.get("train") or {}
        key = (recorded.get("place"), recorded.get("sha256"))
        if key not in read:
            read[key] = tuple(TrainingRow(row.question, row.answer, row.source) for row in training_rows(run))
        found[label] = read[key]
    return found


def _distinct(runs: Sequence[Run]) -> None:
    names = [run.name for run in runs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise RunError(
            f"two runs are called {twice}, and one would hide the other. Name one of them, or rename a folder."
        )


def together(own: Mapping[str, Rows]) -> Rows:
    """What any of the runs was trained on, each row once; the rows as they are where the runs share them."""
    apart = list({id(rows): rows for rows in own.values()}.values())
    return apart[0] if len(apart) == 1 else tuple(dict.fromkeys(row for rows in apart for row in rows))


def _answers(runs: Sequence[Run], evaluations: Sequence[Evaluation]) -> dict[str, tuple[Answer, ...]]:
    own = {run.name: one.answers() for run, one in zip(runs, evaluations, strict=True)}
    return {BASE: evaluations[0].answers(base=True), **own}


def _notes(evaluations: Sequence[Evaluation]) -> list[str]:
    """Runs whose answers were generated in different ways should not be read as if they had been alike."""
    ways: dict[str, list[str]] = {}
    for one in evaluations:
        generation = load_generation(one.folder / "measures.json")
        kept = {key: generation.get(key) for key in ("temperature", "top_p", "seed", "max_tokens")}
        ways.setdefault(", ".join(f"{key} {value}" for key, value in kept.items()), []).append(one.run)
    if len(ways) < 2:
        return []
    told = "; ".join(f"{', '.join(names)}: {way}" for way, names in ways.items())
    return [f"The answers were not generated alike, so they differ for that reason too ({told})."]
