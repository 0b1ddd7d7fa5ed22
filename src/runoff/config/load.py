"""From a YAML file and `--set` options to a Config.

Owns: translations, and the promise that every problem is reported at once and no key vanishes. Must not: read YAML
(config/yaml_file.py does), know models, data or engines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from runoff.config.contradictions import contradictions
from runoff.config.foreign import DONE_WITHOUT, REFUSED, TRANSLATIONS, Translated
from runoff.config.given import Given, Problem, hint, must_be, shown
from runoff.config.keys import is_known, may_be_null, nearest_key, opened, takes_numbers_only
from runoff.config.origins import DEFAULT, Origin, origin_of
from runoff.config.settings import Settings
from runoff.config.yaml_file import file_text, keys_in, read_yaml, yaml_value
from runoff.errors import ConfigError

__all__ = ["Config", "Note", "Reading", "flatten", "load_config", "parse_config", "read_config", "read_text"]


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
    given: tuple[Given, ...] = ()

    def origin(self, key: str) -> Origin:
        """Origin of a dotted key, or of what it is part of, or of a part of it; what nobody gave is a default."""
        return origin_of(self.origins, key) or DEFAULT


@dataclass(frozen=True, slots=True)
class Reading:
    """A file as it was read. `config` is there where every value can be used, be there unknown keys beside them."""

    given: tuple[Given, ...]
    problems: tuple[Problem, ...]
    config: Config | None


@dataclass(slots=True)
class _State:
    """The state of one reading: what was given, in our keys, and what was wrong."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, Origin] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def problem(self, *parts: Any) -> None:
        """Keep a problem: kind, place, text and perhaps a fix."""
        self.problems.append(Problem(*parts))


def load_config(path: Path | str, overrides: Sequence[str] = ()) -> Config:
    """Read a YAML file; `overrides` are `key=value` options that win over it.

    Raises:
        ConfigError: holds one sentence for each problem, with file and line.
    """
    return _usable(read_config(path, overrides))


def read_config(path: Path | str, overrides: Sequence[str] = ()) -> Reading:
    """The same, with the problems of single keys as data.

    Raises:
        ConfigError: the file can't be read at all, or holds no settings.
    """
    path = Path(path)
    text = file_text(path)
    if not read_yaml(text, path.name):
        raise ConfigError([f"{path}: holds no settings. Write at least model and data, one `key: value` a line."])
    return read_text(text, overrides, path=path)


def parse_config(text: str, overrides: Sequence[str] = (), *, path: Path | None = None) -> Config:
    """`load_config` from text; `path` is only used to name places."""
    return _usable(read_text(text, overrides, path=path))


def _usable(reading: Reading) -> Config:
    if reading.problems or reading.config is None:
        raise ConfigError([str(problem) for problem in reading.problems])
    return reading.config


def read_text(text: str, overrides: Sequence[str] = (), *, path: Path | None = None) -> Reading:
    """`read_config` from text; `path` is only used to name places."""
    name = path.name if path else "config"
    tree = read_yaml(text, name)
    state = _State()
    options = _parse_overrides(overrides, state)
    in_file = keys_in(tree, text, name)
    given = (
        *(leaf for leaf in in_file if not _replaced(leaf.key, options)),
        *(
            Given(key, value, f"--set {option}")
            for option, whole in options.items()
            for key, value in opened(option, whole)
        ),
    )
    state.notes += [
        Note(leaf.place, leaf.key, f"not used: --set {option} replaces it")
        for leaf in in_file
        if (option := _replaced(leaf.key, options)) not in (None, leaf.key)
    ]
    merged = dict(tree)
    for dotted, value in options.items():
        _put(merged, dotted, value)
    for leaf in given:
        _take(state, leaf, Origin("option" if _is_option(leaf.place) else "file", leaf.place), merged)
    settings = _validate(state)
    usable = settings is not None and all(problem.kind in ("unknown", "refused") for problem in state.problems)
    config = Config(settings, state.origins, tuple(state.notes), path, text, given) if settings and usable else None
    return Reading(given, tuple(state.problems), config)


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


def _replaced(key: str, options: Mapping[str, Any]) -> str | None:
    """The option that takes the place of a key of the file."""
    return next((option for option in options if key == option or key.startswith(f"{option}.")), None)


def _parse_overrides(overrides: Sequence[str], state: _State) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for text in overrides:
        key, equals, raw = text.partition("=")
        if not equals or not key.strip() or not raw.strip():
            state.problem("value", f"--set {text}", "write it as key=value, e.g. --set learning_rate=2e-4.")
            continue
        try:
            options[key.strip()] = yaml_value(raw)
        except ValueError:
            state.problem("value", f"--set {text}", "the value can't be read as YAML.")
    return options


def _take(state: _State, leaf: Given, origin: Origin, given: Mapping[str, Any]) -> None:
    """One given key: ours, translated, done without, refused, or unknown."""
    key, value, place = leaf.key, leaf.value, leaf.place
    if key in REFUSED:
        state.problem("refused", place, f"{key}: {REFUSED[key]}.")
    elif key in DONE_WITHOUT:
        state.notes.append(Note(place, key, DONE_WITHOUT[key]))
    elif key in TRANSLATIONS:
        translated = TRANSLATIONS[key](value, given)
        if isinstance(translated, Translated):
            state.notes.append(Note(place, key, translated.why))
            _set(state, translated.key, translated.value, Origin("translated", place, translated.why), key)
        else:
            state.problem("value", place, f"{key}: {translated}.")
    elif is_known(key):
        if value is not None or may_be_null(key):
            _set(state, key, value, origin, key)
        elif leaf.spelling == "":  # null says so itself
            state.notes.append(Note(place, key, "has no value, so its default holds"))
    else:
        near = nearest_key(key)
        meant = f"; did you mean {near}?" if near else "."
        text = f"unknown key {key}{meant} mlx-lm would ignore it without a word."
        plain = near in Settings.model_fields and "." not in key
        state.problem("unknown", place, text, f"{near}: {value}" if plain else "")


def _set(state: _State, key: str, value: Any, origin: Origin, spelled: str) -> None:
    """Store under our key; the same setting given twice with two values is a contradiction."""
    earlier = state.origins.get(key)
    if earlier and _is_option(origin.place) == _is_option(earlier.place) and state.values[key] != value:
        says = f"{key} is" if spelled == key else f"{spelled} makes {key}"
        text = f"{says} {shown(value)}, but {earlier.place} makes it {shown(state.values[key])}. "
        text += "Keep one of the two lines."
        state.problem("contradiction", origin.place or "", text)
        return
    state.values[key] = value
    state.origins[key] = origin


def _is_option(place: str | None) -> bool:
    return (place or "").startswith("--set ")


def _put(tree: dict[str, Any], dotted: str, value: Any) -> None:
    head, _, rest = dotted.partition(".")
    if not rest:
        tree[head] = value
        return
    inner = tree.get(head)
    tree[head] = dict(inner) if isinstance(inner, Mapping) else {}
    _put(tree[head], rest, value)


def _validate(state: _State) -> Settings | None:
    tree: dict[str, Any] = {}
    for key in sorted(state.values, key=lambda dotted: dotted.count(".")):
        if isinstance(state.values[key], bool) and takes_numbers_only(key):
            text = f"{key} is {str(state.values[key]).lower()}, but must be a number."
            state.problem("value", state.origins[key].place or "", text)
        else:
            _put(tree, key, state.values[key])
    settings = None
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        state.problems += [_problem(state, dict(problem)) for problem in error.errors()]
    else:
        state.problems += contradictions(settings, state.origins)
    return settings


def _problem(state: _State, problem: dict[str, Any]) -> Problem:
    key = ".".join(str(part) for part in problem["loc"] if isinstance(part, str))
    origin = origin_of(state.origins, key) or origin_of(state.origins, key.partition(".")[0]) or DEFAULT
    place = origin.place or str(origin)
    message = must_be(str(problem["type"]), str(problem["msg"]))
    if problem["type"] == "missing":
        return Problem("value", place, f"{key} is missing.")
    value = problem["input"]
    return Problem("value", place, f"{key} is {shown(value)}, but must be {message}{hint(value, message)}.")
