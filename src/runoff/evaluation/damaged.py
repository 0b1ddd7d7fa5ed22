"""What is said of an evaluation's stored file that can't be read.

Owns: that sentence, with what to remove and the command that makes the file again. Must not: read any file's content.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from pathlib import Path

from runoff.errors import RunError

__all__ = ["reading"]

_OPTIONS = {
    "measures.json": " --generate",
    "answers.jsonl": " --generate",
    "base-answers.jsonl": " --generate",
    "judge.json": " --judge ADDRESS",
    "judge-decisions.jsonl": " --judge ADDRESS",
    "harness.json": " --harness TASKS",
}
_WHOLE = "evaluation.json"
_PARTS = frozenset({"rows.jsonl", "base.jsonl", "examples.jsonl", "scored-measures.json"})
"""Written together with evaluation.json: while that stands there, they count as made."""


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever is wrong with the stored file that is read inside becomes one sentence.

    Raises:
        RunError: it is missing, not JSON, or not as Runoff writes it.
    """
    try:
        yield
    except FileNotFoundError:
        raise RunError(f"{path}: is missing. {_cure(path)}") from None
    except RunError as error:
        what = str(error).removeprefix(str(path)).partition(". ")[0].removesuffix(".")
        raise RunError(f"{path}{what}. {_cure(path)}") from None
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OSError) as error:
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise RunError(f"{path}: is not as Runoff writes it ({reason}). {_cure(path)}") from None


def _cure(path: Path) -> str:
    if path.name not in (*_OPTIONS, *_PARTS, _WHOLE):
        return "Remove it and run the same command again."
    key = path.with_name(_WHOLE) if path.name in _PARTS else path
    run = path.parents[2]  # RUN/evaluations/KEY/FILE
    return f"Remove {key} and run: runoff evaluate {shlex.quote(str(run))}{_OPTIONS.get(path.name, '')}."
