"""Settings that are each right but can't stand beside each other.

Owns: their sentences, and those of an optimizer's arguments. Must not: judge another value alone (config/settings.py
does).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from runoff.config.given import Problem
from runoff.config.optimizers import has_own_rate, optimizer_problems
from runoff.config.origins import Origin, origin_of, place_of
from runoff.config.settings import Settings

__all__ = ["contradictions"]


def contradictions(settings: Settings, origins: Mapping[str, Origin]) -> Iterator[Problem]:
    """Each with the line to mend."""
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
        yield Problem("value", place_of(origins, f"optimizer_config.{key}"), f"optimizer_config.{key} {text}.")
    if has_own_rate(settings.optimizer, settings.optimizer_config.get(settings.optimizer, {})):
        for key in ("learning_rate", "lr_schedule"):
            if origin_of(origins, key):
                text = f"{key} is given, but adafactor makes a rate of its own unless its relative_step is false. "
                text += "Remove the line, or write optimizer_config: {adafactor: {relative_step: false}}."
                yield Problem("contradiction", place_of(origins, key), text)
    for name, arguments in settings.optimizer_config.items():
        if name != settings.optimizer and arguments:
            text = f"optimizer_config.{name} is given, but the optimizer is {settings.optimizer}."
            yield Problem("contradiction", place_of(origins, f"optimizer_config.{name}"), text, f"optimizer: {name}")
