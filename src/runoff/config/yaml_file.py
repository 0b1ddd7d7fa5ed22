"""A YAML file as plain keys and values, each with the line it stands on.

Owns: what may go wrong with the file as a whole, and its sentences. Must not: know what a key means.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, TaggedScalar
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode

from runoff.config.given import Given, shown
from runoff.config.keys import opens
from runoff.errors import ConfigError

__all__ = ["file_text", "keys_in", "read_yaml", "yaml_value"]

_MAX_BYTES = 1 << 20
_MAX_ALIASES = 20
"""Aliases of aliases multiply: some dozens can stand for more values than there is memory."""

_ALIAS = re.compile(r"(?<![^\s\[{,:-])\*[\w-]+")


def file_text(path: Path) -> str:
    """The text of a settings file.

    Raises:
        ConfigError: there is none, or it is too large, not UTF-8 or not readable.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigError(
                [f"{path}: has {path.stat().st_size:,} bytes, too many for settings. Is it the right file?"]
            )
        return path.read_text("utf-8")
    except FileNotFoundError:
        raise ConfigError([f"{path}: no such file. Write a YAML such as those in examples/."]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: not UTF-8 text (byte {error.start}). Save the file as UTF-8."]) from None
    except OSError as error:
        raise ConfigError([f"{path}: can't be read ({error.strerror})."]) from None


def read_yaml(text: str, name: str) -> CommentedMap:
    """The tree of a YAML text; `name` is what errors call it.

    Raises:
        ConfigError: not valid YAML, or no settings.
    """
    if len(_ALIAS.findall(text)) > _MAX_ALIASES:  # what looks like one in a comment counts too
        raise ConfigError([f"{name}: has more than {_MAX_ALIASES} aliases (*name). Write the values out."])
    try:
        tree = YAML(typ="rt").load(text)
    except RecursionError:
        raise ConfigError([f"{name}: is nested too deeply for settings. Is it the right file?"]) from None
    except MarkedYAMLError as error:
        raise ConfigError([_syntax_error(error, text, name)]) from None
    except Exception as error:  # ruamel.yaml lets ValueError, AttributeError and others through on odd input
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError([f"{name}: not valid YAML ({reason})."]) from None
    if tree is None:
        return CommentedMap()
    if not isinstance(tree, CommentedMap):
        kind = "a list" if isinstance(tree, list) else f"a single value ({shown(tree)})"
        raise ConfigError([f"{name}: is {kind}, but must be settings, one `key: value` a line."])
    return tree


def _syntax_error(error: MarkedYAMLError, text: str, name: str) -> str:
    problem, mark = str(error.problem or "unreadable"), error.problem_mark or error.context_mark
    twice = re.match('found duplicate key "(.*?)" with value', problem)
    if "simple key" in str(error.context) and error.context_mark:  # the parser notices it a line later
        mark = error.context_mark
        line = text.splitlines()[mark.line].strip() if mark.line < len(text.splitlines()) else ""
        problem = f"`{shown(line)[1:-1]}` is no `key: value`; a space has to follow the colon"
    elif twice:
        problem = f"{twice[1]} stands twice, and mlx-lm would take the last in silence; keep one"
    elif "'\\t'" in problem:
        problem = "a tab can't stand there: use spaces"
    elif "mapping values" in problem:
        problem = "no key can begin here; it is indented too far, or the line before lacks a space after its colon"
    elif "another document" in problem:
        problem = "a second document begins here; keep one, without --- or ... between"
    place = f"{name}:{mark.line + 1}" if mark else name
    return f"{place}: not valid YAML ({problem})."


def keys_in(tree: CommentedMap, text: str, name: str) -> tuple[Given, ...]:
    """Every key of `tree`, which is `read_yaml(text, name)`, as it was given.

    Raises:
        ConfigError: a value contains itself, or has a tag.
    """
    try:
        spelled = _spellings(text) if tree else {}
        return tuple(Given(key, value, place, spelled.get(key)) for key, value, place in _leaves(tree, name))
    except RecursionError:
        raise ConfigError([f"{name}: a value contains itself (&anchor and *alias). Write it out."]) from None


def yaml_value(text: str) -> Any:
    """A value of `--set` as plain data.

    Raises:
        ValueError: it can't be read as YAML.
    """
    try:
        return _plain(YAML(typ="safe", pure=True).load(io.StringIO(text)))
    except Exception as error:  # as in read_yaml; a value that contains itself is a RecursionError
        raise ValueError("not a YAML value") from error


def _spellings(text: str) -> dict[str, str]:
    """Dotted key -> the characters of its value, for values without quotes. `text` must be valid YAML."""
    node = YAML().compose(text)
    return dict(_plain_scalars(node, "")) if isinstance(node, MappingNode) else {}


def _plain_scalars(node: MappingNode, prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in node.value:
        name = f"{prefix}{key.value}"
        if isinstance(value, MappingNode):
            yield from _plain_scalars(value, f"{name}.")
        elif isinstance(value, ScalarNode) and value.style is None:
            yield name, str(value.value)


def _leaves(tree: CommentedMap, name: str) -> list[tuple[str, Any, str]]:
    """(dotted key, plain value, place); nested settings are opened, other mappings stay whole."""
    leaves: list[tuple[str, Any, str]] = []

    def visit(inside: CommentedMap, prefix: str, around: int) -> None:
        for key, value in inside.items():
            dotted, line = f"{prefix}{key}", _line(inside, key, around)
            if opens(dotted) and isinstance(value, CommentedMap) and value:
                visit(value, f"{dotted}.", line)
            elif isinstance(value, TaggedScalar):
                text = f"{dotted} has the tag {value.tag.value}, which settings can't have. Write the plain value."
                raise ConfigError([f"{name}:{line}: {text}"])
            else:
                leaves.append((dotted, _plain(value), f"{name}:{line}"))

    visit(tree, "", 1)
    return leaves


def _line(tree: CommentedMap, key: Any, around: int) -> int:
    """Line of a key; what a merge (`<<: *anchor`) brought has none of its own, and gets the line around it."""
    try:
        return int(tree.lc.key(key)[0]) + 1
    except (KeyError, TypeError):
        return around


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, bool) or value is None:
        return value
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value
