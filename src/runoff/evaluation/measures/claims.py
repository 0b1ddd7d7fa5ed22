"""What a text claims, as far as a pattern can tell. Owns: numbers with units, terms, yes or no, and how many agree.

Must not: decide what is true. Only agreement with another text is known here.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from runoff.evaluation.measures.texts import function_words, sentences, strip_markdown, words

__all__ = ["NUMBER_WORDS", "Claims", "Quantity", "agreement", "claims", "key_terms", "polarity", "quantities"]

_MOST_TERMS = 600
_SAME = 0.01  # numbers within 1 % are the same
_UP_TO_TWENTY = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_TENS = {"thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
NUMBER_WORDS = (
    {word: number for number, word in enumerate(_UP_TO_TWENTY.split())} | _TENS | {"hundred": 100, "thousand": 1000}
)
_UNITS = {
    "%": "% percent per cent pct", "g": "g gram grams gramme grammes", "kg": "kg kilo kilos kilogram kilograms",
    "mg": "mg milligram milligrams", "µg": "µg mcg microgram micrograms", "l": "l litre litres liter liters",
    "ml": "ml millilitre millilitres milliliter milliliters", "mm": "mm millimetre millimetres millimeter millimeters",
    "cm": "cm centimetre centimetres centimeter centimeters", "m": "m metre metres meter meters",
    "km": "km kilometre kilometres kilometer kilometers", "°": "° °c °f degree degrees", "s": "s second seconds",
    "min": "min mins minute minutes", "h": "h hour hours", "day": "day days", "week": "week weeks",
    "month": "month months", "year": "year years", "v": "v volt volts", "w": "w watt watts", "kcal": "kcal calories",
    "lb": "lb lbs pound pounds", "oz": "oz ounce ounces", "€": "€ euro euros", "$": "$ dollar dollars",
    "times": "times", "¢": "¢ cent cents", "t": "tonne tonnes", "tsp": "tsp teaspoon teaspoons",
    "tbsp": "tbsp tablespoon tablespoons", "cup": "cup cups", "mmhg": "mmhg",
}  # fmt: skip
_UNIT_OF = {spelling: unit for unit, spellings in _UNITS.items() for spelling in spellings.split()} | {"per cent": "%"}
_SMALL = "|".join(word for word, value in NUMBER_WORDS.items() if value < 100)
_BELOW_100 = rf"(?:(?:twenty|{'|'.join(_TENS)})[ \-](?:{'|'.join(_UP_TO_TWENTY.split()[1:10])})\b|(?:{_SMALL})\b)"
_BELOW_1000 = rf"(?:(?:{_BELOW_100} )?hundred\b(?: (?:and )?{_BELOW_100})?|{_BELOW_100})"
_SPELLED = rf"(?:(?:{_BELOW_1000} )?thousand\b(?: (?:and )?{_BELOW_1000})?|{_BELOW_1000})"
_NUMBER = re.compile(
    rf"(?<![\w.])(?P<sign>[€$])?(?P<number>\d[\d,]*(?:\.\d+)?|{_SPELLED})"
    r"[ \-]?(?P<unit>per cent\b|[^\W\d_]+|%|°[CF]?)?",
    re.IGNORECASE,
)
_SAYS_YES = r"(?:yes|yeah|yep|certainly|of course|absolutely|definitely|correct|true|you can|it is|they are)\b"
_YES = re.compile(rf"{_SAYS_YES}(?! no\b)")  # "it is no longer" and "it is no problem" say different things
_NO = re.compile(
    r"(?:no|nope|not|never|false|incorrect|don't|do not|you can't|you cannot|it isn't|it's not|they aren't)\b"
    rf"|{_SAYS_YES} (?:not|never)\b"
)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number and its unit; None where no known unit follows it."""

    value: float
    unit: str | None

    def agrees(self, other: Quantity) -> bool:
        """The same number, and no other unit."""
        close = abs(self.value - other.value) <= _SAME * max(abs(self.value), abs(other.value))
        return close and (self.unit == other.unit or None in (self.unit, other.unit))


@dataclass(frozen=True, slots=True)
class Claims:
    """What a text says beyond its question. yes: polarity of its first sentence, None if it has none."""

    quantities: tuple[Quantity, ...]
    terms: frozenset[str]
    yes: bool | None

    def __len__(self) -> int:
        return len(self.quantities) + len(self.terms) + (self.yes is not None)


@lru_cache(maxsize=4096)
def claims(text: str, question: str, terms: frozenset[str]) -> Claims:
    """The quantities, terms and polarity of `text`; what the question itself holds is not claimed by the answer."""
    asked = quantities(question)
    stated = tuple(one for one in quantities(text) if not any(one.agrees(other) for other in asked))
    return Claims(stated, frozenset(words(text)) & terms - frozenset(words(question)), polarity(text))


def quantities(text: str) -> tuple[Quantity, ...]:
    """Distinct numbers, in figures or words, in order; "one" counts only before a unit."""
    found = (_quantity(match) for match in _NUMBER.finditer(strip_markdown(text)))
    return tuple(dict.fromkeys(quantity for quantity in found if quantity))


def _quantity(match: re.Match[str]) -> Quantity | None:
    written = match["number"].lower()
    unit = _UNIT_OF.get((match["unit"] or "").lower()) or _UNIT_OF.get(match["sign"] or "")
    if written == "one" and unit is None:
        return None
    return Quantity(float(written.replace(",", "")) if written[0].isdigit() else float(_spelled(written)), unit)


def _spelled(written: str) -> int:
    """The value of number words: "two thousand one hundred and twenty-five" is 2,125."""
    thousands = below = 0
    for word in re.findall(r"[a-z]+", written):
        if word == "thousand":
            thousands, below = 1000 * (below or 1), 0
        elif word == "hundred":
            below = 100 * (below or 1)
        elif word != "and":
            below += NUMBER_WORDS[word]
    return thousands + below


def polarity(text: str) -> bool | None:
    """Whether the first sentence says yes or no; None if it says neither at its beginning."""
    first = next(iter(sentences(strip_markdown(text))), "").lower().replace("’", "'").lstrip("\"'“ ")
    if _NO.match(first):
        return False
    return True if _YES.match(first) else None


def agreement(own: Claims, reference: Claims) -> int:
    """How many of the one's claims the other makes as well; each counts once."""
    left = list(reference.quantities)
    for quantity in own.quantities:
        match = next((other for other in left if quantity.agrees(other)), None)
        if match:
            left.remove(match)
    same = len(reference.quantities) - len(left) + len(own.terms & reference.terms)
    return same + (own.yes is not None and own.yes == reference.yes)


@lru_cache(maxsize=8)
def key_terms(texts: tuple[str, ...]) -> frozenset[str]:
    """The words that carry the training set's subject: highest summed TF-IDF, in at least 2 texts, at most 600."""
    documents = [Counter(words(text)) for text in texts]
    common = function_words(texts) | NUMBER_WORDS.keys()
    frequency = Counter(word for document in documents for word in document)
    counts = Counter(word for document in documents for word in document.elements())
    weight = {
        word: counts[word] * math.log(len(documents) / frequency[word])
        for word in frequency
        if frequency[word] > 1 and len(word) > 2 and word.isalpha() and word not in common and word not in _UNIT_OF
    }
    return frozenset(sorted(weight, key=lambda word: (-weight[word], word))[:_MOST_TERMS])
