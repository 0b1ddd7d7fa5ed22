"""From a YAML file and `--set` options to a Config.

Owns: reading, line numbers, translations, and the promise that every problem is reported at once and no key vanishes.
Must not: know models, data or engines.
"""

from __future__ import annotations

import difflib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from runoff.config.foreign import DONE_WITHOUT, REFUSED, TRANSLATIONS, Translated
from runoff.config.origins import DEFAULT, Origin
from runoff.config.settings import LoraParameters, LrSchedule, Settings
from runoff.errors import ConfigError

__all__ = ["Config", "Note", "flatten", "load_config", "parse_config"]


@dataclass(frozen=True, slots=True)
class Note:
    """Something that the loader did with a key and says aloud."""

    place: str
    key: str
    text: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.place}: {self.key}: {self.text}"


@dataclass(frozen=True, slots=True)
class Config:
    """What was asked: the settings, where each value came from, and the file as given."""

    settings: Settings
    origins: Mapping[str, Origin]
    notes: tuple[Note, ...]
    path: Path | None
    text: str

    def origin(self, key: str) -> Origin:
        """Origin of a dotted key; what nobody gave is a default."""
        return self.origins.get(key, DEFAULT)


@dataclass(slots=True)
class _Reading:
    """The state of one reading: what was given, in our keys, and what was wrong."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, Origin] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def load_config(path: Path | str, overrides: Sequence[str] = ()) -> Config:
    """Read a YAML file; `overrides` are `key=value` options that win over it.

    Raises:
        ConfigError: holds one sentence for each problem, with file and line.
    """
    path = Path(path)
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise ConfigError([f"{path}: no such file. Write a YAML such as those in examples/."]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: not UTF-8 text (byte {error.start}). Save the file as UTF-8."]) from None
    except OSError as error:
        raise ConfigError([f"{path}: can't be read ({error.strerror})."]) from None
    return parse_config(text, overrides, path=path)


def parse_config(text: str, overrides: Sequence[str] = (), *, path: Path | None = None) -> Config:
    """The same from text; `path` is only used to name places."""
    name = path.name if path else "config"
    tree = _parse_yaml(text, name)
    reading = _Reading()
    given = dict(tree)
    options = _parse_overrides(overrides, reading)
    for dotted, value in options.items():
        _put(given, dotted, value)
    for key, value, place in _leaves(tree, name):
        if key not in options:
            _take(reading, key, value, Origin("file", place), given)
    for key, value in options.items():
        _take(reading, key, value, Origin("option", f"--set {key}"), given)
    settings = _validate(reading)
    if reading.problems or settings is None:
        raise ConfigError(reading.problems)
    return Config(settings, reading.origins, tuple(reading.notes), path, text)


def flatten(settings: BaseModel, prefix: str = "") -> dict[str, Any]:
    """Dotted key -> value, nested models opened; dictionaries and lists stay whole."""
    flat: dict[str, Any] = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _parse_yaml(text: str, name: str) -> CommentedMap:
    try:
        tree = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{name}:{mark.line + 1}" if mark else name
        raise ConfigError([f"{place}: not valid YAML ({error.problem or 'unreadable'})."]) from None
    except (YAMLError, ValueError) as error:
        raise ConfigError([f"{name}: not valid YAML ({error})."]) from None
    if tree is None:
        return CommentedMap()
    if not isinstance(tree, CommentedMap):
        kind = "a list" if isinstance(tree, list) else f"a single value ({tree!r})"
        raise ConfigError([f"{name}: is {kind}, but must be settings, one `key: value` a line."])
    return tree


def _leaves(tree: CommentedMap, name: str) -> Iterator[tuple[str, Any, str]]:
    """(dotted key, plain value, place); nested settings are opened, other mappings stay whole."""
    for key, value in tree.items():
        place = f"{name}:{tree.lc.key(key)[0] + 1}"
        if key in ("lora_parameters", "lr_schedule") and isinstance(value, CommentedMap):
            for inner, deep in value.items():
                yield f"{key}.{inner}", _plain(deep), f"{name}:{value.lc.key(inner)[0] + 1}"
        else:
            yield str(key), _plain(value), place


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


def _parse_overrides(overrides: Sequence[str], reading: _Reading) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for text in overrides:
        key, equals, raw = text.partition("=")
        if not equals or not key.strip():
            reading.problems.append(f"--set {text}: write it as key=value, e.g. --set learning_rate=2e-4.")
            continue
        try:
            options[key.strip()] = _plain(YAML(typ="safe", pure=True).load(io.StringIO(raw)))
        except YAMLError:
            reading.problems.append(f"--set {text}: the value can't be read as YAML.")
    return options


def _take(reading: _Reading, key: str, value: Any, origin: Origin, given: Mapping[str, Any]) -> None:
    """One given key: ours, translated, done without, refused, or unknown."""
    place = origin.place or ""
    if key in REFUSED:
        reading.problems.append(f"{place}: {key}: {REFUSED[key]}.")
    elif key in DONE_WITHOUT:
        reading.notes.append(Note(place, key, DONE_WITHOUT[key]))
    elif key in TRANSLATIONS:
        translated = TRANSLATIONS[key](value, given)
        if isinstance(translated, Translated):
            reading.notes.append(Note(place, key, translated.why))
            _set(reading, translated.key, translated.value, Origin("translated", place, translated.why), key)
        else:
            reading.problems.append(f"{place}: {key}: {translated}.")
    elif _known(key):
        if value is not None or key.partition(".")[0] in _NULLABLE:
            _set(reading, key, value, origin, key)
    else:
        reading.problems.append(f"{place}: unknown key {key}{_nearest(key)}. mlx-lm would ignore it without a word.")


def _set(reading: _Reading, key: str, value: Any, origin: Origin, spelled: str) -> None:
    """Store under our key; the same setting given twice with two values is a contradiction."""
    earlier = reading.origins.get(key)
    if earlier and origin.kind != "option" and reading.values[key] != value:
        reading.problems.append(
            f"{origin.place}: {spelled} makes {key} {value!r}, but {earlier.place} makes it {reading.values[key]!r}. "
            "Keep one of the two lines."
        )
        return
    reading.values[key] = value
    reading.origins[key] = origin


_SECTIONS: dict[str, type[BaseModel]] = {"lora_parameters": LoraParameters, "lr_schedule": LrSchedule}
_NULLABLE = frozenset(
    name for name, info in Settings.model_fields.items() if type(None) in getattr(info.annotation, "__args__", ())
)


def _known(key: str) -> bool:
    head, _, rest = key.partition(".")
    if not rest:
        return head in Settings.model_fields
    if head in _SECTIONS:
        return rest in _SECTIONS[head].model_fields
    return head in ("optimizer_config", "hf_dataset", "early_stopping")


def _nearest(key: str) -> str:
    known = [
        *Settings.model_fields,
        *(f"{head}.{name}" for head, cls in _SECTIONS.items() for name in cls.model_fields),
    ]
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.6) or [
        name for name in known if name.rpartition(".")[2] == key
    ]
    return f"; did you mean {close[0]}?" if close else ""


def _put(tree: dict[str, Any], dotted: str, value: Any) -> None:
    head, _, rest = dotted.partition(".")
    if not rest:
        tree[head] = value
        return
    inner = tree.get(head)
    tree[head] = dict(inner) if isinstance(inner, Mapping) else {}
    _put(tree[head], rest, value)


def _validate(reading: _Reading) -> Settings | None:
    tree: dict[str, Any] = {}
    for key in sorted(reading.values, key=lambda dotted: dotted.count(".")):
        _put(tree, key, reading.values[key])
    settings = None
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        reading.problems += [_sentence(reading, dict(problem)) for problem in error.errors()]
    else:
        reading.problems += _contradictions(settings, reading.origins)
    return settings


def _sentence(reading: _Reading, problem: dict[str, Any]) -> str:
    key = ".".join(str(part) for part in problem["loc"] if isinstance(part, str))
    origin = reading.origins.get(key) or next(
        (found for name, found in reading.origins.items() if name.startswith(f"{key}.") or key.startswith(f"{name}.")),
        DEFAULT,
    )
    message = str(problem["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")
    if problem["type"] == "missing":
        return f"{origin.place}: {key} is missing."
    if problem["type"] == "extra_forbidden":
        return f"{origin.place}: unknown key {key}{_nearest(key)}."
    hint = ""
    if isinstance(problem["input"], str) and "number" in message:
        hint = " (it was read as text; write numbers without quotes)"
    return f"{origin.place}: {key} is {problem['input']!r}, but must be {message}{hint}."


def _contradictions(settings: Settings, origins: Mapping[str, Origin]) -> list[str]:
    problems = []
    if "iters" in origins and settings.epochs is not None:
        problems.append(
            f"{origins['iters'].place}: iters and {origins['epochs'].place}: epochs both set the length of the run. "
            "Keep one of the two."
        )
    if not settings.train:
        problems.append(f"{origins['train'].place}: train is false, so nothing would be trained. Remove the line.")
    problems += [
        f"{_optimizer_place(origins)}: optimizer_config.{name}.{argument} is unknown; {name} takes "
        f"{', '.join(sorted(OPTIMIZER_ARGUMENTS[name]))}."
        for name, arguments in settings.optimizer_config.items()
        if name in OPTIMIZER_ARGUMENTS
        for argument in arguments or {}
        if argument not in OPTIMIZER_ARGUMENTS[name]
    ]
    problems += [
        f"{_optimizer_place(origins)}: optimizer_config.{name} is given, but the optimizer is {settings.optimizer}."
        for name, arguments in settings.optimizer_config.items()
        if name != settings.optimizer and arguments
    ]
    return problems


OPTIMIZER_ARGUMENTS: dict[str, frozenset[str]] = {
    "adam": frozenset({"betas", "eps", "bias_correction"}),
    "adamw": frozenset({"betas", "eps", "weight_decay", "bias_correction"}),
    "sgd": frozenset({"momentum", "weight_decay", "dampening", "nesterov"}),
}


def _optimizer_place(origins: Mapping[str, Origin]) -> str:
    return next((origin.place or "" for key, origin in origins.items() if key.startswith("optimizer_config")), "")
