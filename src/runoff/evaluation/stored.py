"""A measure as it is remembered beside a run: its anchors, its estimate, and where there is one a value per example.

Owns: the JSON form of a MeasureResult for one run. Must not: compute.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from runoff.errors import RunError
from runoff.estimates.bounded import Bounds
from runoff.estimates.estimate import Estimate
from runoff.evaluation.damaged import reading
from runoff.files import read_json_object, read_jsonl, write_json

if TYPE_CHECKING:
    from runoff.evaluation.measures.result import MeasureResult

__all__ = [
    "HARNESS",
    "JUDGE",
    "JUDGE_DECISIONS",
    "SCORED",
    "StoredMeasure",
    "answers_sha256",
    "load_generation",
    "load_judge_decisions",
    "load_measures",
    "store_measures",
]

FILE, SCORED, JUDGE, HARNESS = "measures.json", "scored-measures.json", "judge.json", "harness.json"
JUDGE_DECISIONS = "judge-decisions.jsonl"


@dataclass(frozen=True)
class StoredMeasure:
    """One measure of one run between its two anchors.

    per_example: example -> (run's value, base's value). flags: what warns of the number. remarks: what explains it.
    bounds: the least and the largest value of an example, where there are both.
    taken: how it was measured, in words for a reader; runs can be set side by side where that is equal.
    """

    key: str
    title: str
    dimension: str
    unit: str
    higher_is_better: bool | None
    matters: float
    cannot_see: str
    base: Estimate
    author: Estimate
    run: Estimate
    per_example: dict[str, tuple[float, float]]
    clusters: dict[str, str]
    flags: tuple[str, ...]
    remarks: tuple[str, ...] = ()
    bounds: Bounds | None = None
    taken: Mapping[str, str | float] = field(default_factory=dict)

    @classmethod
    def of(
        cls, result: MeasureResult, label: str, clusters: dict[str, str], taken: Mapping[str, str | float] | None = None
    ) -> Self:
        """The part of a result that is one run's."""
        about = result.about
        own, base = result.per_example.get(label, {}), result.per_example.get("base", {})
        return cls(
            about.key,
            about.title,
            about.dimension.value,
            about.unit,
            about.higher_is_better,
            about.matters,
            about.cannot_see,
            result.base,
            result.author,
            result.estimates[label],
            {example: (value, base[example]) for example, value in own.items() if example in base},
            {example: clusters[example] for example in own if example in clusters},
            tuple(result.flags.get(label, ())),
            bounds=about.bounds if about.bounds and math.isfinite(about.bounds[1]) else None,
            taken=taken or {},
        )

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Self:
        """The inverse of `asdict` through JSON."""
        estimates = {name: Estimate.from_json(body[name]) for name in ("base", "author", "run")}
        pairs = {example: (float(pair[0]), float(pair[1])) for example, pair in body["per_example"].items()}
        said = {name: tuple(body.get(name, ())) for name in ("flags", "remarks")}
        low, high = body.get("bounds") or (None, None)
        bounds = None if low is None or high is None else (float(low), float(high))
        return cls(**{**body, **estimates, **said, "per_example": pairs, "bounds": bounds})


def store_measures(
    folder: Path, generation: dict[str, Any], measures: Sequence[StoredMeasure], name: str = FILE
) -> None:
    """Write measures.json (or the judge's, or the harness's): how its values came about, and every measure."""
    write_json(folder / name, {"generation": generation, "measures": [asdict(one) for one in measures]})


def load_measures(folder: Path) -> dict[str, StoredMeasure]:
    """By key; empty where nothing was measured. What was said of other answers, or of another adapter, is left out.

    Raises:
        RunError: a file of them is damaged.
    """
    found: dict[str, StoredMeasure] = {}
    for path in (folder / name for name in (SCORED, FILE, JUDGE, HARNESS)):
        if path.exists() and _holds(folder, load_generation(path)):
            with reading(path):
                measures = read_json_object(path, RunError)["measures"]
                found |= {one["key"]: StoredMeasure.from_json(one) for one in measures}
    return found


def load_generation(path: Path) -> dict[str, Any]:
    """How the values of a file of measures came about; empty where there is no such file.

    Raises:
        RunError: the file is damaged.
    """
    with reading(path):
        return dict(read_json_object(path, RunError).get("generation", {})) if path.exists() else {}


def load_judge_decisions(folder: Path) -> list[dict[str, Any]]:
    """The judge's verdict on each pair; empty where it judged other answers than those that are there now.

    Raises:
        RunError: a file of them is damaged.
    """
    judged, rows = folder / JUDGE, folder / JUDGE_DECISIONS
    if not (judged.exists() and rows.exists() and _holds(folder, load_generation(judged))):
        return []
    with reading(rows):
        return read_jsonl(rows)


def _holds(folder: Path, about: dict[str, Any]) -> bool:
    """Whether what was measured is what is there now, as far as it is remembered."""
    if about.get("answers_sha256") not in (None, answers_sha256(folder)):
        return False
    path = folder / "evaluation.json"
    if "adapter_sha256" not in about or not path.exists():
        return True
    with reading(path):
        return bool(read_json_object(path, RunError)["adapter_sha256"] == about["adapter_sha256"])


def answers_sha256(folder: Path) -> str:
    """Identity of the answers of the run and of the base."""
    paths = (folder / "answers.jsonl", folder / "base-answers.jsonl")
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths if path.exists())).hexdigest()
