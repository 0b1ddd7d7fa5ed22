"""A2 and A3: how far all answers together are from the author's. Owns: two-sample test, Burrows' and Cosine Delta."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from runoff.estimates.bounded import SHARE
from runoff.estimates.clusters import FloatArray
from runoff.estimates.estimate import Estimate
from runoff.evaluation.answers import Answer
from runoff.evaluation.material import Material, Need
from runoff.evaluation.measures.classifier import area_under_curve, out_of_fold, window
from runoff.evaluation.measures.features import style_features
from runoff.evaluation.measures.intervals import jackknife
from runoff.evaluation.measures.result import About, Dimension, Measure, MeasureResult, result
from runoff.evaluation.measures.texts import function_words, words

__all__ = ["BURROWS_DELTA", "COSINE_DELTA", "DISTINGUISHABLE"]

_LEAST_WORDS = 2500
_DELTA_WORDS = 150
_LEAST_PAIRS = 20


def _each(about: About, material: Material, estimate: Callable[[Sequence[Answer]], Estimate]) -> MeasureResult:
    return result(about, material, {label: estimate(some) for label, some in material.everyone.items() if some})


def _distinguishable(about: About, material: Material) -> MeasureResult:
    """Cross-validated AUC of telling each label's answers from the author's to the same questions."""
    references = {answer.example: answer.text for answer in material.author}
    texts = {
        text: window(text, with_markdown=True) for some in material.everyone.values() for text in (a.text for a in some)
    }
    vocabulary = sorted(function_words(texts.values()))

    def estimate(answers: Sequence[Answer]) -> Estimate:
        pairs = [answer for answer in answers if answer.example in references]
        clusters = [answer.cluster for answer in pairs]
        if len(pairs) < _LEAST_PAIRS or len(set(clusters)) < 2:
            reason = (
                f"it takes {_LEAST_PAIRS} answers from 2 sources, and there are {len(pairs)} from {len(set(clusters))}"
            )
            return Estimate.unknown_because(reason, about.unit, n=len(pairs), clusters=len(set(clusters)))
        both = [texts[answer.text] for answer in pairs] + [texts[references[answer.example]] for answer in pairs]
        labels = np.array([1] * len(pairs) + [0] * len(pairs))
        values = out_of_fold(_linear(), style_features(both, vocabulary), labels, clusters * 2)

        def auc(kept: npt.NDArray[Any]) -> float:
            rows = np.concatenate([kept, kept + len(pairs)])
            return area_under_curve(values[rows], labels[rows])

        found = jackknife(auc, clusters, unit=about.unit, method="cross-validated AUC", bounds=SHARE)
        return _at_least_chance(found)

    return _each(about, material, estimate)


def _at_least_chance(estimate: Estimate) -> Estimate:
    """Less than 0.5 is chance. What maps the value maps the ends of its interval, since it never falls."""
    value, low, high = (None if one is None else max(0.5, one) for one in (estimate.value, estimate.low, estimate.high))
    return replace(estimate, value=value, low=low, high=high)


def _linear() -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=0.01, solver="liblinear"))


DISTINGUISHABLE = Measure(
    About(
        key="distinguishable",
        title="How well it can be told from the author",
        dimension=Dimension.STYLE,
        unit="AUC",
        higher_is_better=False,
        matters=0.05,
        what=(
            "A classifier two-sample test (Lopez-Paz and Oquab 2017): cross-validated AUC, by source, of a logistic "
            "regression that tells the run's answers from the author's to the same questions by function words, marks, "
            "sentence length and layout of the first 60 words. 0.5 is indistinguishable (less is chance, and "
            "shown as 0.5), 1 is always told apart."
        ),
        cannot_see=(
            "Which way the difference lies, or how large it is: a single tell, such as one kind of dash, is enough for "
            "1, so it does not rank weak runs. The interval takes the classifier as given: of simulated runs that "
            "write exactly as the author does, 7 % lie above 0.5 with their whole interval, not 2.5 %."
        ),
        needs=(Need.ANSWERS, Need.REFERENCES),
        bounds=SHARE,
    ),
    _distinguishable,
)


@dataclass(frozen=True, slots=True, eq=False)
class _Yardstick:
    """Frequent words, and how their rates vary over the training sources of author and base."""

    vocabulary: tuple[str, ...]
    centre: FloatArray
    spread: FloatArray
    author: FloatArray

    def z(self, rates: FloatArray) -> FloatArray:
        return (rates - self.centre) / self.spread

    @classmethod
    def of(cls, material: Material) -> _Yardstick | None:
        """None where too few sources make a spread."""
        author = _pools((row.source or "", row.answer) for row in material.training)
        base = _pools((answer.source or "", answer.text) for answer in material.base_on_training)
        pools = [*author.values(), *base.values()]
        if len(pools) < 3:
            return None
        counts = sum(pools, Counter[str]())
        keep = function_words([" ".join(counts.elements())])
        vocabulary = tuple(word for word, _ in counts.most_common() if word in keep)[:_DELTA_WORDS]
        rates = np.array([_rates(pool, vocabulary) for pool in pools])
        varying = rates.std(axis=0, ddof=1) > 0
        kept = tuple(word for word, varies in zip(vocabulary, varying, strict=True) if varies)
        pooled = _rates(sum(author.values(), Counter[str]()), kept)
        return cls(kept, rates[:, varying].mean(axis=0), rates[:, varying].std(axis=0, ddof=1), pooled)


def _pools(texts: Iterable[tuple[str, str]]) -> dict[str, Counter[str]]:
    pools: dict[str, Counter[str]] = {}
    for source, text in texts:
        pools.setdefault(source, Counter()).update(words(window(text, with_markdown=False)))
    return pools


def _rates(counts: Counter[str], vocabulary: Sequence[str]) -> FloatArray:
    return np.array([counts[word] for word in vocabulary], dtype=np.float64) / max(1, counts.total())


def _burrows(own: FloatArray, author: FloatArray) -> float:
    return float(np.mean(np.abs(own - author)))


def _cosine(own: FloatArray, author: FloatArray) -> float:
    return float(1 - own @ author / max(1e-12, float(np.linalg.norm(own) * np.linalg.norm(author))))


def _delta(distance: Callable[[FloatArray, FloatArray], float]) -> Callable[[About, Material], MeasureResult]:
    def compute(about: About, material: Material) -> MeasureResult:
        yardstick = _Yardstick.of(material)
        return _each(about, material, lambda answers: _distance(about, yardstick, answers, distance))

    return compute


def _distance(
    about: About,
    yardstick: _Yardstick | None,
    answers: Sequence[Answer],
    distance: Callable[[FloatArray, FloatArray], float],
) -> Estimate:
    counts = [Counter(words(window(answer.text, with_markdown=False))) for answer in answers]
    total, n = sum(count.total() for count in counts), len(answers)
    if yardstick is None:
        return Estimate.unknown_because("it takes training answers from 3 sources to know what varies", about.unit, n=n)
    if total < _LEAST_WORDS:
        reason = f"it takes {_LEAST_WORDS:,} words, and the answers' first 60 words come to {total:,}"
        return Estimate.unknown_because(reason, about.unit, n=n)
    table = np.array([[count[word] for word in yardstick.vocabulary] for count in counts], dtype=np.float64)
    sizes = np.array([count.total() for count in counts], dtype=np.float64)
    author = yardstick.z(yardstick.author)

    def statistic(kept: npt.NDArray[Any]) -> float:
        return distance(yardstick.z(table[kept].sum(axis=0) / sizes[kept].sum()), author)

    return jackknife(
        statistic,
        [answer.cluster for answer in answers],
        unit=about.unit,
        method="pooled words",
        bounds=about.bounds or (0.0, math.inf),
    )


_DELTA_BLIND = (
    "Single answers: it is known for thousands of pooled words only, falls as they grow, and compares runs on the same "
    "questions. The author's own value is the floor, not 0."
)

BURROWS_DELTA = Measure(
    About(
        key="burrows_delta",
        title="Burrows' Delta to the author",
        dimension=Dimension.STYLE,
        unit="mean absolute z",
        higher_is_better=False,
        matters=0.10,
        what=(
            "Burrows 2002: rates of the 150 commonest function words in the first 60 words of all answers together, "
            "as z-scores over the training sources of author and base; mean absolute difference to the author's "
            "training answers. Unknown under 2,500 words (Eder 2015)."
        ),
        cannot_see=_DELTA_BLIND,
        needs=(Need.ANSWERS, Need.TRAINING),
        bounds=(0.0, math.inf),
    ),
    _delta(_burrows),
)

COSINE_DELTA = Measure(
    About(
        key="cosine_delta",
        title="Cosine Delta to the author",
        dimension=Dimension.STYLE,
        unit="1 - cosine of z",
        higher_is_better=False,
        matters=0.10,
        what=(
            "The same z-scores as Burrows' Delta, by the angle between them (Smith and Aldridge 2011); without the "
            "base's answers to training questions there is no middle to take the angle from."
        ),
        cannot_see=_DELTA_BLIND,
        needs=(Need.ANSWERS, Need.TRAINING, Need.BASE_ON_TRAINING),
        bounds=(0.0, 2.0),
    ),
    _delta(_cosine),
)
