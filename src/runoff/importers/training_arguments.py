"""Hugging Face Trainer's own list of all its arguments, as wandb and TensorBoard keep it: those that were in force.

Trainer writes every argument, also defaults that it never looks at: an interval where it goes by epochs, epochs where
it goes by max_steps. Source: transformers/training_args.py; integrations/integration_utils.py. Must not: apply rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["in_force", "is_trainers"]

_STRATEGIES = {"eval_steps": "eval_strategy", "save_steps": "save_strategy", "logging_steps": "logging_strategy"}
_OLD = {"eval_strategy": "evaluation_strategy"}
"""Its name before transformers 4.41."""


def is_trainers(arguments: Mapping[str, Any]) -> bool:
    """They are of a Trainer, as far as two of its names tell."""
    return "per_device_train_batch_size" in arguments and "gradient_accumulation_steps" in arguments


def in_force(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Without arguments that others overrule, and without those that are not set."""
    return {key: value for key, value in arguments.items() if value is not None and _counts(key, value, arguments)}


def _counts(key: str, value: Any, arguments: Mapping[str, Any]) -> bool:
    rule = _RULES.get(key)
    return rule is None or rule(value, arguments)


def _by_updates(key: str) -> Callable[[Any, Mapping[str, Any]], bool]:
    def rule(value: Any, arguments: Mapping[str, Any]) -> bool:
        strategy = _STRATEGIES[key]
        said = arguments.get(strategy, arguments.get(_OLD.get(strategy, ""), ""))
        return isinstance(value, int | float) and value >= 1 and str(said).lower().endswith("steps")

    return rule


def _has_limit(arguments: Mapping[str, Any]) -> bool:
    limit = arguments.get("max_steps")
    return isinstance(limit, int | float) and limit > 0


_RULES: dict[str, Callable[[Any, Mapping[str, Any]], bool]] = {
    **{key: _by_updates(key) for key in _STRATEGIES},
    "max_steps": lambda _, arguments: _has_limit(arguments),
    "num_train_epochs": lambda _, arguments: not _has_limit(arguments),
}
