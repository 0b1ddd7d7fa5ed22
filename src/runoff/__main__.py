"""The `runoff` command, and `python -m runoff`.

Owns: a Ctrl-C while the command line is still being imported. Nothing is held then, so the process ends at once and
without a traceback.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

__all__ = ["main"]

INTERRUPTED = 130
"""The exit code of a program that Ctrl-C ended, as shells count."""


def main() -> None:
    """Import the command line and run it."""
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # nohup's and a caller's own stay
    if ours:
        signal.signal(signal.SIGINT, _leave)
    from runoff.cli.main import run

    if ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


def _leave(_number: int, _frame: FrameType | None) -> None:
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
