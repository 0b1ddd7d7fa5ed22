"""A1, the contrastive style score. Owns: the position between base (0) and author (1), and what is said beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from runoff.estimates.clusters import Clusters, FloatArray, robust_ratio
from runoff.estimates.estimate import Estimate, t_estimate
from runoff.evaluation.material import AUTHOR, BASE, Material, Need
from runoff.evaluation.measures.classifier import StyleClassifier, style_classifier
from runoff.evaluation.measures.result import About, Dimension, Measure, MeasureResult, Scores, result, unknown
from runoff.evaluation.measures.texts import words

__all__ = ["STYLE", "STYLE_WITHOUT_MARKDOWN"]

_LEAST_AUC = 0.75  # below it author and base can't be told apart, and a scale between them has no length
_METHOD = "ratio of mean log-odds, cluster-robust t"

_ABOUT = About(
    key="style",
    title="Style position",
    dimension=Dimension.STYLE,
    unit="of the way from base (0) to author (1)",
    higher_is_better=True,
    matters=0.10,
    what=(
        "Logistic regression of the author's training answers against the base's own answers to the same questions, on "
        "function words, punctuation, sentence length, layout and character 2- to 4-grams with content words masked "
        "(text distortion, Stamatatos 2017), first 60 words. The run's mean log-odds on the test questions are placed "
        "between the base's (0) and the author's held-out answers (1). The classifier's AUC under cross-validation by "
        "source stands beside it; under 0.75 there is no scale and the position is unknown. Above 1 is caricature. An "
        "answer without a word counts as the base's."
    ),
    cannot_see=(
        "It knows nothing of truth, of loops, or of what comes after the sixtieth word, and it is pleased by recited "
        "training answers: read it beside copying."
    ),
    needs=(Need.ANSWERS, Need.REFERENCES, Need.BASE, Need.BASE_ON_TRAINING),
)


def _measure(about: About, material: Material, *, with_markdown: bool) -> MeasureResult:
    classifier = style_classifier(material.base_on_training, with_markdown=with_markdown)
    if classifier is None:
        return unknown(about, material, "the base's answers to training questions come from a single source")
    if classifier.auc < _LEAST_AUC:
        reason = f"the author's answers can't be told from the base's (cross-validated AUC {classifier.auc:.2f})"
        return unknown(about, material, reason)
    odds = _log_odds(material, classifier)
    clusters = {answer.example: answer.cluster for answer in material.author}
    positions = {label: _position(about, values, odds, clusters) for label, values in odds.items()}
    estimates = {label: estimate for label, (estimate, _) in positions.items()}
    return result(
        about,
        material,
        estimates,
        per_example={label: values for label, (_, values) in positions.items()},
        flags={label: _flags(estimate) for label, estimate in estimates.items() if _flags(estimate)},
        details={label: _details(material, label, values, classifier) for label, values in odds.items() if values},
    )


def _log_odds(material: Material, classifier: StyleClassifier) -> Scores:
    """By label and example, for the examples that author and base have both answered.

    Blank lines are no style, though the classifier may take them for the author's: an answer without a word is the
    base's.
    """
    anchored = {a.example for a in material.author} & {a.example for a in material.answers[BASE]}
    odds: dict[str, dict[str, float]] = {}
    for label, answers in sorted(material.everyone.items(), key=lambda one: one[0] != BASE):
        kept = [answer for answer in answers if answer.example in anchored]
        values = classifier.log_odds([answer.text for answer in kept]).tolist() if kept else []
        odds[label] = {
            answer.example: value if label == BASE or words(answer.text) else odds[BASE][answer.example]
            for answer, value in zip(kept, values, strict=True)
        }
    return odds


def _position(
    about: About, values: Mapping[str, float], odds: Scores, clusters: Mapping[str, str]
) -> tuple[Estimate, dict[str, float]]:
    """(run - base) / (author - base), with each example's part in it; the anchors are those of the run's examples."""
    examples = list(values)
    if not examples:
        return Estimate.unknown_because("there is no answer of its to measure", about.unit), {}
    base, author = _row(odds[BASE], examples), _row(odds[AUTHOR], examples)
    own = _row(values, examples)
    if author.mean() <= base.mean():
        reason = "on the test questions the author's answers score no higher than the base's"
        return Estimate.unknown_because(reason, about.unit, n=len(examples)), {}
    groups = Clusters.of([clusters[example] for example in examples], len(examples))
    value, error = robust_ratio(groups.totals(own - base), groups.totals(author - base))
    estimate = t_estimate(
        value, error, unit=about.unit, level=0.95, n=len(examples), clusters=len(groups), method=_METHOD
    )
    parts = (own - base.mean()) / (author.mean() - base.mean())
    return estimate, dict(zip(examples, parts.tolist(), strict=True))


def _row(values: Mapping[str, float], examples: list[str]) -> FloatArray:
    return np.array([values[example] for example in examples])


def _flags(estimate: Estimate) -> tuple[str, ...]:
    if estimate.low is not None and estimate.low > 1:
        return ("Caricature: its answers lie further from the base's than the author's own held-out answers do.",)
    return ()


def _details(
    material: Material, label: str, values: Mapping[str, float], classifier: StyleClassifier
) -> dict[str, float]:
    """The classifier's AUC, and how far the score goes with length: it should not."""
    texts = {answer.example: answer.text for answer in material.everyone[label]}
    lengths = np.log([max(1, len(words(texts[example]))) for example in values])
    scores = np.array(list(values.values()))
    details = {"cross-validated AUC": classifier.auc}
    if len(values) > 2 and lengths.std() > 0 and scores.std() > 0:
        details["correlation with log length"] = float(np.corrcoef(lengths, scores)[0, 1])
    return details


STYLE = Measure(_ABOUT, lambda about, material: _measure(about, material, with_markdown=True))
STYLE_WITHOUT_MARKDOWN = Measure(
    replace(
        _ABOUT,
        key="style_without_markdown",
        title="Style position without Markdown",
        what="The style score after emphasis, headings, lists and line breaks are taken off both sides.",
        cannot_see=f"Layout, on purpose. {_ABOUT.cannot_see}",
    ),
    lambda about, material: _measure(about, material, with_markdown=False),
)
