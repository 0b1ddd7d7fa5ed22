"""D2: what the base could do and the run can't. Owns: the pass rate of the checkable prompts, and its retention."""

from __future__ import annotations

from collections.abc import Mapping

from runoff.estimates.bounded import SHARE
from runoff.evaluation.material import BASE, Material, Need
from runoff.evaluation.measures.result import About, Dimension, Measure, MeasureResult, from_scores, unknown

__all__ = ["PASSED", "RETENTION"]


def _passes(material: Material) -> dict[str, dict[str, float]]:
    """By label and prompt: 1 where the answer passes every check of its prompt; prompts without checks left out."""
    prompts = {prompt.id: prompt for prompt in material.prompts if prompt.checks}
    return {
        label: {a.example: float(prompts[a.example].passes(a.text)) for a in answers if a.example in prompts}
        for label, answers in material.suite.items()
    }


def _categories(material: Material) -> Mapping[str, str]:
    return {prompt.id: prompt.category for prompt in material.prompts}


def _by_category(material: Material, passes: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """The share passed in each category, by label."""
    category = _categories(material)
    shares: dict[str, dict[str, list[float]]] = {}
    for label, values in passes.items():
        for prompt, value in values.items():
            shares.setdefault(label, {}).setdefault(category[prompt], []).append(value)
    return {label: {name: sum(v) / len(v) for name, v in groups.items()} for label, groups in shares.items()}


def _passed(about: About, material: Material) -> MeasureResult:
    passes = _passes(material)
    details = _by_category(material, passes)
    return from_scores(about, material, passes, _categories(material), details=details)


def _retention(about: About, material: Material) -> MeasureResult:
    passes = _passes(material)
    could = {prompt for prompt, value in passes[BASE].items() if value}
    if not could:
        return unknown(about, material, "the base passes none of the checkable prompts itself")
    kept = {label: {p: value for p, value in values.items() if p in could} for label, values in passes.items()}
    details = _by_category(material, kept)
    return from_scores(about, material, kept, _categories(material), details=details)


RETENTION = Measure(
    About(
        key="retention",
        title="Kept of what the base could do",
        dimension=Dimension.FORGETTING,
        unit="share of prompts",
        higher_is_better=True,
        matters=0.05,
        what=(
            "Of the checkable prompts that the base passes, the share that the run passes too; Wilson interval, "
            "widened for prompts of one category failing together. The base's own is 1 by definition."
        ),
        cannot_see="What the base could not do either, and a skill that no prompt asks for.",
        needs=(Need.SUITE, Need.BASE_ON_SUITE),
        bounds=SHARE,
    ),
    _retention,
)

PASSED = Measure(
    About(
        key="suite_passed",
        title="Checkable prompts passed",
        dimension=Dimension.FORGETTING,
        unit="share of prompts",
        higher_is_better=True,
        matters=0.05,
        what=(
            "Share of the checkable prompts (greetings, arithmetic, knowledge, formats, repeating, recall over two "
            "turns, how-to, boundaries) whose answer passes every check; by category beside it."
        ),
        cannot_see="How good an answer is beyond its check.",
        needs=(Need.SUITE,),
        bounds=SHARE,
    ),
    _passed,
)
