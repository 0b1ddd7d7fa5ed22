"""What an optimizer's arguments may be. Owns: MLX's names and ranges. Must not: compute updates (training/ does)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

__all__ = ["OPTIMIZERS", "OPTIMIZER_ARGUMENTS", "has_own_rate", "optimizer_problems"]

OPTIMIZERS = frozenset({"adam", "adamw", "sgd", "muon", "adafactor"})
"""mlx-lm's."""


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _at_least_0(value: Any) -> bool:
    return _number(value) and 0 <= value < float("inf")


def _betas(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(map(_share, value))


def _two_at_least_0(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(map(_at_least_0, value))


def _share(value: Any) -> bool:
    return _number(value) and 0 <= value < 1


_AT_LEAST_0 = (_at_least_0, "a number of at least 0")
_SWITCH: tuple[Callable[[Any], bool], str] = (lambda value: isinstance(value, bool), "true or false")
_ADAM: dict[str, tuple[Callable[[Any], bool], str]] = {
    "betas": (_betas, "two numbers of at least 0 and below 1"),
    "eps": _AT_LEAST_0,
    "bias_correction": _SWITCH,
}
OPTIMIZER_ARGUMENTS: dict[str, dict[str, tuple[Callable[[Any], bool], str]]] = {
    "adam": _ADAM,
    "adamw": {**_ADAM, "weight_decay": _AT_LEAST_0},
    "sgd": {"momentum": _AT_LEAST_0, "weight_decay": _AT_LEAST_0, "dampening": _AT_LEAST_0, "nesterov": _SWITCH},
    "adafactor": {
        "eps": (_two_at_least_0, "two numbers of at least 0"),
        "clip_threshold": (lambda value: _at_least_0(value) and value > 0, "a number above 0"),
        "decay_rate": (lambda value: _number(value) and -1e3 < value <= 0, "a number of at most 0, such as -0.8"),
        "beta_1": (lambda value: value is None or _share(value), "a number of at least 0 and below 1, or null"),
        "weight_decay": _AT_LEAST_0,
        "scale_parameter": _SWITCH,
        "relative_step": _SWITCH,
        "warmup_init": _SWITCH,
    },
    "muon": {
        "momentum": (_share, "a number of at least 0 and below 1"),
        "weight_decay": _AT_LEAST_0,
        "nesterov": _SWITCH,
        "ns_steps": (lambda value: type(value) is int and 1 <= value <= 100, "a whole number of 1 to 100"),
    },
}
"""optimizer -> argument -> (check, what it must be)."""


def has_own_rate(optimizer: str, given: Mapping[str, Any]) -> bool:
    """Whether the optimizer makes its learning rate itself: Adafactor does, unless relative_step is false."""
    return optimizer == "adafactor" and given.get("relative_step") is not False


def optimizer_problems(optimizer: str, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(key below optimizer_config, what is wrong with it)."""
    known = OPTIMIZER_ARGUMENTS[optimizer]
    for argument, value in given.items():
        if argument not in known:
            yield f"{optimizer}.{argument}", f"is unknown; {optimizer} takes {', '.join(sorted(known))}"
        elif not known[argument][0](value):
            hint = " (it was read as text; write numbers without quotes)" if isinstance(value, str) else ""
            yield f"{optimizer}.{argument}", f"is {value!r}, but must be {known[argument][1]}{hint}"
    if optimizer == "sgd" and given.get("nesterov") is True and (not given.get("momentum") or given.get("dampening")):
        yield f"{optimizer}.nesterov", "needs a momentum above 0 and a dampening of 0, as in MLX"
