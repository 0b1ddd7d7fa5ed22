"""The classifier behind the style score: the author's answers against the base's to the same training questions.

Owns: its features, its fit, its cross-validation by source. Must not: see a test answer, or know runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from runoff.estimates.clusters import FloatArray
from runoff.evaluation.answers import Answer
from runoff.evaluation.measures.features import style_features
from runoff.evaluation.measures.texts import first_words, function_words, masked, strip_markdown

__all__ = ["WINDOW_WORDS", "StyleClassifier", "area_under_curve", "out_of_fold", "style_classifier", "window"]

WINDOW_WORDS = 60
_FOLDS = 5
_CHARACTERS = 4000  # most frequent character n-grams that are kept


@dataclass(frozen=True, eq=False)
class _Features:
    """From texts to a matrix: standardised manner, and character n-grams. Neither has seen who wrote what."""

    function: tuple[str, ...]
    scaler: Any
    characters: Any

    @classmethod
    def fitted(cls, texts: Sequence[str]) -> _Features:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.preprocessing import StandardScaler

        keep = function_words(texts)
        function = tuple(sorted(keep))
        characters = TfidfVectorizer(
            analyzer="char",
            ngram_range=(2, 4),
            preprocessor=lambda text: masked(text, keep),
            sublinear_tf=True,
            min_df=2,
            max_features=_CHARACTERS,
        )
        return cls(function, StandardScaler().fit(style_features(texts, function)), characters.fit(texts))

    def of(self, texts: Sequence[str]) -> Any:
        """(texts, features), sparse."""
        from scipy.sparse import csr_array, hstack

        # Standardised columns would drown the n-grams, whose rows have length 1: both blocks get a say of one order.
        manner = self.scaler.transform(style_features(texts, self.function)) / math.sqrt(len(self.function))
        return hstack([csr_array(manner), self.characters.transform(texts)], format="csr")


@dataclass(frozen=True, eq=False)
class StyleClassifier:
    """Log-odds that the author, not the base, wrote a text. `auc`: under cross-validation by source."""

    with_markdown: bool
    features: _Features
    regression: Any
    auc: float

    def log_odds(self, texts: Sequence[str]) -> FloatArray:
        """One number a text, above 0 for the author: (texts,)."""
        seen = [window(text, with_markdown=self.with_markdown) for text in texts]
        return np.asarray(self.regression.decision_function(self.features.of(seen)), dtype=np.float64)


@lru_cache(maxsize=4)
def style_classifier(answers: tuple[Answer, ...], *, with_markdown: bool) -> StyleClassifier | None:
    """Fitted once on the base's answers to training questions and their references, the author's.

    answers: `Material.base_on_training`. None if they come from a single source, so that nothing can be held out.
    """
    from sklearn.linear_model import LogisticRegression

    pairs = [answer for answer in answers if answer.reference]
    if len({answer.cluster for answer in pairs}) < 2:
        return None
    texts = [text for answer in pairs for text in (answer.reference or "", answer.text)]
    seen = [window(text, with_markdown=with_markdown) for text in texts]
    features = _Features.fitted(seen)
    inputs, is_author = features.of(seen), np.array([1, 0] * len(pairs))
    regression = LogisticRegression(C=10.0, solver="liblinear")
    values = out_of_fold(regression, inputs, is_author, [answer.cluster for answer in pairs for _ in range(2)])
    auc = area_under_curve(values, is_author)
    return StyleClassifier(with_markdown, features, regression.fit(inputs, is_author), auc)


def window(text: str, *, with_markdown: bool) -> str:
    """The part of an answer that style is judged by: its first 60 words."""
    return first_words(text if with_markdown else strip_markdown(text), WINDOW_WORDS)


def out_of_fold(model: Any, inputs: Any, labels: npt.NDArray[Any], groups: Sequence[str]) -> FloatArray:
    """Decision values of a fresh copy of `model` that saw neither the example nor its source: (n,).

    inputs: (n, features), dense or sparse. labels: (n,) of 0 and 1. groups: (n,), the sources.
    """
    from sklearn.base import clone
    from sklearn.model_selection import GroupKFold

    values = np.zeros(len(labels))
    folds = GroupKFold(min(_FOLDS, len(set(groups))))
    for train, test in folds.split(inputs, labels, groups):
        values[test] = clone(model).fit(inputs[train], labels[train]).decision_function(inputs[test])
    return values


def area_under_curve(values: FloatArray, labels: npt.NDArray[Any]) -> float:
    """The chance that a random 1 has a higher value than a random 0, ties counting half (Mann-Whitney)."""
    from scipy.stats import rankdata

    positives = int(np.sum(labels == 1))
    negatives = len(labels) - positives
    ranks = rankdata(values)
    return float((ranks[labels == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))
