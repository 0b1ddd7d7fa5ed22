"""Text as the measures see it. Owns: words, sentences, Markdown, the window, the masking of content words.

Must not: measure anything.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

__all__ = [
    "FUNCTION_WORDS",
    "first_words",
    "function_words",
    "masked",
    "sentences",
    "strip_markdown",
    "units",
    "vocabulary",
    "word_places",
    "words",
]

_WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*")
_UNIT = re.compile(r"\w+|[^\w\s]")
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)\]*_]*\s+|\n+")
_MARKUP = (
    (re.compile(r"```.*?(?:```|\Z)", re.DOTALL), " "),
    (re.compile(r"!?\[([^\]]*)\]\([^)]*\)"), r"\1"),
    (re.compile(r"^[ \t]*(?:#{1,6}|>|[-*+•]|\d{1,2}[.)])[ \t]+", re.MULTILINE), ""),
    (re.compile(r"^[ \t]*[-*_]{3,}[ \t]*$", re.MULTILINE), ""),
    (re.compile(r"[*`]|(?<!\w)_+|_+(?!\w)"), ""),
    (re.compile(r"\s+"), " "),
)
_FEW = 0.25  # below this share of known function words a text is taken to be in another language
_OWN_FUNCTION_WORDS = 100


def vocabulary(listed: str) -> frozenset[str]:
    """The words of a text that lists them."""
    return frozenset(listed.split())


FUNCTION_WORDS = vocabulary(
    """
    a about above across after again against all almost along already also although always am among an and another any
    anybody anyone anything are around as at away back be because been before behind being below beside besides between
    beyond both but by can cannot could did do does doing done down during each either else enough even ever every
    everybody everyone everything except few first for from further get gets getting go goes going got had has have
    having he hence her here hers herself him himself his how however i if in indeed inside instead into is it its
    itself just last least less let like likely little many may maybe me might mine more most much must my myself near
    nearly neither never no nobody none nor not nothing now of off often on once one only onto or other others otherwise
    our ours ourselves out outside over own perhaps quite rather really same shall she should since so some somebody
    someone something sometimes somewhat soon still such than that the their theirs them themselves then there
    therefore these they thing things this those though through throughout thus till to together too toward towards
    under unless until up upon us usually very was we well were what whatever when whenever where whereas wherever
    whether which while who whoever whole whom whose why will with within without would yes yet you your yours yourself
    yourselves ain't aren't can't couldn't didn't doesn't don't hadn't hasn't haven't he'd he'll he's i'd i'll i'm i've
    isn't it'd it'll it's let's mustn't needn't she'd she'll she's shouldn't that's there's they'd they'll they're
    they've wasn't we'd we'll we're we've weren't what's where's who's won't wouldn't you'd you'll you're you've
    """
)


@lru_cache(maxsize=8192)
def words(text: str) -> tuple[str, ...]:
    """Words and numbers in lower case, with straight apostrophes; kept, as every measure asks for the same texts'."""
    return tuple(match.lower().replace("’", "'") for match in _WORD.findall(text))


def word_places(text: str) -> list[tuple[int, int]]:
    """Where each of `words` begins and ends, in characters."""
    return [match.span() for match in _WORD.finditer(text)]


def units(text: str) -> list[str]:
    """Words and single marks, in order: what stands in for tokens where nobody kept them."""
    return _UNIT.findall(text)


def sentences(text: str) -> list[str]:
    """Sentences and lines that hold at least one word."""
    return [part for part in _SENTENCE_END.split(text) if _WORD.search(part)]


def strip_markdown(text: str) -> str:
    """The words without emphasis, headings, list markers, code blocks, links or line breaks."""
    for pattern, replacement in _MARKUP:
        text = pattern.sub(replacement, text)
    return text.strip()


def first_words(text: str, limit: int) -> str:
    """The text up to the end of its `limit`th word, layout and all: what makes style scores blind to length."""
    for number, match in enumerate(_WORD.finditer(text), start=1):
        if number == limit:
            return text[: match.end()]
    return text


def function_words(texts: Iterable[str]) -> frozenset[str]:
    """The English ones; for texts that hold few of them, the texts' own 100 most frequent words."""
    counts = Counter(word for text in texts for word in words(text))
    known = sum(count for word, count in counts.items() if word in FUNCTION_WORDS)
    if known >= _FEW * sum(counts.values()):
        return FUNCTION_WORDS
    return frozenset(word for word, _ in counts.most_common(_OWN_FUNCTION_WORDS))


def masked(text: str, keep: frozenset[str]) -> str:
    """The text with every letter of a word outside `keep` as *, every digit as #; marks and layout stay.

    Text distortion with its lengths kept (DV-MA of Stamatatos 2017, EACL): what remains carries manner, not topic.
    """

    def mask(match: re.Match[str]) -> str:
        word = match.group()
        if word.lower().replace("’", "'") in keep:
            return word.lower()
        return re.sub(r"[^\W\d_]", "*", re.sub(r"\d", "#", word))

    return _WORD.sub(mask, text)
