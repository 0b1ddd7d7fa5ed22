"""The errors that a person may meet. Owns: their tree and their exit codes. Must not: know what any other module does.

    RunoffError            one plain sentence: what is wrong, where, and what to do
    ├── ConfigError        the YAML or --set; holds every problem found, not just the first
    ├── DataError          rows, files and folders of examples
    ├── ModelError         base models and tokenizers
    ├── RunError           run folders, names, resuming
    ├── ImportFailed       files of other tools
    ├── EngineError        the tensor library or the machine
    └── Interrupted        Ctrl-C or SIGTERM, after what was learnt has been saved

Whatever is not a RunoffError is a bug of ours: the command line says so and keeps the traceback for --debug.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

__all__ = [
    "ConfigError",
    "DataError",
    "EngineError",
    "ImportFailed",
    "Interrupted",
    "ModelError",
    "RunError",
    "RunoffError",
    "disk_error",
]


class RunoffError(Exception):
    """A problem that the user can mend; `str()` of it is all that the user needs to read."""

    exit_code = 2


class ConfigError(RunoffError):
    """Everything that is wrong with a configuration, reported at once."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class DataError(RunoffError):
    """Examples that can't be read or used."""


class ModelError(RunoffError):
    """A base model or tokenizer that can't be found, read or used."""


class RunError(RunoffError):
    """A run folder that is missing, taken, half a run, or not what was asked for."""


class ImportFailed(RunoffError):
    """A foreign file that is not what it should be."""


class EngineError(RunoffError):
    """The tensor library is missing, or the machine can't do what was asked."""


class Interrupted(RunoffError):
    """Stopped by the user; what was learnt up to then is saved."""

    exit_code = 130


def disk_error(error: OSError, path: Path, what: str) -> RunoffError:
    """The sentence for a write that failed: a full disk and a forbidden folder want different cures."""
    import errno

    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return RunError(f"{path}: the disk is full, so {what} could not be written. Free some space and run it again.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return RunError(f"{path}: not writable, so {what} could not be written. Choose another folder.")
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        file = next((above for above in path.parents if above.is_file()), path)  # where the folder should be
        return RunError(f"{file}: is a file, so {what} could not be written below it. Choose another folder.")
    if error.errno == errno.EISDIR:
        return RunError(f"{path}: is a folder, so {what} could not be written in its place. Choose another name.")
    return RunError(f"{path}: {what} could not be written ({error.strerror or error}).")
