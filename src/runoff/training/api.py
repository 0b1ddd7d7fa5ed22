"""From a Config to a Run: gathers what the loop needs, and leaves a whole run folder whatever happens.

Owns: the order of set-up, the lock, run.json while it runs, resuming. Must not: train (training/loop.py does).
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runoff.config import Config
from runoff.data import Tokenizer, load_dataset, load_tokenizer
from runoff.engines import Base, open_base
from runoff.engines.adapters.folders import read_adapter, write_mlx, write_peft
from runoff.engines.base import EngineFacts
from runoff.engines.parallel import ParallelEngine
from runoff.engines.ranks import Ranks, open_ranks
from runoff.errors import ConfigError, EngineError, ModelError, RunError, RunoffError
from runoff.files import write_json, write_text
from runoff.models import get_model
from runoff.plan import (
    EncodedDataset,
    FullSpec,
    Plan,
    data_facts,
    encode_dataset,
    layout,
    machine_facts,
    make_plan,
    read_model_facts,
)
from runoff.runs import Identity, Run, RunFolder, create_run, free_folder, load_run, plan_record, runs_root, timestamp
from runoff.training.identity import new_identity
from runoff.training.loop import Ended, Loop, initial_parameters
from runoff.training.optimizers import make_optimizer
from runoff.training.out_of_memory import naming_what_fits
from runoff.training.recorder import Listener
from runoff.training.resuming import check_resume, gone_on, processes_sentence, schedule_sentence
from runoff.training.together import agreed, follow, meet
from runoff.training.trunk import share_trunk
from runoff.training.validation import make_validator

__all__ = ["Prepared", "plan_run", "prepare", "train"]

_SEEDS_APART = 1_000_003
"""Between the dropout seeds of two processes, so that those of two runs with near seeds differ too."""

LOSS_DEFINITION = (
    "token-weighted mean of the cross-entropy in nats over the target tokens of the window; validation: the answers of "
    "the whole valid set, after the update"
)


@dataclass(frozen=True)
class Prepared:
    """A plan, and what it was made from."""

    plan: Plan
    data: EncodedDataset
    tokenizer: Tokenizer


def prepare(config: Config, *, say: Callable[[str], None] | None = None) -> Prepared:
    """Find the model, read and tokenize the rows, and do the arithmetic. Loads no weights.

    Raises:
        RunoffError: whatever is wrong with model, data or settings.
    """
    with _placed(config, "model"):
        folder = get_model(config.settings.model, progress=say)
    tokenizer = load_tokenizer(folder)
    encoded = encode_dataset(load_dataset(config.settings), tokenizer, config.settings)
    plan = make_plan(config, read_model_facts(folder), data_facts(encoded), machine_facts(config))
    if config.settings.resume_adapter_file:  # before the weights are loaded
        with _placed(config, "resume_adapter_file"):
            _started_from(Path(config.settings.resume_adapter_file), plan)
    return Prepared(plan, encoded, tokenizer)


@contextlib.contextmanager
def _placed(config: Config, key: str) -> Iterator[None]:
    """What is wrong with the thing that a setting names, with the line of the setting."""
    try:
        yield
    except (ConfigError, ModelError, RunError) as error:
        place = config.origin(key).place
        text = f"{place}: {error}" if place else str(error)
        raise (ConfigError([text]) if isinstance(error, ConfigError) else type(error)(text)) from None


def plan_run(config: Config, *, say: Callable[[str], None] | None = None) -> Plan:
    """What a run of this config would be: settings as they take effect, counts, findings. Loads no weights.

    Raises:
        RunoffError: as `prepare`, which also returns the rows, for `train(prepared=...)`.
    """
    return prepare(config, say=say).plan


def train(
    config: Config,
    name: str,
    *,
    root: Path | None = None,
    resume: bool = False,
    extend: bool = False,
    overwrite: bool = False,
    listen: Listener = lambda _event: None,
    say: Callable[[str], None] = lambda _text: None,
    prepared: Prepared | None = None,
    base: Base | None = None,
) -> Run:
    """Train one run and return its record.

    `resume` goes on from the last checkpoint; `extend` does so with more iterations than were planned. `prepared` and
    `base` may be passed in by a caller that has them already; else they are made here.

    Raises:
        RunoffError: one plain sentence; the folder then says `failed`, or does not exist if nothing was started.
    """
    goes_on, ranks = resume or extend, open_ranks()
    if ranks.rank > 0:
        return _beside(ranks, RunFolder((root or runs_root()) / name), prepared or prepare(config), base, goes_on)
    folder = load_run(name, root).folder if goes_on else free_folder(name, root, overwrite=overwrite)
    ready = prepared or prepare(config, say=say)
    record, sha256 = plan_record(ready.plan), ready.tokenizer.sha256
    fresh = new_identity(name, ready.plan, ready.data, tokenizer_sha256=sha256, processes=ranks.size)
    if goes_on:
        with folder.lock():
            check_resume(load_run(folder.path), fresh, record, extend=extend)
    with naming_what_fits(ready.plan):
        loaded = base or _open(ready.plan)
        for note in loaded.facts.notes:
            say(note)
        loop = _loop(ready, loaded, folder, listen, say, ranks)
    if not goes_on:  # from here on there is something to keep
        create_run(name, root, overwrite=overwrite)
    with folder.lock(), _stop_on_signal() as stop_requested:
        identity = _taken_up(folder, ready, fresh, loop, say, extend=extend) if goes_on else fresh
        if not goes_on:  # run.json comes last: a start that is killed before it is no run
            _write_plan(folder, ready.plan)
        identity = identity.model_copy(update={"engine": asdict(loaded.facts)})
        with _marked(folder, identity) as mark, naming_what_fits(ready.plan), _saying_how_to_go_on(folder):
            if identity.changed:  # and first here: what changed is not forgotten if this is killed
                _write_plan(folder, ready.plan)
            meet(ranks)
            meet(ranks)  # the others have read what they need
            loop.stop_requested = agreed(ranks, stop_requested)
            ended = loop.run()
            _write_adapter(folder, ready.plan, ended, loaded.facts)
            mark(status=ended.status, ended=timestamp(), result=_result(ended, loaded), files=folder.hashes())
    with contextlib.suppress(EngineError):  # the run is whole, whoever was lost since
        meet(ranks)
    return load_run(folder.path)


def _beside(ranks: Ranks, run: RunFolder, ready: Prepared, base: Base | None, goes_on: bool) -> Run:
    """What a process does that is not the first of its training."""
    with naming_what_fits(ready.plan), _stop_on_signal() as stop_requested:
        loaded = base or _open(ready.plan)

        def make_loop(folder: RunFolder) -> Loop:
            return _loop(ready, loaded, folder, lambda _event: None, lambda _text: None, ranks, run.path.parent)

        follow(ranks, run, make_loop, stop_requested, goes_on=goes_on)
    return load_run(run.path)


def _open(plan: Plan) -> Base:
    settings = plan.settings
    return open_base(plan.model.folder, engine=settings.engine, dtype=settings.dtype)


def _loop(
    ready: Prepared,
    base: Base,
    folder: RunFolder,
    listen: Listener,
    say: Callable[[str], None],
    ranks: Ranks,
    root: Path | None = None,
) -> Loop:
    plan, settings = ready.plan, ready.plan.settings
    seed = settings.seed + _SEEDS_APART * ranks.rank
    engine = base.attach(plan.adapter, seed=seed, checkpointing=settings.grad_checkpoint)
    count = sum(slot.stop - slot.start for slot in engine.slots)
    if count != plan.adapter.trainable_parameters:
        raise RunError(
            f"{folder.path}: the plan counts {plan.adapter.trainable_parameters} trainable parameters, "
            f"the engine {count}. This is a bug of Runoff's, please report it."
        )
    say(share_trunk(base, plan, ready.data, root or folder.path.parent))
    start = initial_parameters(engine.slots, engine.parameters(), settings.seed)
    if settings.resume_adapter_file:
        start = _started_from(Path(settings.resume_adapter_file), plan)
    return Loop(
        plan=plan,
        train=ready.data.train,
        validator=make_validator(ready.data.valid, settings, ranks) if plan.counts.validation_rows else None,
        base=base,
        engine=engine if ranks.size == 1 else ParallelEngine(engine, ranks),
        optimizer=make_optimizer(settings, engine.slots),
        folder=folder,
        parameters=start,
        listen=listen,
    )


def _taken_up(
    folder: RunFolder, ready: Prepared, fresh: Identity, loop: Loop, say: Callable[[str], None], *, extend: bool
) -> Identity:
    """Go on from the last checkpoint, as the identity that the run has from now on."""
    run = load_run(folder.path)
    changes = check_resume(run, fresh, plan_record(ready.plan), extend=extend)
    loop.resume()
    settings, updates = ready.plan.settings, ready.plan.counts.optimizer_updates
    if sentence := processes_sentence(changes, settings):
        say(sentence)
    if extend and (sentence := schedule_sentence(settings, loop.progress.optimizer_updates, updates)):
        say(sentence)
    return gone_on(run.identity, changes, loop.progress.iteration)


def _started_from(path: Path, plan: Plan) -> Any:
    spec, parameters = read_adapter(path, plan.model)
    if layout(spec) != layout(plan.adapter):
        raise ConfigError([f"{path} has another shape than this run's adapter (kind, rank, blocks or keys)."])
    return parameters


@contextlib.contextmanager
def _marked(folder: RunFolder, identity: Identity) -> Iterator[Callable[..., None]]:
    """Keep run.json true: running while it runs, failed with the reason if it fails."""
    current = identity

    def mark(**changes: Any) -> None:
        nonlocal current
        current = current.model_copy(update=changes)
        write_json(folder.identity, current.model_dump(mode="json", exclude_none=True))

    mark(status="running", files={})
    try:
        yield mark
    except BaseException as error:
        reason = str(error) if isinstance(error, RunoffError) else f"{type(error).__name__}: {error}"
        status = "failed"
        if isinstance(error, KeyboardInterrupt):
            status, reason = "interrupted", "stopped at once by the user, at a second Ctrl-C or outside an iteration"
        with contextlib.suppress(RunoffError):
            mark(status=status, ended=timestamp(), result={"reason": reason})
        raise


@contextlib.contextmanager
def _saying_how_to_go_on(folder: RunFolder) -> Iterator[None]:
    """A record that can't be written ends a run that is good up to its last checkpoint."""
    try:
        yield
    except RunError as error:
        if not isinstance(error.__context__, OSError):
            raise
        saved = "its last checkpoint" if folder.last_checkpoint.exists() else "the start, as none was saved yet"
        sentence = f"{error} With --resume it goes on from {saved}."
    else:
        return
    raise RunError(sentence)


@contextlib.contextmanager
def _stop_on_signal() -> Iterator[Callable[[], bool]]:
    """Ctrl-C and SIGTERM ask the loop to stop after the current iteration; a second one stops at once."""
    asked: list[int] = []

    def ask(number: int, _frame: Any) -> None:
        if number in asked:  # a launcher passes a Ctrl-C on as SIGTERM: that is no second one
            raise KeyboardInterrupt
        asked.append(number)

    try:
        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: the caller has to stop us
        yield lambda: False
        return
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _write_plan(folder: RunFolder, plan: Plan) -> None:
    write_text(folder.config, plan.config.text)
    write_json(folder.plan, plan_record(plan).to_json())


def _write_adapter(folder: RunFolder, plan: Plan, ended: Ended, facts: EngineFacts) -> None:
    model = plan.settings.model
    if facts.name == "mlx" or isinstance(plan.adapter, FullSpec):
        write_mlx(folder.adapter, plan.adapter, ended.parameters, model, plan.model.blocks, facts.dtype)
    else:
        write_peft(folder.adapter, plan.adapter, ended.parameters, str(plan.model.folder))


def _result(ended: Ended, base: Base) -> dict[str, Any]:
    progress = ended.progress
    return {
        "reason": ended.reason,
        "iterations": progress.iteration,
        "optimizer_updates": progress.optimizer_updates,
        "updates_left_out": progress.updates_left_out,
        "target_tokens": progress.target_tokens,
        "seconds": round(progress.seconds, 3),
        "peak_memory_bytes": base.peak_memory_bytes(),
        "adapter_iteration": ended.adapter_iteration,
        "adapter_reason": ended.adapter_reason,
        "best_validation_loss": ended.best_loss,
        "loss_definition": LOSS_DEFINITION,
    }
