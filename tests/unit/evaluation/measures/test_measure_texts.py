from __future__ import annotations

import numpy as np
import pytest

from runoff.estimates.bounded import bounded_mean
from runoff.evaluation.measures.classifier import area_under_curve
from runoff.evaluation.measures.features import FEATURES, style_features
from runoff.evaluation.measures.intervals import jackknife
from runoff.evaluation.measures.texts import (
    FUNCTION_WORDS,
    first_words,
    function_words,
    masked,
    sentences,
    strip_markdown,
    words,
)


def test_words_and_sentences() -> None:
    assert words("Don’t pay 1,200.5 euros, Aksel!") == ("don't", "pay", "1,200.5", "euros", "aksel")
    assert sentences('It is 2.5 litres. "No," he said.\n- Next\n\n***') == [
        "It is 2.5 litres.",
        '"No," he said.',
        "- Next",
    ]


def test_markdown_is_taken_off_and_the_words_stay() -> None:
    text = "## Title\n\n- **Bold** and `code`\n2. [a link](http://x.y), snake_case, _em_\n---\nEnd"
    assert strip_markdown(text) == "Title Bold and code a link, snake_case, em End"


def test_the_window_keeps_layout_and_cuts_after_a_word() -> None:
    assert first_words("- One,\n- two, three", 2) == "- One,\n- two"
    assert first_words("One two", 5) == "One two"


def test_masking_keeps_manner_and_hides_topic() -> None:
    assert masked("You’ll weigh 250 grams, **not** less!", FUNCTION_WORDS) == "you’ll ***** ### *****, **not** less!"
    assert masked("The cat sat.", FUNCTION_WORDS) == masked("The dog ran.", FUNCTION_WORDS)


def test_another_languages_function_words_are_its_frequent_ones() -> None:
    german = ["Der Hund und die Katze und der Vogel sitzen auf dem Dach.", "Der Mond und die Sterne."]
    assert {"der", "und", "die"} <= function_words(german)
    assert function_words(["The dog and the cat are on the roof."]) is FUNCTION_WORDS


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("words per answer", "One two three.", 3),
        ("words per sentence", "One two three. Four five!", 2.5),
        ("share of short sentences", "One two. Three four five six seven eight nine.", 0.5),
        ("paragraphs", "One\ntwo\n\nthree\n\n\n", 2),
        ("bold spans per 100 words", "**One** two __three__ four", 50),
        ("opens in bold", "**One** two", 1),
        ("has a list", "One:\n- a\n- b", 1),
        ("has a list", "One - two", 0),
        ("has a heading", "## One\ntwo", 1),
        ("numbers per 100 words", "1 two 2.5 four", 50),
        ("you, your per 100 words", "You and your cat", 50),
        ("I, my per 100 words", "I’m on my way", 50),
        ("hedges per 100 words", "it may be so", 25),
        ("comparisons per 100 words", "white like a sheet", 25),
    ],
)
def test_features(name: str, text: str, value: float) -> None:
    assert FEATURES[name](text) == pytest.approx(value)


def test_every_feature_of_an_empty_text_is_finite() -> None:
    assert np.isfinite(style_features(["", "a"], ["a", "the"])).all()


def test_the_jackknife_of_a_mean_is_the_cluster_robust_interval() -> None:
    """With clusters of one size the two standard errors are equal."""
    values = np.array([1.0, 2, 4, 3, 5, 9, 2, 2])
    clusters = [0, 0, 1, 1, 2, 2, 3, 3]
    bounds = (0.0, 20.0)
    found = jackknife(lambda kept: float(values[kept].mean()), clusters, unit="u", method="mean", bounds=bounds)
    expected = bounded_mean(values, clusters, unit="u", bounds=bounds)
    assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))
    assert jackknife(lambda kept: 1.0, [0, 0], unit="u", method="mean", bounds=bounds).low is None


def test_area_under_curve_counts_ties_half() -> None:
    assert area_under_curve(np.array([1.0, 2, 3, 4]), np.array([0, 0, 1, 1])) == 1
    assert area_under_curve(np.array([1.0, 1, 1, 1]), np.array([0, 1, 0, 1])) == 0.5
