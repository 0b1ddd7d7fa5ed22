"""The runs that would tell which of several changed settings matters: one run with one setting of another.

Owns: which runs these are, and the command for each where the run's own configuration is at hand and takes the value.
Must not: train.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runoff.comparison.commands import train_command
from runoff.comparison.compare import Comparison
from runoff.comparison.differences import Difference, causes, setting_name
from runoff.comparison.facts import Sentence, Side, listed
from runoff.config import load_config
from runoff.errors import RunoffError
from runoff.runs import Value

__all__ = ["Separation", "separation"]


@dataclass(frozen=True)
class Separation:
    """The runs in words, and their commands; fewer commands than runs where one can't be given."""

    sentence: Sentence
    commands: tuple[str, ...]


def separation(comparison: Comparison) -> Separation | None:
    """For two runs of which several things differ, else None. Their order does not decide which one is changed."""
    if comparison.several_at_once is None or len(comparison.sides) != 2:
        return None
    one, other = sorted(comparison.sides, key=lambda side: side.label)
    changed = _by_setting(causes(comparison.differences))
    parts = [_in_words(setting, found, one.label) for setting, found in changed.items()]
    if "the training rows" in comparison.several_at_once.text:
        parts.append(f"{one.label}'s training rows")
    text = (
        f"To tell which change matters, train {other.label} again with one thing of {one.label} at a time: "
        f"{listed(parts)}."
    )
    commands = [_command(other, one, setting, found) for setting, found in changed.items()]
    return Separation(Sentence(text, comparison.several_at_once.cites), tuple(filter(None, commands)))


def _by_setting(found: Sequence[Difference]) -> dict[str, list[Difference]]:
    """A schedule's parts belong together."""
    groups: dict[str, list[Difference]] = {}
    for one in found:
        groups.setdefault(setting_name(one.key), []).append(one)
    return groups


def _in_words(setting: str, found: Sequence[Difference], label: str) -> str:
    values = {one.key.removeprefix(f"{setting}."): one.values[label].value for one in found}
    if len(found) == 1 and found[0].key == setting:
        return f"{setting} {_text(values[setting])}"
    set_parts = {key: value for key, value in values.items() if value is not None}
    return f"{setting} {_text(set_parts)}" if set_parts else f"no {setting}"


def _command(changed: Side, source: Side, setting: str, found: Sequence[Difference]) -> str | None:
    """None where the run was trained elsewhere, or its configuration would refuse the value."""
    value = _value(source, setting, found)
    options = [f"{setting}={_text(value.value)}"]
    if setting == "lr_schedule" and value.value is None:
        options.append(f"learning_rate={_text(source.setting('learning_rate').value)}")
    command = train_command(changed, f"{changed.run.name}-{setting.rpartition('.')[2]}-of-{source.run.name}", *options)
    if command is None or not value.known:
        return None
    try:
        load_config(changed.run.folder.config, [*command.overrides])
    except RunoffError:
        return None
    return command.text


def _value(source: Side, setting: str, found: Sequence[Difference]) -> Value:
    if len(found) == 1 and found[0].key == setting:
        return source.setting(setting)
    parts = {one.key.removeprefix(f"{setting}."): source.setting(one.key) for one in found}
    whole = {key.removeprefix(f"{setting}."): value for key, value in source.run.plan.settings.items()
             if key.startswith(f"{setting}.")}  # fmt: skip
    body = {key: value.value for key, value in (parts | whole).items() if value.value is not None}
    return Value(body or None, next(iter(parts.values())).origin)


def _text(value: Any) -> str:
    """As YAML and JSON both read it."""
    return json.dumps(value)
