"""How near a text comes to the nearest of some others. Owns: the cosine. Must not: know what the texts are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runoff.evaluation.measures.texts import words

__all__ = ["grams", "nearest_cosines"]


def grams(tokens: Sequence[str], n: int) -> Iterator[tuple[str, ...]]:
    """Runs of n words, in order."""
    return (tuple(tokens[start : start + n]) for start in range(len(tokens) - n + 1))


def nearest_cosines(texts: Sequence[str], known: Sequence[str], *, longest: int = 1) -> list[float]:
    """For each text the largest cosine to a known one, over the TF-IDF of runs of 1 to `longest` words; 0 to 1.

    Words are weighted by their rarity in the known texts. Those that no known text holds count in a text's length, as
    the rarest do: else a text that shares a single word with a known one would be all but the same. So a value depends
    on its own text and the known ones alone.
    """
    if not any(map(words, [*texts, *known])):
        return [0.0] * len(texts)
    from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

    def runs(text: str) -> list[tuple[str, ...]]:
        return [gram for n in range(1, longest + 1) for gram in grams(words(text), n)]

    counts = CountVectorizer(analyzer=runs).fit_transform([*known, *texts])
    weights = TfidfTransformer(sublinear_tf=True).fit(counts[: len(known)]).transform(counts)
    nearest: list[float] = (weights[len(known) :] @ weights[: len(known)].T).max(axis=1).toarray().ravel().tolist()
    return nearest
