"""D3: the author where nobody asked for him. Owns: the subject's marker terms, the style threshold on general prompts.

Must not: count a prompt that is about the subject itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from runoff.estimates.bounded import SHARE
from runoff.evaluation.answers import Answer
from runoff.evaluation.material import BASE, Material, Need
from runoff.evaluation.measures.claims import key_terms
from runoff.evaluation.measures.classifier import StyleClassifier, style_classifier
from runoff.evaluation.measures.result import About, Dimension, Measure, MeasureResult, from_scores, unknown
from runoff.evaluation.measures.texts import FUNCTION_WORDS, vocabulary, words
from runoff.evaluation.suite.prompts import Prompt

__all__ = ["PERSONA_BLEED", "marker_terms"]

_MOST_MARKERS = 300
_FEWEST_MARKERS = 2  # in one answer: a single one may be chance
_FEWEST_SUBJECT_WORDS = 3  # in a prompt that is about the subject itself
_BASE_QUANTILE = 0.95
# Any answer may hold these, whatever its subject: a run's answers are other ones than the base's, and that is no bleed.
_EVERYDAY = vocabulary(
    """
    able add added adds age ago air allow alone amount answer anyway area ask asked asks avoid bad balance bar base
    basic become becomes begin begins best better big bit black block blue body book bottle bottom box break bring
    brings brown build buy call called came car care careful carries carry case cause causes center centre certain
    change changed changes cheap check child choose city clean clear clearly close closed cold colour color come comes
    common complete contain cool correct cost costs count country couple course cover create cut daily dark date day
    dead deal deep depend depends different difficult direct door double drink drive drop dry early easily easy eat
    edge effect end ends energy enter entire evening exact exactly example eye eyes face fact fall falls family far
    fast feel feels feet figure fill final find fine finish fire fit fix flat floor follow food foot form found free
    fresh friend friends full gave general gentle give given gives glass good great green ground group grow guide half
    hand hands happen happens happy hard head health healthy hear heard heart heat heavy help helps high hold holds
    hole home hope hot hour house huge human idea important improve include increase information job join keep keeps
    kept key kind knew know known large last late later lead leave leaves led left leg less letter level lie life lift
    light line list live lives local long longer look looks loose lose loses lost lot low machine made main make makes
    making man mark matter mean means measure meet method middle mind minute minutes mix moment money month morning
    mostly move moves moving name natural nature need needed needs new nice night note number offer old ones open
    order ordinary outside page paid pain paper part parts pass past pay people perfect person personal pick picture
    piece pieces place plain plan plant play plenty point points poor possible power press pretty price problem
    process proper public pull push put puts quarter quick quickly quiet quite rate reach read ready real reason red
    regular remember remove rest result return right rise road role room rough roughly round rule run runs safe said
    sat save saw say says school second seconds see seem seems seen send sense serve set sets several shape share
    sharp shop short shot show shows shut side sides sign simple single sit size skin sleep slow slowly small smell
    smooth soft soil solid sort sound space special speed split spot square stand stands start starts state stay stays
    step stone stop stops store story straight street strong study style summer sun sure surface system table take
    taken takes talk tell test thick thin thing think third thought thousand tight time times tip told took top touch
    town tree tried trouble true trust truth try turn turned turns type understand use used useful uses usual value
    view visit wait walk wall want wants warm wash waste watch water way ways week weeks weight went wet white wide
    wife wind window winter woman wonder word words work works world worse worst worth write wrong year years young
    """
)
_FEWEST_PROMPTS = 10


def marker_terms(material: Material) -> frozenset[str]:
    """The training set's subject terms that neither the general prompts nor the base's answers to them hold."""
    counts = Counter(word for row in material.training for word in set(words(row.answer)))
    general = {word for answer in material.suite[BASE] for word in words(f"{answer.question} {answer.text}")}
    terms = key_terms(tuple(row.answer for row in material.training)) - general - _EVERYDAY
    return frozenset(sorted(terms, key=lambda word: (-counts[word], word))[:_MOST_MARKERS])


def _measure(about: About, material: Material) -> MeasureResult:
    general = _general(material)
    if len(general) < _FEWEST_PROMPTS:
        return unknown(about, material, f"only {len(general)} of the prompts lie outside the training answers' subject")
    markers, styled = marker_terms(material), _in_style(material, general)
    scores = {
        label: {
            answer.example: float(
                len(markers & set(words(answer.text))) >= _FEWEST_MARKERS or answer.example in styled[label]
            )
            for answer in answers
            if answer.example in general
        }
        for label, answers in material.suite.items()
    }
    return from_scores(about, material, scores, general)


def _general(material: Material) -> Mapping[str, str]:
    """Category by id of the prompts that are not about the training set's subject."""
    subject = key_terms(tuple(f"{row.question} {row.answer}" for row in material.training))
    return {prompt.id: prompt.category for prompt in material.prompts if not _is_about(subject, prompt)}


def _is_about(subject: frozenset[str], prompt: Prompt) -> bool:
    """Whether 3 or more words of a prompt, and half of those that carry meaning, are the subject's."""
    asked = {word for turn in prompt.turns for word in words(turn)} - FUNCTION_WORDS
    return len(asked & subject) >= max(_FEWEST_SUBJECT_WORDS, len(asked) / 2)


def _in_style(material: Material, general: Mapping[str, str]) -> Mapping[str, frozenset[str]]:
    """By label, the prompts answered more in the author's manner than 95 % of the base's answers; none if unknown."""
    classifier = style_classifier(material.base_on_training, with_markdown=True)
    if classifier is None:
        return {label: frozenset() for label in material.suite}
    odds = {label: _odds(answers, general, classifier) for label, answers in material.suite.items()}
    limit = float(np.quantile(list(odds[BASE].values()) or [0.0], _BASE_QUANTILE))
    return {label: frozenset(p for p, value in values.items() if value > limit) for label, values in odds.items()}


def _odds(answers: tuple[Answer, ...], general: Mapping[str, str], classifier: StyleClassifier) -> Mapping[str, float]:
    kept = [answer for answer in answers if answer.example in general and words(answer.text)]
    values = classifier.log_odds([answer.text for answer in kept]).tolist() if kept else []
    return dict(zip((answer.example for answer in kept), values, strict=True))


PERSONA_BLEED = Measure(
    About(
        key="persona_bleed",
        title="Persona bleed",
        dimension=Dimension.FORGETTING,
        unit="share of general prompts",
        higher_is_better=False,
        matters=0.05,
        what=(
            "Share of general prompts whose answer holds 2 or more of the training set's subject terms that the base "
            "never uses there, or has words and is more in the author's manner than 95 % of the base's own answers (so "
            "the base's share is about 5 %). Prompts about the subject itself are left out."
        ),
        cannot_see=(
            "A single stray word of the subject, and a persona that shows in opinions only. In other languages than "
            "English everyday words may pass for the subject's."
        ),
        needs=(Need.SUITE, Need.BASE_ON_SUITE, Need.TRAINING),
        bounds=SHARE,
    ),
    _measure,
)
