"""What stands in a configuration file, before anything is made of it, and what is wrong with it.

Owns: a key as it was given (value, spelling, place), how a YAML 1.1 reader would take the spelling, and `Problem` and
its words and hints.
Must not: know which keys there are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

__all__ = ["Given", "Problem", "ProblemKind", "hint", "is_number", "must_be", "shown", "yaml_1_1_reading"]

ProblemKind = Literal["unknown", "refused", "contradiction", "value"]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that must be mended before a run can start; `fix` can be pasted, or is empty."""

    kind: ProblemKind
    place: str
    text: str
    fix: str = ""

    def __str__(self) -> str:
        """The sentence of the error."""
        return f"{self.place}: {self.text}"


@dataclass(frozen=True, slots=True)
class Given:
    """One key of the file or of --set: dotted, with its value, where it stands, and how a plain value is spelled.

    `spelling` is None for values in quotes, lists, mappings and --set.
    """

    key: str
    value: Any
    place: str
    spelling: str | None = None


_OCTAL = re.compile(r"[-+]?0[0-7_]+")
_BASE_60 = re.compile(r"[-+]?[1-9][0-9_]*(:[0-5]?[0-9])+")
_WORDS = {"yes": True, "on": True, "no": False, "off": False}


def yaml_1_1_reading(spelling: str) -> Any:
    """What mlx-lm (PyYAML, YAML 1.1) makes of a plain value that YAML 1.2 reads otherwise; None where they agree.

    `1e-5` without a dot is a number to both: mlx-lm gives PyYAML a rule of its own for it.

    Source: https://yaml.org/type/, and yaml/resolver.py of PyYAML 6.
    """
    if spelling.lower() in _WORDS and spelling in (spelling.lower(), spelling.upper(), spelling.capitalize()):
        return _WORDS[spelling.lower()]
    if _OCTAL.fullmatch(spelling) and (octal := int(spelling.replace("_", ""), 8)) != int(spelling.replace("_", "")):
        return octal
    if _BASE_60.fullmatch(spelling):
        return _base_60(spelling)
    return None


def _base_60(spelling: str) -> int:
    total = 0
    for part in spelling.lstrip("+-").replace("_", "").split(":"):
        total = total * 60 + int(part)
    return -total if spelling.startswith("-") else total


_GROUPED = re.compile(r"[-+]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?")
_COMMA = re.compile(r"[-+]?[0-9]*,[0-9]+")


def hint(value: Any, wanted: str) -> str:
    """What to write instead, in brackets after "must be `wanted`"; empty where that can't be guessed."""
    if wanted == "text" and isinstance(value, int | float | date):
        return f' (write it in quotes: "{value}")'
    if not isinstance(value, str) or "number" not in wanted:
        return ""
    if _GROUPED.fullmatch(value):
        return f" (write {value.replace(',', '')})"
    if _COMMA.fullmatch(value):
        return f" (write {value.replace(',', '.')})"
    if _BASE_60.fullmatch(value):
        return f" (to mlx-lm, whose YAML is 1.1, it is {_base_60(value)})"
    return " (it was read as text; write numbers without quotes)" if is_number(value) else ""


def is_number(text: str) -> bool:
    """Whether a text spells a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


_PLAIN = {
    "int_": "a whole number",
    "float_": "a number",
    "string_type": "text",
    "bool_": "true or false",
    "model_": "a section of `key: value` lines",
    "dict_type": "a section of `key: value` lines",
    "tuple_type": "a list",
}


def must_be(kind: str, message: str) -> str:
    """pydantic's error of a kind in plain words, to follow "must be"."""
    plain = next((words for start, words in _PLAIN.items() if kind.startswith(start)), None)
    message = plain or message.removeprefix("Input should be ").removeprefix("Value error, ")
    return message.replace("greater than or equal to", "at least").replace("less than or equal to", "at most")


def shown(value: Any) -> str:
    """A value inside a sentence: short, on one line."""
    try:
        text = str(value) if isinstance(value, date) else repr(value)
    except ValueError:  # Python refuses to print integers of thousands of digits
        text = "a number of thousands of digits"
    return text if len(text) <= 80 else f"{text[:77]}..."
