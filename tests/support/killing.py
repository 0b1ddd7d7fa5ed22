"""Trainings in processes of their own that are killed with SIGKILL, again and again, and resumed each time.

Started as `python -m tests.support.killing ENGINE MODEL DATA ROOT KILLS SIZE...`: imports the engine's library once,
then forks SIZE processes for each start, so that a kill costs no import. Half of the kills come at a random moment; the
other half at a random access to a file in the process's own folder (opened, renamed, cut off, deleted), so that many
come in the middle of saving. Of several processes one is killed, or all at once; those that are left must end by
themselves. Leaves the run `whole`, which nobody killed, and runs `killed-N`; prints what it did as JSON.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import random
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from runoff.config import Config
from runoff.engines import Base, open_base
from runoff.errors import EngineError
from runoff.runs import load_run
from runoff.training import train
from tests.support.fake_engine import FakeBase
from tests.support.runs import make_config

_ACCESSES = {"open", "os.rename", "os.truncate", "os.remove", "os.mkdir"}
_LEFT_ALONE = 3
"""The exit code of a process that lost another one and said so."""

_GRACE_SECONDS = 4.0


@dataclass(frozen=True)
class Strike:
    """Who is killed, and when: at the n-th access to a file of its folder, or after so many seconds."""

    who: tuple[int, ...]
    access: int = 0
    seconds: float = 0.0

    @property
    def kind(self) -> str:
        """As it is counted."""
        return "access" if self.access else "moment"


@dataclass(frozen=True)
class Trainings:
    """What every start of this program has in common."""

    engine: str
    opened: Callable[[], Base]
    config: Config
    root: Path

    def start(self, name: str, size: int, strike: Strike | None = None) -> list[int]:
        """Go on with a run, or begin it, in so many processes. Returns how each ended, as `os.waitpid` does."""
        together = _meeting_place(self.engine, size, self.root.parent)
        work = partial(self._train, name, strike, together)
        children = [_forked(partial(work, rank)) for rank in range(size)]
        if strike and not strike.access:
            time.sleep(strike.seconds)
            for rank in strike.who:
                os.kill(children[rank], signal.SIGKILL)
        ended = _wait(children)
        statuses = [ended[child] for child in children]
        if any(os.WIFEXITED(status) and os.WEXITSTATUS(status) not in (0, _LEFT_ALONE) for status in statuses):
            raise SystemExit(f"{self.engine}: {name}, to be killed by {strike}, ended with {statuses}")
        return statuses

    def finish(self, name: str, size: int) -> None:
        """Start it and let it end."""
        statuses = self.start(name, size)
        if any(statuses):
            raise SystemExit(f"{self.engine}: {name}, which nobody killed, ended with {statuses}")

    def count_accesses(self, size: int) -> list[int]:
        """Train the run that nobody kills. Returns what each process of it accessed."""
        self.finish("whole", size)
        return [int(_counted(self.root, rank).read_text()) for rank in range(size)]

    def _train(self, name: str, strike: Strike | None, together: Mapping[str, str], rank: int) -> None:
        os.environ.update({key: value.replace("RANK", str(rank)) for key, value in together.items()})
        tempfile.tempdir = str(self.root.parent)
        own = self.root / name if rank == 0 else self.root.parent / "runoff-rank-"
        seen: list[None] = []
        _on_access(own, lambda: seen.append(None))
        if strike and strike.access and rank in strike.who:
            _on_access(own, _kill_at(strike.access))
        begun = (self.root / name / "run.json").exists()
        if not begun or load_run(name, self.root).identity.status != "finished":
            train(self.config, name, root=self.root, resume=begun, base=self.opened())
        _counted(self.root, rank).write_text(str(len(seen)))


def settings(engine: str) -> dict[str, Any]:
    """Dropout, windows that end between checkpoints, a best adapter, validations: all that a checkpoint must carry."""
    own = {} if engine == "fake" else {"engine": engine, "dtype": "float32"}
    return {"steps_per_report": 2, "steps_per_eval": 3, "save_every": 2, "iters": 16, "lora_parameters": {
        "rank": 2, "scale": 2.0, "dropout": 0.2}} | own  # fmt: skip


def _opener(engine: str, model: Path) -> Callable[[], Base]:
    """What opens a base in a child. torch's is loaded before the fork; MLX's threads do not live through one."""
    if engine == "fake":
        return FakeBase
    importlib.import_module(f"runoff.engines.{engine}.engine")
    if engine == "mlx":
        return lambda: open_base(model, engine=engine, dtype="float32")
    base = open_base(model, engine=engine, dtype="float32")
    return lambda: base


def _meeting_place(engine: str, size: int, folder: Path) -> Mapping[str, str]:
    """What the engine's launcher would leave in the environment of each process; RANK stands for its number."""
    if size == 1:
        return {}
    if engine == "torch":
        return {"WORLD_SIZE": str(size), "RANK": "RANK", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    hosts = folder / "hosts.json"
    hosts.write_text(json.dumps([[f"127.0.0.1:{_free_port()}"] for _ in range(size)]))
    return {"MLX_RANK": "RANK", "MLX_HOSTFILE": str(hosts)}


def _free_port() -> int:
    with socket.socket() as there:
        there.bind(("127.0.0.1", 0))
        return int(there.getsockname()[1])


def _counted(root: Path, rank: int) -> Path:
    return root.parent / f"accesses-{rank}"


def _forked(work: Callable[[], None]) -> int:
    """The process id of a child that does the work and ends."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except EngineError as error:
            code = _LEFT_ALONE if "another process of this training is gone" in str(error) else 1
            print(error, file=sys.stderr, flush=True)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
        finally:
            os._exit(code)
    return child


def _wait(children: Sequence[int]) -> dict[int, int]:
    """How each ended. As their launchers do, ask the others to end when one did not end well, but give them time."""
    ended: dict[int, int] = {}
    limit = math.inf
    while len(ended) < len(children):
        child, status = os.waitpid(-1, os.WNOHANG)
        if child:
            ended[child] = status
            limit = min(limit, time.monotonic() + _GRACE_SECONDS) if status else limit
        elif time.monotonic() > limit:
            for left in set(children) - ended.keys():
                os.kill(left, signal.SIGTERM)
            limit = math.inf
        else:
            time.sleep(0.005)
    return ended


def _on_access(folder: Path, act: Callable[[], None]) -> None:
    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event in _ACCESSES and str(arguments[0]).startswith(str(folder)):
            act()

    sys.addaudithook(hook)


def _kill_at(number: int) -> Callable[[], None]:
    left = [number]

    def act() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return act


def kill_again_and_again(trainings: Trainings, kills: int, size: int) -> dict[str, Any]:
    """Kill until so many kills have struck; then let the last run end."""
    chance = random.Random(f"{trainings.engine} {kills}")
    started = time.monotonic()
    accesses = trainings.count_accesses(size)
    seconds = time.monotonic() - started
    struck = {"moment": 0, "access": 0}
    number = 0
    while sum(struck.values()) < kills:
        victim = chance.randrange(size)
        strike = Strike((victim,), access=chance.randrange(1, accesses[victim] // 2))
        if chance.random() < 0.5:
            everyone = tuple(range(size)) if chance.random() < 0.5 else (victim,)
            strike = Strike(everyone, seconds=chance.uniform(0.05, 0.6) * seconds)
        if any(map(os.WIFSIGNALED, trainings.start(f"killed-{number}", size, strike))):
            struck[strike.kind] += 1
        else:
            number += 1
    trainings.finish(f"killed-{number}", size)
    return {"struck": struck, "runs": number + 1}


def go_on_with_others(trainings: Trainings, sizes: Sequence[int]) -> dict[str, Any]:
    """Kill the first process of each number of them but the last, each at a third of what there is to save."""
    (accesses,) = trainings.count_accesses(1)
    for size in sizes[:-1]:
        trainings.start("killed-0", size, Strike((0,), access=accesses // 3))
    trainings.finish("killed-0", sizes[-1])
    return {"sizes": sizes}


def main(engine: str, model: Path, data: Path, root: Path, kills: int, sizes: Sequence[int]) -> dict[str, Any]:
    """With one size many kills, with several one between each and the next (and no dropout, which would differ)."""
    own = {} if len(sizes) == 1 else {"lora_parameters": {"rank": 2, "scale": 2.0}}
    config = make_config(model, data, **settings(engine) | own)
    trainings = Trainings(engine, _opener(engine, model), config, root)
    return kill_again_and_again(trainings, kills, *sizes) if len(sizes) == 1 else go_on_with_others(trainings, sizes)


if __name__ == "__main__":
    name, model, data, root, kills, *sizes = sys.argv[1:]
    print(json.dumps(main(name, Path(model), Path(data), Path(root), int(kills), list(map(int, sizes)))))
