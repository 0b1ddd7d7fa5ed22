"""Evaluation: any number of runs and their base on one held-out test set, in one pass over one loaded base.

Owns: the order of the work, what is stored and what is not computed again. Must not: compare runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runoff.engines import Base
from runoff.engines.scoring import ScoredRow
from runoff.errors import RunError
from runoff.evaluation.answering import Answering, answer_all
from runoff.evaluation.answers import Answer, read_answers
from runoff.evaluation.damaged import reading
from runoff.evaluation.samples import training_rows
from runoff.evaluation.scoring import EXAMPLES, score_all
from runoff.evaluation.session import adapter_sha256, open_session
from runoff.evaluation.stored import StoredMeasure, load_measures
from runoff.evaluation.testset import TestSet, read_test_set
from runoff.files import changed_files, read_json_object, read_jsonl
from runoff.runs import Run

__all__ = ["Evaluation", "Example", "evaluate", "largest_in_common", "load_evaluations"]


@dataclass(frozen=True, slots=True)
class Example:
    """What was asked, and what the author answered."""

    question: str
    reference: str


@dataclass(frozen=True)
class Evaluation:
    """One run, and its base, on one test set. `measures`: by key, of likelihoods and of generated answers."""

    run: str
    key: str
    test: dict[str, Any]
    engine: dict[str, Any]
    adapter_sha256: str
    rows: tuple[ScoredRow, ...]
    base_rows: tuple[ScoredRow, ...]
    measures: dict[str, StoredMeasure] = field(default_factory=dict)
    folder: Path = Path()
    edited: tuple[str, ...] = ()
    """Stored files that are no longer what the evaluation wrote."""

    def examples(self) -> dict[str, Example]:
        """Question and reference of each row, by its hash; empty where they were not kept."""
        path = self.folder / EXAMPLES
        with reading(path):
            rows = read_jsonl(path) if path.exists() else []
            return {row["sha256"]: Example(row["question"], row["reference"]) for row in rows}

    def answers(self, *, base: bool = False) -> tuple[Answer, ...]:
        """Generated answers of the run or the base to the test questions; empty without any."""
        return read_answers(self.folder / ("base-answers.jsonl" if base else "answers.jsonl"))


def evaluate(
    runs: Sequence[Run],
    test: Path | None = None,
    *,
    answering: Answering | None = None,
    base: Base | None = None,
    say: Callable[[str], None] = lambda _text: None,
) -> list[Evaluation]:
    """Score every run and the base; what is stored already is not computed again.

    A run that can't be measured (no adapter, a broken one, another base or template) is said to `say` and left out.

    Args:
        runs: trained runs on one base, which the first one names.
        test: a JSONL file; by default the test.jsonl beside the runs' training data.
        answering: what to generate and measure besides the held-out loss; None for nothing.
        base: a loaded base, for callers that have one.
        say: receives progress sentences.

    Raises:
        RunError: none of the runs can be measured; each one's reason.
        DataError: no test set, or no row of it is left.
    """
    session = open_session(runs, say, base)
    rows = read_test_set(session.runs, test, session.tokenizer, session.model.context_length)
    for note in rows.notes():
        say(note)
    for run in tuple(session.runs):
        reason = _damaged(run) or _asked_otherwise(run, rows)
        if reason:
            session.refuse(run, reason)
    missing = [run for run in session.runs if not any(_is_current(one, rows) for one in load_evaluations(run))]
    if missing:
        score_all(session, missing, rows)
    if answering is not None:
        answer_all(session, rows, answering)
    found = [one for run in session.runs for one in load_evaluations(run) if _is_current(one, rows)]
    for note in _mixed_arithmetic(found):
        say(note)
    return found


def _damaged(run: Run) -> str | None:
    """What is wrong with a stored evaluation of the run, if anything: what is new would stand beside it unread."""
    try:
        load_evaluations(run)
    except RunError as error:
        return str(error)
    return None


def _asked_otherwise(run: Run, test: TestSet) -> str | None:
    """Why a run can't be asked these rows in the form that it was trained in."""
    known = training_rows(run)
    trained, asked = ({row.format == "text" for row in rows} for rows in (known, [one.row for one in test.encoded]))
    if not known or trained & asked:
        return None
    forms = ("plain text", "chats") if True in trained else ("chats", "plain text")
    return (
        f"{run.name}: is left out, since it was trained on {forms[0]}, and the rows of {test.place} are {forms[1]}: it "
        "would be asked in a form that it never saw. Name a test set of its own form."
    )


def _mixed_arithmetic(found: Sequence[Evaluation]) -> Iterator[str]:
    """Kept scores may come from another engine or type than those of today."""
    by = {one.run: f"{one.engine.get('name')} in {one.engine.get('dtype')}" for one in found}
    if len(set(by.values())) > 1:
        each = ", ".join(f"{run} by {engine}" for run, engine in by.items())
        yield (
            f"Scored by different arithmetic ({each}): differences in the last digits come from that. To score a "
            f"run anew, delete its folder evaluations/{found[0].key}."
        )


def _is_current(evaluation: Evaluation, test: TestSet) -> bool:
    """Whether these very rows were scored, rendered and cut as they are now."""
    return evaluation.key == test.key and evaluation.test.get("ids_sha256") == test.ids_sha256


def load_evaluations(run: Run) -> list[Evaluation]:
    """What is stored beside a run; an evaluation of an adapter that has changed since is left out.

    Raises:
        RunError: a stored file is damaged or missing; how to make it again.
    """
    adapter = adapter_sha256(run.folder)
    found = (_load(run, path, adapter) for path in sorted(run.folder.evaluation("").glob("*/evaluation.json")))
    return [one for one in found if one is not None]


def _load(run: Run, path: Path, adapter: str) -> Evaluation | None:
    with reading(path):
        body = read_json_object(path, RunError)
        identity = (body["key"], dict(body["test"]), dict(body["engine"]), body["adapter_sha256"])
        edited = changed_files(path.parent, dict(body.get("files") or {}))
    if body["adapter_sha256"] != adapter:
        return None
    folder = path.parent
    rows, base_rows = (_scored_rows(folder / name) for name in ("rows.jsonl", "base.jsonl"))
    return Evaluation(run.name, *identity, rows, base_rows, load_measures(folder), folder, edited)


def _scored_rows(path: Path) -> tuple[ScoredRow, ...]:
    with reading(path):
        return tuple(map(ScoredRow.from_json, read_jsonl(path)))


def largest_in_common(
    stored: Sequence[Mapping[str, Evaluation]], trained_on: frozenset[str] = frozenset()
) -> str | None:
    """Of the test sets that every run was measured on, the key of the one with the most rows; None without any.

    stored: for each run its evaluations by key; one run at least. trained_on: hashes (16 digits) of rows that some run
    knows: a larger set with one of them is not held out for it, so it comes after all without.
    """

    def rank(key: str) -> tuple[bool, int, str]:
        rows = stored[0][key].rows
        return trained_on.isdisjoint(row.sha256[:16] for row in rows), len(rows), key

    return max(set.intersection(*map(set, stored)), key=rank, default=None)
