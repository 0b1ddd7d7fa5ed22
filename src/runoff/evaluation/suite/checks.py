"""Programmatic checks of an answer. Owns: what each check asks of a text, and of its own argument in the YAML.

Must not: read files. Letter case and the kind of apostrophe never decide; where punctuation does, the check says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["CHECKS", "Check", "Requirement"]

_NUMBER = re.compile(r"[-−]?\d[\d,]*(?:\.\d+)?")
_WORD = re.compile(r"[^\W_]+(?:['’.-][^\W_]+)*")
_ITEM = re.compile(r"^[ \t]*(?:[-*+•]|\d{1,2}[.)])[ \t]+\S", re.MULTILINE)
_FENCE = re.compile(r"\A\s*```[a-z]*\n(.*?)\n?```\s*\Z", re.DOTALL)
_BOUNDS = {"min", "max"}


@dataclass(frozen=True, slots=True)
class Check:
    """One kind of check. accepts: None if the argument will do, else what it should be. example: as written in YAML."""

    example: str
    what: str
    accepts: Callable[[Any], str | None]
    passes: Callable[[str, Any], bool]


@dataclass(frozen=True, slots=True)
class Requirement:
    """A check with its argument: what one line of the YAML asks for."""

    name: str
    argument: Any

    def passes(self, text: str) -> bool:
        """Whether the text meets it."""
        return CHECKS[self.name].passes(text, self.argument)


def _plain(text: str) -> str:
    return " ".join(text.replace("’", "'").casefold().split())


def _bare(text: str) -> str:
    """Without case, and without punctuation and markup at the two ends."""
    return _plain(text).strip(" .!?,;:\"'“”*_`()[]")


def _holds(text: str, phrase: str) -> bool:
    """Whether a phrase stands in a text as whole words."""
    return bool(re.search(rf"(?<!\w){re.escape(_plain(phrase))}(?!\w)", _plain(text)))


def _phrases(argument: Any) -> list[str]:
    return [str(one) for one in (argument if isinstance(argument, list) else [argument])]


def _number(text: str, argument: Any) -> bool:
    """The last number of the text: what stands before it is working."""
    found = [match.replace(",", "").replace("−", "-") for match in _NUMBER.findall(text)]
    return bool(found) and abs(float(found[-1]) - float(argument)) <= 1e-6 * max(1.0, abs(float(argument)))


def _within(count: int, argument: Any) -> bool:
    if isinstance(argument, int):
        return count == argument
    return bool(argument.get("min", 0) <= count <= argument.get("max", count))


def _json(text: str, argument: Any) -> bool:
    """A JSON value and nothing else, a code fence around it allowed; with keys, an object that has exactly these."""
    fenced = _FENCE.match(text)
    try:
        value = json.loads(fenced.group(1) if fenced else text)
    except (ValueError, RecursionError):
        return False
    keys = argument.get("keys") if isinstance(argument, dict) else None
    if keys is not None:
        return isinstance(value, dict) and set(value) == set(keys)
    return isinstance(value, dict | list)


def _is_text(argument: Any) -> str | None:
    some = _phrases(argument)
    fits = bool(some) and all(isinstance(one, str | int | float) and str(one).strip() for one in some)
    return None if fits and not isinstance(argument, bool | dict) else "a text or a list of texts"


def _is_number(argument: Any) -> str | None:
    return None if isinstance(argument, int | float) and not isinstance(argument, bool) else "a number"


def _is_count(argument: Any) -> str | None:
    if isinstance(argument, dict):
        fits = bool(argument) and argument.keys() <= _BOUNDS and all(type(bound) is int for bound in argument.values())
    else:
        fits = type(argument) is int and argument >= 0
    return None if fits else "a whole number, or {min: ..., max: ...}"


def _is_pattern(argument: Any) -> str | None:
    try:
        re.compile(argument)
    except (re.error, TypeError):
        return "a regular expression"
    return None


def _is_json(argument: Any) -> str | None:
    keys = argument.get("keys") if isinstance(argument, dict) else None
    fits = argument is True or (isinstance(keys, list) and len(argument) == 1 and all(isinstance(k, str) for k in keys))
    return None if fits else "true, or {keys: [names]}"


CHECKS: Mapping[str, Check] = {
    "contains": Check(
        "contains: [blue, red]",
        "the answer holds every one of the texts as whole words",
        _is_text,
        lambda text, argument: all(_holds(text, phrase) for phrase in _phrases(argument)),
    ),
    "one_of": Check(
        'one_of: [four, "4"]',
        "the answer holds at least one of the texts as whole words",
        _is_text,
        lambda text, argument: any(_holds(text, phrase) for phrase in _phrases(argument)),
    ),
    "excludes": Check(
        "excludes: sorry",
        "the answer holds none of the texts as whole words",
        _is_text,
        lambda text, argument: not any(_holds(text, phrase) for phrase in _phrases(argument)),
    ),
    "equals": Check(
        "equals: [yes, no]",
        "the answer is one of the texts and nothing more; punctuation around it is allowed",
        _is_text,
        lambda text, argument: _bare(text) in {_bare(phrase) for phrase in _phrases(argument)},
    ),
    "regex": Check(
        r"regex: '^\d{4}-\d{2}-\d{2}$'",
        "the regular expression is found in the answer, white space around which is taken off",
        _is_pattern,
        lambda text, argument: bool(re.search(argument, text.strip())),
    ),
    "number": Check("number: 42", "the last number in the answer is this one", _is_number, _number),
    "words": Check(
        "words: {min: 5, max: 30}",
        "the answer has so many words",
        _is_count,
        lambda text, argument: _within(len(_WORD.findall(text)), argument),
    ),
    "lines": Check(
        "lines: 3",
        "the answer has so many lines that are not empty",
        _is_count,
        lambda text, argument: _within(sum(bool(line.strip()) for line in text.splitlines()), argument),
    ),
    "bullets": Check(
        "bullets: 3",
        "the answer has so many bulleted or numbered items",
        _is_count,
        lambda text, argument: _within(len(_ITEM.findall(text)), argument),
    ),
    "json": Check(
        "json: {keys: [name, age]}",
        "the answer is JSON and nothing else (a code fence is allowed); with keys, an object with exactly these",
        _is_json,
        _json,
    ),
}
