"""Trainings in processes of their own that are killed with SIGKILL, again and again, and resumed each time.

Started as `python -m tests.support.killing ENGINE MODEL DATA ROOT KILLS`: imports the engine's library once, then forks
a process for each start, so that a kill costs no import. Half of the kills come at a random moment; the other half at
a random access to a file in the run folder (opened, renamed, cut off, deleted), so that many come in the middle of
saving. Leaves the run `whole`, which nobody killed, and runs `killed-N`; prints what it did as JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from runoff.config import Config
from runoff.engines import Base, open_base
from runoff.runs import load_run
from runoff.training import train
from tests.support.fake_engine import FakeBase
from tests.support.runs import make_config

_ACCESSES = {"open", "os.rename", "os.truncate", "os.remove", "os.mkdir"}


def settings(engine: str) -> dict[str, Any]:
    """Dropout, windows that end between checkpoints, a best adapter, validations: all that a checkpoint must carry."""
    own = {} if engine == "fake" else {"engine": engine, "dtype": "float32"}
    return {"steps_per_report": 2, "steps_per_eval": 3, "save_every": 2, "iters": 16, "lora_parameters": {
        "rank": 2, "scale": 2.0, "dropout": 0.2}} | own  # fmt: skip


def _opener(engine: str, model: Path) -> Callable[[], Base]:
    """What opens a base in a child. torch's is loaded before the fork; MLX's threads do not live through one."""
    if engine == "fake":
        return FakeBase
    importlib.import_module(f"runoff.engines.{engine}_engine")
    if engine == "mlx":
        return lambda: open_base(model, engine=engine, dtype="float32")
    base = open_base(model, engine=engine, dtype="float32")
    return lambda: base


def _forked(work: Callable[[], None]) -> int:
    """The process id of a child that does the work and ends."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
        finally:
            os._exit(code)
    return child


def _on_access(root: Path, act: Callable[[], None]) -> None:
    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event in _ACCESSES and str(arguments[0]).startswith(str(root)):
            act()

    sys.addaudithook(hook)


def _kill_at(number: int) -> Callable[[], None]:
    left = [number]

    def act() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return act


def main(engine: str, model: Path, data: Path, root: Path, kills: int) -> dict[str, Any]:
    """Kill until so many kills have struck; then let the last run end."""
    opened = _opener(engine, model)
    config = make_config(model, data, **settings(engine))
    chance = random.Random(f"{engine} {kills}")
    started = time.monotonic()
    accesses = _count_accesses(opened, config, root)
    seconds = time.monotonic() - started
    struck = {"moment": 0, "access": 0}
    number = 0
    while sum(struck.values()) < kills:
        kind = chance.choice(["moment", "access"])
        at = chance.randrange(1, accesses // 2)
        child = _forked(partial(_start, opened, config, root, number, kind, at))
        if kind == "moment":
            time.sleep(chance.uniform(0.05, 0.6) * seconds)
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            struck[kind] += 1
        elif status:
            raise SystemExit(f"{engine}: a start ended with code {os.WEXITSTATUS(status)}")
        else:
            number += 1
    _, status = os.waitpid(_forked(partial(_start, opened, config, root, number, "none", 0)), 0)
    if status:
        raise SystemExit(f"{engine}: the last start ended with status {status}")
    return {"struck": struck, "runs": number + 1}


def _start(opened: Callable[[], Base], config: Config, root: Path, number: int, kind: str, access: int) -> None:
    name = f"killed-{number}"
    if kind == "access":
        _on_access(root / name, _kill_at(access))
    begun = (root / name / "run.json").exists()
    if begun and load_run(name, root).identity.status == "finished":
        return
    _train(opened, config, name, root, resume=begun)


def _train(opened: Callable[[], Base], config: Config, name: str, root: Path, *, resume: bool = False) -> None:
    train(config, name, root=root, resume=resume, base=opened())


def _count_accesses(opened: Callable[[], Base], config: Config, root: Path) -> int:
    """Train the run that nobody kills."""
    counted = root.parent / "accesses"

    def work() -> None:
        seen: list[None] = []
        _on_access(root / "whole", lambda: seen.append(None))
        _train(opened, config, "whole", root)
        counted.write_text(str(len(seen)))

    _, status = os.waitpid(_forked(work), 0)
    if status:
        raise SystemExit(f"the training that nobody killed ended with status {status}")
    return int(counted.read_text())


if __name__ == "__main__":
    name, model, data, root, kills = sys.argv[1:]
    print(json.dumps(main(name, Path(model), Path(data), Path(root), int(kills))))
