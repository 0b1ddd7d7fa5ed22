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
from ruamel.yaml.error import MarkedYAMLError

from runoff.config.foreign import DONE_WITHOUT, REFUSED, TRANSLATIONS, Translated
from runoff.config.given import Given, Problem, aliases, must_be, spellings
from runoff.config.optimizers import OPTIMIZERS, has_own_rate, optimizer_problems
from runoff.config.origins import DEFAULT, Origin
from runoff.config.settings import EarlyStopping, LoraParameters, LrSchedule, Settings
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
        return _origin(self.origins, key) or DEFAULT


MAX_BYTES = 1 << 20
MAX_ALIASES = 20
"""Aliases of aliases multiply: some dozens can stand for more values than there is memory."""


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
        ConfigError: the file can't be read at all.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(
                [f"{path}: has {path.stat().st_size:,} bytes, too many for settings. Is it the right file?"]
            )
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise ConfigError([f"{path}: no such file. Write a YAML such as those in examples/."]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: not UTF-8 text (byte {error.start}). Save the file as UTF-8."]) from None
    except OSError as error:
        raise ConfigError([f"{path}: can't be read ({error.strerror})."]) from None
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
    tree = _parse_yaml(text, name)
    state = _State()
    options = _parse_overrides(overrides, state)
    try:
        leaves = _leaves(tree, name)
        spelled = spellings(text) if tree else {}
    except RecursionError:
        raise ConfigError([f"{name}: a value contains itself (&anchor and *alias). Write it out."]) from None
    given = (
        *(Given(key, value, place, spelled.get(key)) for key, value, place in leaves if not _replaced(key, options)),
        *(
            Given(key, value, f"--set {option}")
            for option, whole in options.items()
            for key, value in _opened(option, whole)
        ),
    )
    state.notes += [
        Note(place, key, f"not used: --set {option} replaces it")
        for key, _, place in leaves
        if (option := _replaced(key, options)) not in (None, key)
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


def _parse_yaml(text: str, name: str) -> CommentedMap:
    if aliases(text) > MAX_ALIASES:
        raise ConfigError([f"{name}: has more than {MAX_ALIASES} aliases (*name). Write the values out."])
    try:
        tree = YAML(typ="rt").load(text)
    except RecursionError:
        raise ConfigError([f"{name}: is nested too deeply for settings. Is it the right file?"]) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{name}:{mark.line + 1}" if mark else name
        problem = "a tab can't indent: use spaces" if "'\\t'" in str(error.problem) else error.problem or "unreadable"
        raise ConfigError([f"{place}: not valid YAML ({problem})."]) from None
    except Exception as error:  # ruamel.yaml lets ValueError, AttributeError and others through on odd input
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError([f"{name}: not valid YAML ({reason})."]) from None
    if tree is None:
        return CommentedMap()
    if not isinstance(tree, CommentedMap):
        kind = "a list" if isinstance(tree, list) else f"a single value ({_shown(tree)})"
        raise ConfigError([f"{name}: is {kind}, but must be settings, one `key: value` a line."])
    return tree


def _leaves(tree: CommentedMap, name: str) -> list[tuple[str, Any, str]]:
    """(dotted key, plain value, place); nested settings are opened, other mappings stay whole."""
    leaves: list[tuple[str, Any, str]] = []

    def visit(inside: CommentedMap, prefix: str, around: int) -> None:
        for key, value in inside.items():
            dotted, line = f"{prefix}{key}", _line(inside, key, around)
            if _opens(dotted) and isinstance(value, CommentedMap) and value:
                visit(value, f"{dotted}.", line)
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


def _replaced(key: str, options: Mapping[str, Any]) -> str | None:
    """The option that takes the place of a key of the file."""
    return next((option for option in options if key == option or key.startswith(f"{option}.")), None)


def _opens(dotted: str) -> bool:
    """Mappings whose keys are settings of their own."""
    head, _, rest = dotted.partition(".")
    return (not rest and (head in _SECTIONS or head in ("optimizer_config", "hf_dataset"))) or (
        head == "optimizer_config" and "." not in rest
    )


def _opened(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    if _opens(key) and isinstance(value, Mapping) and value:
        for inner, deep in value.items():
            yield from _opened(f"{key}.{inner}", deep)
    else:
        yield key, value


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


def _parse_overrides(overrides: Sequence[str], state: _State) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for text in overrides:
        key, equals, raw = text.partition("=")
        if not equals or not key.strip() or not raw.strip():
            state.problem("value", f"--set {text}", "write it as key=value, e.g. --set learning_rate=2e-4.")
            continue
        try:
            options[key.strip()] = _plain(YAML(typ="safe", pure=True).load(io.StringIO(raw)))
        except Exception:  # as in _parse_yaml; a value that contains itself is a RecursionError
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
    elif _known(key):
        if value is not None or key.partition(".")[0] in _NULLABLE:
            _set(state, key, value, origin, key)
    else:
        near = _nearest(key)
        hint = f"; did you mean {near}?" if near else "."
        text = f"unknown key {key}{hint} mlx-lm would ignore it without a word."
        plain = near in Settings.model_fields and "." not in key
        state.problem("unknown", place, text, f"{near}: {value}" if plain else "")


def _set(state: _State, key: str, value: Any, origin: Origin, spelled: str) -> None:
    """Store under our key; the same setting given twice with two values is a contradiction."""
    earlier = state.origins.get(key)
    if earlier and _is_option(origin.place) == _is_option(earlier.place) and state.values[key] != value:
        says = f"{key} is" if spelled == key else f"{spelled} makes {key}"
        text = f"{says} {_shown(value)}, but {earlier.place} makes it {_shown(state.values[key])}. "
        text += "Keep one of the two lines."
        state.problem("contradiction", origin.place or "", text)
        return
    state.values[key] = value
    state.origins[key] = origin


def _is_option(place: str | None) -> bool:
    return (place or "").startswith("--set ")


_SECTIONS: dict[str, type[BaseModel]] = {
    "lora_parameters": LoraParameters,
    "lr_schedule": LrSchedule,
    "early_stopping": EarlyStopping,
}
_HF_DATASET = (
    *("path", "config", "train_split", "valid_split", "test_split"),
    *(name for name in Settings.model_fields if name.endswith("_feature")),
)
_NULLABLE = frozenset(
    name for name, info in Settings.model_fields.items() if type(None) in getattr(info.annotation, "__args__", ())
)


def _counts(key: str) -> bool:
    """It takes a number and nothing else, so that true would pass for 1."""
    head, _, rest = key.partition(".")
    fields = _SECTIONS[head].model_fields if rest and head in _SECTIONS else Settings.model_fields
    kind = fields[rest or head].annotation if (rest or head) in fields else None
    return {kind, *getattr(kind, "__args__", ())} & {int, float} != set() and bool not in getattr(kind, "__args__", ())


def _known(key: str) -> bool:
    head, dot, rest = key.partition(".")
    if not dot:
        return head in Settings.model_fields
    if head in _SECTIONS:
        return rest in _SECTIONS[head].model_fields
    if head == "optimizer_config":
        return rest.partition(".")[0] in OPTIMIZERS
    return head == "hf_dataset" and rest in _HF_DATASET


def _nearest(key: str) -> str:
    """The known key that looks most like this one, or nothing."""
    known = [
        *Settings.model_fields,
        *(f"{head}.{name}" for head, cls in _SECTIONS.items() for name in cls.model_fields),
        *(f"optimizer_config.{name}" for name in sorted(OPTIMIZERS)),
        *(f"hf_dataset.{name}" for name in _HF_DATASET),
    ]
    spelled = {name.rpartition(".")[2]: name for name in reversed(known)} | {name: name for name in known}
    close = difflib.get_close_matches(key, spelled, n=1, cutoff=0.6)
    return spelled[close[0]] if close else ""


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
        if isinstance(state.values[key], bool) and _counts(key):
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
        state.problems += _contradictions(settings, state.origins)
    return settings


def _origin(origins: Mapping[str, Origin], key: str) -> Origin | None:
    """Of the key itself, else of what holds it, else of the first of its parts."""
    parts = key.split(".")
    above = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    found = next((origins[name] for name in above if name in origins), None)
    return found or next((origin for name, origin in origins.items() if name.startswith(f"{key}.")), None)


def _shown(value: Any) -> str:
    """A value inside a sentence: short, on one line."""
    try:
        text = repr(value)
    except ValueError:  # Python refuses to print integers of thousands of digits
        text = "a number of thousands of digits"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _problem(state: _State, problem: dict[str, Any]) -> Problem:
    key = ".".join(str(part) for part in problem["loc"] if isinstance(part, str))
    origin = _origin(state.origins, key) or _origin(state.origins, key.partition(".")[0]) or DEFAULT
    place = origin.place or str(origin)
    message = must_be(str(problem["type"]), str(problem["msg"]))
    if problem["type"] == "missing":
        return Problem("value", place, f"{key} is missing.")
    hint = ""
    if isinstance(problem["input"], str) and "number" in message:
        hint = " (it was read as text; write numbers without quotes)"
    return Problem("value", place, f"{key} is {_shown(problem['input'])}, but must be {message}{hint}.")


def _contradictions(settings: Settings, origins: Mapping[str, Origin]) -> Iterator[Problem]:
    if "iters" in origins and settings.epochs is not None:
        yield Problem(
            "contradiction",
            origins["iters"].place or "",
            f"iters and {origins['epochs'].place}: epochs both set the length of the run. Keep one of the two.",
        )
    if not settings.train:
        text = "train is false, so nothing would be trained. Remove the line."
        yield Problem("contradiction", origins["train"].place or "", text, "train: true")
    for key, text in optimizer_problems(settings.optimizer, settings.optimizer_config.get(settings.optimizer, {})):
        yield Problem("value", _place(origins, f"optimizer_config.{key}"), f"optimizer_config.{key} {text}.")
    if has_own_rate(settings.optimizer, settings.optimizer_config.get(settings.optimizer, {})):
        for key in ("learning_rate", "lr_schedule"):
            if _origin(origins, key):
                text = f"{key} is given, but adafactor makes a rate of its own unless its relative_step is false. "
                text += "Remove the line, or write optimizer_config: {adafactor: {relative_step: false}}."
                yield Problem("contradiction", _place(origins, key), text)
    for name, arguments in settings.optimizer_config.items():
        if name != settings.optimizer and arguments:
            text = f"optimizer_config.{name} is given, but the optimizer is {settings.optimizer}."
            yield Problem("contradiction", _place(origins, f"optimizer_config.{name}"), text, f"optimizer: {name}")


def _place(origins: Mapping[str, Origin], key: str) -> str:
    return (_origin(origins, key) or DEFAULT).place or ""
