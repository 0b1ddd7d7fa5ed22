from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from runoff.evaluation.answers import Answer
from runoff.evaluation.material import Material
from runoff.evaluation.measures import MEASURES, PROFILE, MeasureResult
from runoff.evaluation.measures.distance import BURROWS_DELTA, COSINE_DELTA, DISTINGUISHABLE
from runoff.evaluation.measures.features import FEATURES
from runoff.evaluation.measures.style import STYLE, STYLE_WITHOUT_MARKDOWN

Answers = tuple[Answer, ...]
Builder = Callable[..., Material]


def _mixture(author: Answers, base: Answers, share: float) -> Answers:
    """A share of the questions answered by the author, spread over the sources, the others by the base."""
    own = {answer.example: answer for answer in author}
    return tuple(own[a.example] if (at * 7) % 32 < share * 32 else a for at, a in enumerate(base))


def _shortened(answers: Answers, words: int) -> Answers:
    return tuple(replace(answer, text=" ".join(answer.text.split()[:words])) for answer in answers)


def _with_markdown(answers: Answers) -> Answers:
    """The same words, opening in bold and split into a list."""
    return tuple(
        replace(answer, text="- **" + answer.text.replace(". ", ".** ", 1).replace(". ", ".\n- ")) for answer in answers
    )


@pytest.fixture(scope="module")
def material(author: Answers, bland: dict[str, Answers], build: Builder) -> Material:
    base = bland["test"]
    return build(
        quarter=_mixture(author, base, 0.25),
        half=_mixture(author, base, 0.5),
        most=_mixture(author, base, 0.75),
        same_as_base=base,
        same_as_author=author,
        short=_shortened(author, 40),
        short_base=_shortened(base, 40),
        marked=_with_markdown(author),
    )


@pytest.fixture(scope="module")
def style(material: Material) -> MeasureResult:
    return STYLE(material)


@pytest.fixture(scope="module")
def stripped(material: Material) -> MeasureResult:
    return STYLE_WITHOUT_MARKDOWN(material)


def _values(result: MeasureResult, runs: Sequence[str]) -> list[float]:
    values = [result.estimates[run].value for run in runs]
    assert None not in values
    return [value for value in values if value is not None]


def test_the_base_is_exactly_0_and_the_author_exactly_1(style: MeasureResult) -> None:
    assert (style.base.value, style.author.value) == (0.0, 1.0)
    assert style.estimates["same_as_base"].value == 0.0
    assert style.estimates["same_as_author"].value == 1.0


@pytest.mark.parametrize("version", ["style", "stripped"])
def test_mixtures_of_base_and_author_are_in_order_and_near_their_share(
    version: str, request: pytest.FixtureRequest
) -> None:
    result: MeasureResult = request.getfixturevalue(version)
    values = _values(result, ["same_as_base", "quarter", "half", "most", "same_as_author"])
    assert values == sorted(values)
    assert np.allclose(values, [0, 0.25, 0.5, 0.75, 1], atol=0.07)


def test_the_estimate_is_the_mean_of_its_examples(style: MeasureResult) -> None:
    parts = list(style.per_example["half"].values())
    assert style.estimates["half"].value == pytest.approx(np.mean(parts))
    assert style.estimates["half"].clusters == 8


def test_it_is_not_a_measure_of_length(style: MeasureResult) -> None:
    """A third of each answer cut off moves neither end by as much as matters."""
    short, short_base = _values(style, ["short", "short_base"])
    assert abs(short - 1) < STYLE.about.matters
    assert abs(short_base) < STYLE.about.matters
    assert abs(style.details["same_as_author"]["correlation with log length"]) < 0.3


def test_the_stripped_version_does_not_see_layout(style: MeasureResult, stripped: MeasureResult) -> None:
    marked, same = _values(stripped, ["marked", "same_as_author"])
    assert marked == pytest.approx(same, abs=1e-6)
    assert _values(style, ["marked"])[0] < 0.9


def test_the_cross_validated_auc_stands_beside_it(style: MeasureResult) -> None:
    assert 0.95 < style.details["half"]["cross-validated AUC"] <= 1


def test_more_than_the_author_is_flagged_as_caricature(author: Answers, build: Builder) -> None:
    """Short sentences, "I" and full stops piled up: what tells the author from the base, overdone."""
    overdone = tuple(
        replace(a, text="Twelve grams. I weigh it. I do. Not more, not less. And no lid. " * 6) for a in author
    )
    result = STYLE(build(overdone=overdone, clean=author))
    assert result.estimates["overdone"].value is not None
    assert result.estimates["overdone"].value > 1
    assert "Caricature" in result.flags["overdone"][0]
    assert "clean" not in result.flags


def test_blank_lines_are_not_the_authors_manner(author: Answers, build: Builder) -> None:
    """A model that broke down into line breaks is no nearer to the author, nor to be called a caricature of him."""
    blank = tuple(replace(a, text="\n" * 300) for a in author)
    half = tuple(replace(a, text="\n" * 300) if at % 2 else a for at, a in enumerate(author))
    result = STYLE(build(blank=blank, half=half, clean=author))
    assert result.estimates["blank"].value == pytest.approx(0, abs=1e-12)
    clean, mixed = _values(result, ["clean", "half"])
    assert 0 < mixed < clean
    assert "blank" not in result.flags


def test_an_author_who_is_the_base_has_no_scale(author: Answers, build: Builder) -> None:
    """Author against author: odd rows play the base, even rows the author."""
    material = build(run=author)
    pairs = tuple(
        Answer(str(at), row.source, row.question, row.answer, other.answer)
        for at, (row, other) in enumerate(zip(material.training[::2], material.training[1::2], strict=True))
    )
    null = STYLE(Material(material.answers, material.training, pairs))
    assert null.estimates["run"].value is None
    assert "can't be told from the base's" in str(null.estimates["run"].unknown)


def test_one_source_of_training_questions_is_not_enough(author: Answers, build: Builder) -> None:
    material = build(run=author)
    alike = tuple(replace(answer, source="one") for answer in material.base_on_training)
    result = STYLE(Material(material.answers, material.training, alike))
    assert "single source" in str(result.estimates["run"].unknown)


def test_the_author_can_not_be_told_from_himself_and_the_base_can(material: Material) -> None:
    result = DISTINGUISHABLE(material)
    assert result.author.value == 0.5
    assert result.base.value is not None
    assert result.base.value > 0.95
    quarter, half, most = _values(result, ["quarter", "half", "most"])
    assert quarter > half > most


@pytest.mark.parametrize("delta", [BURROWS_DELTA, COSINE_DELTA])
def test_delta_needs_words_and_sees_the_base(delta: Callable[[Material], MeasureResult], material: Material) -> None:
    result = delta(material)
    assert "2,500 words" in str(result.estimates["half"].unknown)
    bland = {answer.example: answer.text for answer in material.answers["base"]}
    texts = list(bland.values())
    base_like = tuple(replace(a, text=bland.get(a.example, texts[at % 32])) for at, a in enumerate(material.author))
    far = delta(Material({"base": base_like, "run": material.author}, material.training, material.base_on_training))
    assert far.base.value is not None
    assert far.author.value is not None
    assert far.base.low is not None
    assert far.base.low > far.author.value
    assert far.estimates["run"] == far.author


def test_the_profile_names_what_differs(material: Material) -> None:
    profile = {measure.about.title: measure(material) for measure in PROFILE}
    assert len(profile) == len(FEATURES) <= 15
    bold = profile["Bold spans per 100 words"]
    assert bold.estimates["marked"].low is not None
    assert bold.estimates["marked"].low > 0
    assert bold.estimates["same_as_author"].value == 0
    longer = profile["Letters per word"].base
    assert longer.low is not None
    assert longer.low > 1
    assert profile["Letters per word"].details["base"]["plain mean"] > 4.5


def test_style_comes_first() -> None:
    assert MEASURES[0] is STYLE
