"""The `runoff` command: registers the verbs and turns errors into one sentence and an exit code.

Owns: exit codes and --debug. Verbs import what they need inside their function, so that --help stays fast.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from runoff.cli import (
    adapter,
    check,
    compare,
    data,
    evaluate,
    generate,
    import_,
    model,
    runs,
    show,
    side_by_side,
    train,
    vote,
    watch,
)
from runoff.errors import RunoffError, disk_error
from runoff.plain_text import visible

__all__ = ["app", "run"]

app = typer.Typer(
    name="runoff",
    help="Tells you which of your LoRA fine-tuning runs to ship, and shows the evidence.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("check")(check.command)
app.command("train")(train.command)
app.command("watch")(watch.command)
app.command("import")(import_.command)
app.command("evaluate")(evaluate.command)
app.command("generate")(generate.command)
app.command("side-by-side")(side_by_side.command)
app.command("vote")(vote.command)
app.command("compare")(compare.command)
app.command("runs")(runs.command)
app.command("show")(show.command)
app.add_typer(data.app, name="data")
app.add_typer(model.app, name="model")
app.add_typer(adapter.app, name="adapter")


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options before the verb."""
    if debug:
        os.environ["RUNOFF_DEBUG"] = "1"


def run() -> None:
    """Entry point: a RunoffError becomes its sentence and exit code, and so does a disk that is full or forbidden;
    anything else is a bug of ours, and says so."""
    _open_streams()
    try:
        app()
        sys.stdout.flush()
    except RunoffError as error:
        _fail(str(error), error.exit_code)
    except BrokenPipeError:
        _drop_output()
        sys.exit(1)
    except KeyboardInterrupt:
        _fail("stopped.", 130)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _DISK:
            _drop_output()
            _fail(_disk_sentence(error), 2)
        if isinstance(error, OSError) and error.errno in _NAMES:
            name = visible(str(error.filename or "a name"))
            _fail(f"{name[:80]}{'...' * (len(name) > 80)}: no file can have this name ({error.strerror}).", 2)
        if isinstance(error, MemoryError) or (isinstance(error, ImportError) and _UNMAPPED in str(error)):
            _fail(f"out of memory ({error or 'Python'}). Close other programs, or raise the limit (ulimit -v).", 2)
        if "RUNOFF_DEBUG" not in os.environ:
            _fail(f"this is a bug in Runoff ({type(error).__name__}: {error}). Run it with --debug and report it.", 70)
        raise


_UNMAPPED = "failed to map segment"
"""What the loader says of a library that memory has no room for."""

_NAMES = (errno.ENAMETOOLONG, errno.ELOOP)
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)


def _disk_sentence(error: OSError) -> str:
    """Where nobody said whether it was read or written."""
    path = Path(error.filename or "the output")
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{path}: {error.strerror}. Check who may read and write there."
    return str(disk_error(error, path, "it"))


def _open_streams() -> None:
    """A stream that the caller has closed (`>&-`) swallows what is written to it."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - open to the end


def _drop_output() -> None:
    """What still waits to be written can't be; Python would complain of it as it ends."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, code: int) -> None:
    if "RUNOFF_DEBUG" in os.environ:
        traceback.print_exc()
    print(f"runoff: {visible(message)}", file=sys.stderr)
    sys.exit(code)
