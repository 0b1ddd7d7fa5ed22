"""A user's own measure. Owns: finding a function by `module:function` or `file.py:function`, and running it safely.

The function takes an `Answer` and returns a number, True or False, or None where it has nothing to say; Runoff makes
the mean, the interval and the anchors of it. Instead of a function it may be a whole `Measure`.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from runoff.errors import RunoffError
from runoff.estimates.bounded import Bounds
from runoff.evaluation.answers import Answer
from runoff.evaluation.material import Material
from runoff.evaluation.measures.result import About, Dimension, Measure, MeasureResult, per_answer

__all__ = ["load_measure"]


def load_measure(name: str) -> Measure:
    """The measure behind `module:function` or `path/to/file.py:function`.

    A function may say more about itself in attributes: `title`, `unit`, `higher_is_better` (None: nearest to the author
    is best), `matters`, the smallest difference worth acting on, and `bounds`, the least and the largest value. Its
    docstring becomes the description.

    Raises RunoffError: no such file, module or function, bounds that are none, or a file that can't be imported.
    """
    place, colon, attribute = name.rpartition(":")
    if not colon or not place or not attribute:
        raise RunoffError(f"{name}: is not the name of a measure. Write module:function or path/to/file.py:function.")
    module = _load(place)
    found = getattr(module, attribute, None)
    if isinstance(found, Measure):
        return found
    if not callable(found):
        there = ", ".join(sorted(key for key, value in vars(module).items() if _is_own(value, module))) or "none"
        raise RunoffError(f"{place}: has no function {attribute} (it has: {there}).")
    about = _about(attribute, found)
    return Measure(about, _checked(name, found, about.bounds))


def _load(place: str) -> ModuleType:
    try:
        return _load_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except ModuleNotFoundError as error:
        raise RunoffError(
            f"{place}: can't be imported, since there is no module {error.name}. "
            "Name a file as in path/to/file.py:function."
        ) from None
    except RunoffError:
        raise
    except Exception as error:  # the user's own module: anything may happen in it, and it is theirs to mend
        raise RunoffError(f"{place}: can't be imported ({type(error).__name__}: {error}).") from error


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise RunoffError(f"{path}: no such file.")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise RunoffError(f"{path}: is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _is_own(value: Any, module: ModuleType) -> bool:
    return isinstance(value, Measure) or (callable(value) and getattr(value, "__module__", None) == module.__name__)


def _about(name: str, function: Callable[[Answer], Any]) -> About:
    return About(
        key=name,
        title=getattr(function, "title", name.replace("_", " ").capitalize()),
        dimension=Dimension.OWN,
        unit=getattr(function, "unit", "as its function returns"),
        higher_is_better=getattr(function, "higher_is_better", None),
        matters=float(getattr(function, "matters", 0.0)),
        what=" ".join((function.__doc__ or "Your own measure.").split()),
        cannot_see="What its author did not think of.",
        bounds=_bounds(name, getattr(function, "bounds", None)),
    )


def _bounds(name: str, given: Any) -> Bounds | None:
    """Two numbers, the second of which may be infinite."""
    if given is None:
        return None
    try:
        low, high = map(float, given)
    except (TypeError, ValueError):
        low = high = math.nan
    if not (math.isfinite(low) and low < high):
        raise RunoffError(f"{name}: its bounds are {given!r}. Give the least and the largest value, as in (0, 1).")
    return low, high


def _checked(
    name: str, function: Callable[[Answer], Any], bounds: Bounds | None
) -> Callable[[About, Material], MeasureResult]:
    def value(answer: Answer) -> float | None:
        try:
            found = function(answer)
            number = None if found is None else float(found)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise RunoffError(f"{name}: failed on the answer to {answer.example} ({reason}).") from error
        if number is not None and not math.isfinite(number):
            raise RunoffError(f"{name}: returned {number} for the answer to {answer.example}. Return None instead.")
        if number is not None and bounds is not None and not bounds[0] <= number <= bounds[1]:
            raise RunoffError(
                f"{name}: returned {number} for the answer to {answer.example}, which its bounds {bounds} exclude."
            )
        return number

    return lambda about, material: per_answer(about, material, value)
