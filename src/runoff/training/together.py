"""The processes of one training beside the first: they compute, and only the first one keeps the record.

Owns: what such a process does. It goes through the very same loop, in a folder of its own that is thrown away, so that
the loop need not know how many they are. Must not: write into the run folder.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from runoff.engines.ranks import Ranks
from runoff.runs import RunFolder
from runoff.training.loop import Loop

__all__ = ["agreed", "follow", "meet"]


def meet(ranks: Ranks) -> None:
    """Wait for all others."""
    ranks.sum_vector(np.ones(1, dtype=np.float32))


def agreed(ranks: Ranks, asked: Callable[[], bool]) -> Callable[[], bool]:
    """Whether any process was asked to stop: all of them stop after the same iteration."""
    if ranks.size == 1:
        return asked
    return lambda: bool(ranks.sum_vector(np.array([asked()], dtype=np.float32))[0])


def follow(
    ranks: Ranks, run: RunFolder, make_loop: Callable[[RunFolder], Loop], asked: Callable[[], bool], *, goes_on: bool
) -> None:
    """Train beside the first process, from where it starts to where it ends."""
    with tempfile.TemporaryDirectory(prefix="runoff-rank-") as scratch:
        folder = RunFolder(Path(scratch) / run.path.name)
        loop = make_loop(folder)
        meet(ranks)  # the first process has made the folder, or taken it up
        if goes_on:
            shutil.copytree(run.path, folder.path, ignore=shutil.ignore_patterns("0*.safetensors", "evaluations"))
            loop.resume()
        else:
            folder.path.mkdir()
        meet(ranks)
        loop.stop_requested = agreed(ranks, asked)
        loop.run()
        meet(ranks)  # the adapter is written
