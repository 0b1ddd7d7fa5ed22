"""The classifier behind the style score: the author's answers against the base's to the same training questions.

Owns: its features, its fit, its cross-validation by source. Must not: see a test answer, or know runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from runoff.evaluation.clusters import FloatArray
from runoff.evaluation.material import Material
from runoff.evaluation.measures.features import style_features
from runoff.evaluation.measures.texts import first_words, function_words, masked, strip_markdown

__all__ = ["WINDOW_WORDS", "StyleClassifier", "area_under_curve", "out_of_fold", "style_classifier", "window"]

WINDOW_WORDS = 60
_FOLDS = 5
_CHARACTERS = 4000  # most frequent character n-grams that are kept


@dataclass(frozen=True, eq=False)
class StyleClassifier:
    """Log-odds that the author, not the base, wrote a text. `auc`: under cross-validation by source."""

    with_markdown: bool
    vocabulary: frozenset[str]
    pipeline: Any
    auc: float

    def log_odds(self, texts: Sequence[str]) -> FloatArray:
        """One number a text, above 0 for the author: (texts,)."""
        seen = [window(text, with_markdown=self.with_markdown) for text in texts]
        return np.asarray(self.pipeline.decision_function(seen), dtype=np.float64)


@lru_cache(maxsize=4)
def style_classifier(material: Material, *, with_markdown: bool) -> StyleClassifier | None:
    """Fitted on `base_on_training`; None if those questions come from a single source, so that nothing can be held out.

    A material's classifier is fitted once: materials are equal only to themselves.
    """
    pairs = [answer for answer in material.base_on_training if answer.reference]
    if len({answer.cluster for answer in pairs}) < 2:
        return None
    texts = [text for answer in pairs for text in (answer.reference or "", answer.text)]
    seen = [window(text, with_markdown=with_markdown) for text in texts]
    is_author = np.array([1, 0] * len(pairs))
    groups = [answer.cluster for answer in pairs for _ in range(2)]
    vocabulary = function_words(seen)
    pipeline = _pipeline(vocabulary)
    auc = area_under_curve(out_of_fold(pipeline, np.array(seen, dtype=object), is_author, groups), is_author)
    return StyleClassifier(with_markdown, vocabulary, pipeline.fit(seen, is_author), auc)


def window(text: str, *, with_markdown: bool) -> str:
    """The part of an answer that style is judged by: its first 60 words."""
    return first_words(text if with_markdown else strip_markdown(text), WINDOW_WORDS)


def out_of_fold(model: Any, inputs: npt.NDArray[Any], labels: npt.NDArray[Any], groups: Sequence[str]) -> FloatArray:
    """Decision values of a fresh copy of `model` that saw neither the example nor its source: (n,)."""
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


def _pipeline(vocabulary: frozenset[str]) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    columns = sorted(vocabulary)
    characters = TfidfVectorizer(
        analyzer="char",
        ngram_range=(2, 4),
        preprocessor=lambda text: masked(text, vocabulary),
        sublinear_tf=True,
        min_df=2,
        max_features=_CHARACTERS,
    )
    manner = make_pipeline(FunctionTransformer(lambda texts: style_features(list(texts), columns)), StandardScaler())
    # Standardised columns would drown the n-grams, whose rows have length 1: both blocks get a say of the same order.
    weights = {"pipeline": 1 / np.sqrt(len(columns)), "tfidfvectorizer": 1.0}
    both = make_union(manner, characters).set_params(transformer_weights=weights)
    return make_pipeline(both, LogisticRegression(C=10.0, max_iter=1000))
