"""Prompts with checks, as YAML. Owns: the format, the sentence for each thing that is wrong in a file.

Must not: generate answers. The bundled file and a user's own are read by the same function.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from runoff.errors import DataError
from runoff.evaluation.suite.checks import CHECKS, Requirement

__all__ = ["Prompt", "general_prompts", "load_prompts", "prompt_text"]

_FIELDS = ("id", "category", "ask", "turns", "checks")


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt. turns: user and model in alternation, the user's first and last. checks: all must pass."""

    id: str
    category: str
    turns: tuple[str, ...]
    checks: tuple[Requirement, ...] = ()

    @property
    def question(self) -> str:
        """The last turn."""
        return self.turns[-1]

    @property
    def messages(self) -> tuple[Mapping[str, str], ...]:
        """The turns as chat messages."""
        roles = ("user", "assistant")
        return tuple({"role": roles[at % 2], "content": turn} for at, turn in enumerate(self.turns))

    def failed(self, text: str) -> tuple[Requirement, ...]:
        """The checks that an answer does not meet."""
        return tuple(check for check in self.checks if not check.passes(text))

    def passes(self, text: str) -> bool:
        """Whether an answer meets every check."""
        return not self.failed(text)


@cache
def general_prompts() -> tuple[Prompt, ...]:
    """The bundled prompts: what any chat model is expected to manage, whatever it was fine-tuned on."""
    resource = files("runoff.evaluation.suite").joinpath("general.yaml")
    return _parse(resource.read_text("utf-8"), "general.yaml")


def load_prompts(path: Path) -> tuple[Prompt, ...]:
    """A user's own prompts.

    Raises:
        DataError: the first thing that is wrong, with file and line.
    """
    return _parse(prompt_text(path), str(path))


def prompt_text(path: Path) -> str:
    """A prompts file as text, whatever its format.

    Raises:
        DataError: there is none, or it can't be read as UTF-8.
    """
    try:
        return path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file.") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: not UTF-8 text. Save the file as UTF-8.") from None
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror}).") from None


def _parse(text: str, place: str) -> tuple[Prompt, ...]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError

    try:
        data = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DataError(f"{place}:{line}: not YAML ({error.problem}).") from None
    items = data.get("prompts") if isinstance(data, dict) else None
    if not isinstance(items, list) or not items:
        raise DataError(f"{place}: has no prompts. Start it with the line prompts: and a list below it.")
    prompts: dict[str, Prompt] = {}
    for at, item in enumerate(items):
        where = f"{place}:{data['prompts'].lc.item(at)[0] + 1}"
        prompt = _prompt(item, where)
        if prompt.id in prompts:
            raise DataError(f"{where}: the id {prompt.id} is taken by an earlier prompt. Give each its own.")
        prompts[prompt.id] = prompt
    return tuple(prompts.values())


def _prompt(item: Any, where: str) -> Prompt:
    if not isinstance(item, dict):
        raise DataError(f"{where}: a prompt has an id, ask (or turns) and checks.")
    for field in item:
        if field not in _FIELDS:
            raise DataError(f"{where}: {field} is not a field of a prompt{_nearest(str(field), _FIELDS)}")
    if not str(item.get("id") or "").strip():
        raise DataError(f"{where}: the prompt has no id. Give it a short name of its own.")
    checks = item.get("checks") or []
    if not isinstance(checks, list):
        raise DataError(f"{where}: checks must be a list, each line as in: - contains: Paris.")
    category = str(item.get("category") or "uncategorised")
    return Prompt(str(item["id"]), category, _turns(item, where), tuple(_requirements(checks, where)))


def _turns(item: Mapping[str, Any], where: str) -> tuple[str, ...]:
    if ("ask" in item) == ("turns" in item):
        raise DataError(f"{where}: a prompt has either ask (one question) or turns (a list), not both and not neither.")
    turns = [item["ask"]] if "ask" in item else item["turns"]
    if not isinstance(turns, list) or not all(isinstance(turn, str) and turn.strip() for turn in turns):
        raise DataError(f"{where}: what is asked must be text. Put quotes around it if it looks like a number.")
    if len(turns) % 2 == 0:
        raise DataError(f"{where}: {len(turns)} turns end with the model's; the last turn must be the user's.")
    return tuple(str(turn) for turn in turns)


def _requirements(checks: list[Any], where: str) -> Iterator[Requirement]:
    for check in checks:
        if not isinstance(check, dict) or len(check) != 1:
            raise DataError(f"{where}: each check is one name and its value, as in: - contains: Paris.")
        ((name, argument),) = check.items()
        if name not in CHECKS:
            raise DataError(f"{where}: {name} is not a check{_nearest(str(name), CHECKS)}")
        wanted = CHECKS[name].accepts(argument)
        if wanted:
            raise DataError(f"{where}: {name} takes {wanted}, as in: {CHECKS[name].example}.")
        yield Requirement(str(name), _plain_data(argument))


def _plain_data(value: Any) -> Any:
    """Without the loader's line numbers, so that a prompt is a plain value."""
    if isinstance(value, dict):
        return {str(key): _plain_data(inner) for key, inner in value.items()}
    return [_plain_data(inner) for inner in value] if isinstance(value, list) else value


def _nearest(name: str, known: Any) -> str:
    close = get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else f" (there are: {', '.join(known)})."
