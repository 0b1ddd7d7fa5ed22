"""The training loop: one, for every engine.

Owns: what happens in which order (micro-batch, update, report, validation, checkpoint, stop), and the record of it.
Where it departs from mlx_lm/tuner/trainer.py is listed in docs/training.md. Must not: compute gradients (engines do) or
build what it needs (training/api.py does).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NoReturn

import numpy as np

from runoff.data import Batch, Encoded, epoch_order, make_batch
from runoff.engines.base import Base, Engine, Vector
from runoff.engines.parallel import restore_random_state
from runoff.engines.scoring import ScoredRow, held_out_loss, mean_loss
from runoff.errors import EngineError, RunError
from runoff.files import jsonl, write_bytes
from runoff.plan import Plan, Slot, learning_rate
from runoff.runs import MetricRow, RunFolder, load_run
from runoff.training.alarms import Lookout, Validation, look, trend
from runoff.training.optimizers import Optimizer, clip_norm
from runoff.training.recorder import Listener, Recorder
from runoff.training.spikes import MOST_IN_A_ROW, WINDOW, why_bad
from runoff.training.state import Checkpoint, Progress, load_checkpoint, save_checkpoint, save_snapshot
from runoff.training.validation import Validator

__all__ = ["Ended", "Loop", "initial_parameters"]


_SHOWN_ROWS = 10


@dataclass(frozen=True, slots=True)
class Ended:
    """How a loop ended, and which adapter it leaves."""

    status: Literal["finished", "interrupted"]
    reason: str
    parameters: Vector
    adapter_iteration: int
    adapter_reason: str
    best_loss: float | None
    progress: Progress


def initial_parameters(slots: tuple[Slot, ...], current: Vector, seed: int) -> Vector:
    """A uniform in +-1/sqrt(in), B zero, as mlx-lm and PEFT start; the same numbers on every engine.

    `current` supplies what the seed does not, and what comes from the base: DoRA's magnitudes, whole weights.
    """
    random = np.random.Generator(np.random.PCG64([seed, 0xADA]))
    start = current.copy()
    for slot in slots:
        if slot.part == "lora_a":
            bound = 1 / math.sqrt(slot.shape[1])
            start[slot.start : slot.stop] = random.uniform(-bound, bound, slot.stop - slot.start).astype(np.float32)
        elif slot.part == "lora_b":
            start[slot.start : slot.stop] = 0.0
    return start


def _rows_text(rows: Sequence[int]) -> str:
    return f"training rows {', '.join(map(str, rows))}"


def _some(rows: Sequence[int]) -> str:
    """The first of many: a base that gives no number gives none for any row."""
    shown = ", ".join(map(str, rows[:_SHOWN_ROWS]))
    return shown if len(rows) <= _SHOWN_ROWS else f"{shown} and {len(rows) - _SHOWN_ROWS:,} more"


@dataclass
class Loop:
    """A training in progress. `parameters` are the master copy; the engine holds what they were last set to."""

    plan: Plan
    train: tuple[Encoded, ...]
    validator: Validator | None
    base: Base
    engine: Engine
    optimizer: Optimizer
    folder: RunFolder
    parameters: Vector
    listen: Listener = lambda _event: None
    stop_requested: Callable[[], bool] = lambda: False
    progress: Progress = field(default_factory=Progress)
    best: Vector | None = None

    def __post_init__(self) -> None:
        self.recorder = Recorder(self.plan, self.folder, self.listen)
        self.lookout = Lookout(self.plan.settings.learning_rate)

    def resume(self) -> None:
        """Go on from the last checkpoint, or from the start if none was reached; later records are taken back."""
        if not self.folder.last_checkpoint.exists():
            self.folder.take_back(-1, 0)
            return
        checkpoint = load_checkpoint(self.folder.last_checkpoint)
        if checkpoint.parameters.shape != self.parameters.shape:
            raise RunError(
                f"{self.folder.last_checkpoint}: holds {checkpoint.parameters.size} parameters, but the plan needs "
                f"{self.parameters.size}. Train from the start with --overwrite."
            )
        self.progress = checkpoint.progress
        self.parameters = checkpoint.parameters.copy()
        self.optimizer.state |= {name: array.copy() for name, array in checkpoint.optimizer.items()}
        self.engine.set_parameters(self.parameters)
        restore_random_state(self.engine, checkpoint.random_state)
        if self.progress.pending_batches:
            self.engine.add_gradient(checkpoint.gradient)
        self.folder.take_back(self.progress.iteration, self.progress.metrics_bytes)
        if checkpoint.best.size:
            self._keep_best(checkpoint.best.copy())
        self._look_back()

    def _look_back(self) -> None:
        """Show the lookout what the run saw before it was resumed."""
        run = load_run(self.folder.path)
        for row in run.metrics:
            if row.kind == "train":
                self.lookout.report(row.nats_per_target_token, row.optimizer_updates or 0)
            elif row.kind == "validation" and row.iteration is not None:
                scored = tuple(map(ScoredRow.from_json, run.validation_rows(row.iteration)))
                self.lookout.validate(Validation(row.iteration, scored), row.optimizer_updates or 0)

    def run(self) -> Ended:
        """Train to the end, to an early stop, or until asked to stop.

        Raises:
            EngineError: the loss is no longer a number; the last checkpoint stays good.
            RunError: the record can't be written.
        """
        settings = self.plan.settings
        self.recorder.start(self.progress)
        self.engine.set_parameters(self.parameters)
        if self.progress.iteration == 0:
            self._validate()
        reason = self._stop_reason() if self.progress.iteration else ""
        for batch in () if reason else self._batches():
            self._iteration(batch)
            at = self.progress.iteration
            last = at == settings.iters
            if at % settings.grad_accumulation_steps == 0 or last:
                self._update()
            if at % settings.steps_per_report == 0 or last:
                self._report()
            if at % settings.steps_per_eval == 0 or last:
                self._validate()
            reason = self._stop_reason()
            if at % settings.save_every == 0 or last or reason:
                self._save()
            self.recorder.tick(self.progress)
            if reason:
                break
        status: Literal["finished", "interrupted"] = "interrupted" if reason.startswith("stopped by") else "finished"
        whole = "the one iteration was made" if settings.iters == 1 else f"all {settings.iters} iterations were made"
        return self._end(status, reason or whole)

    def _batches(self) -> Iterator[Batch]:
        """Micro-batches from where the run is to its end."""
        settings = self.plan.settings
        lengths = [len(example.ids) for example in self.train]
        per_epoch = self.plan.counts.iterations_per_epoch
        while self.progress.iteration < settings.iters:
            epoch, position = divmod(self.progress.iteration, per_epoch)
            order = epoch_order(lengths, settings.batch_size, seed=settings.seed, epoch=epoch)
            for rows in order[position : position + settings.iters - self.progress.iteration]:
                yield make_batch([self.train[row] for row in rows])

    def _iteration(self, batch: Batch) -> None:
        started = time.monotonic()
        nats = self.engine.accumulate(batch)
        progress, tokens = self.progress, batch.target_tokens
        progress.iteration += 1
        progress.target_tokens += tokens
        progress.pending_target_tokens += tokens
        progress.pending_nats += nats
        progress.pending_rows += [example.row.number for example in batch.examples]
        progress.pending_batches += 1
        if math.isfinite(nats):
            progress.window_nats += nats
            progress.window_target_tokens += tokens
        elif self.plan.settings.on_bad_loss == "stop":
            self._refuse(f"the loss is {nats}", progress.pending_rows[-len(batch.examples) :])
        progress.window_seconds += time.monotonic() - started

    def _refuse(self, bad: str, rows: Sequence[int]) -> NoReturn:
        skips = self.plan.settings.on_bad_loss == "skip"
        also = "" if skips else " Or leave such updates out: --resume --set on_bad_loss=skip."
        raise EngineError(f"iteration {self.progress.iteration}: {bad} ({_rows_text(rows)}). {self._cure()}{also}")

    def _cure(self) -> str:
        if self.progress.optimizer_updates == 0:
            precise = "" if self.base.facts.dtype == "float32" else ", or set dtype: float32"
            return f"No update was made before it, so the model gives this untrained: look at its files{precise}."
        saved = self.folder.last_checkpoint
        good = f"The last good state is {saved}" if saved.exists() else "No checkpoint was saved before it"
        return f"{good}; lower learning_rate or set max_grad_norm: 1.0."

    def _update(self) -> None:
        """One optimizer update from the token-weighted mean gradient of the pending micro-batches."""
        started = time.monotonic()
        progress = self.progress
        loss = progress.pending_nats / progress.pending_target_tokens
        gradient = self.engine.take_gradient()
        gradient /= np.float32(progress.pending_target_tokens)
        with np.errstate(all="ignore"):  # a norm that is no number is found next
            norm = clip_norm(gradient, self.plan.settings.max_grad_norm)
        bad = why_bad(loss, norm, progress.recent_losses, progress.recent_norms)
        if bad:
            self._leave_out(bad)
        else:
            self._apply(gradient, norm)
            progress.recent_losses = [*progress.recent_losses, loss][-WINDOW:]
            progress.recent_norms = [*progress.recent_norms, norm][-WINDOW:]
            progress.left_out_in_a_row = 0
        progress.pending_target_tokens = progress.pending_batches = 0
        progress.pending_nats, progress.pending_rows = 0.0, []
        progress.window_seconds += time.monotonic() - started

    def _apply(self, gradient: Vector, norm: float) -> None:
        progress, settings = self.progress, self.plan.settings
        rate = learning_rate(settings, progress.optimizer_updates)
        progress.gradient_norm = norm
        progress.optimizer_updates += 1
        with np.errstate(all="ignore"):  # what overflows is found and named below
            self.optimizer.update(self.parameters, gradient, rate, progress.optimizer_updates)
        if not np.isfinite(self.parameters).all():
            raise EngineError(
                f"iteration {progress.iteration}: the adapter is no longer made of numbers after optimizer update "
                f"{progress.optimizer_updates} (gradient norm {norm:g}, learning rate {rate:g}). {self._cure()}"
            )
        self.engine.set_parameters(self.parameters)

    def _leave_out(self, bad: str) -> None:
        """Stop before a bad update, or go on without it, as on_bad_loss says."""
        progress = self.progress
        if self.plan.settings.on_bad_loss == "stop":
            self._refuse(bad, progress.pending_rows)
        progress.updates_left_out += 1
        progress.left_out_in_a_row += 1
        if progress.left_out_in_a_row > MOST_IN_A_ROW:
            self._refuse(f"{bad}, after {MOST_IN_A_ROW} updates in a row were left out", progress.pending_rows)
        rows = _rows_text(progress.pending_rows)
        self._record(MetricRow(kind="event", text=f"Update left out: {bad} ({rows})."))

    def _report(self) -> None:
        progress = self.progress
        seconds, tokens = progress.window_seconds, progress.window_target_tokens
        loss = progress.window_nats / tokens if tokens else None
        self._record(
            MetricRow(
                kind="train",
                nats_per_target_token=loss,
                learning_rate=learning_rate(self.plan.settings, max(progress.optimizer_updates - 1, 0)),
                gradient_norm=progress.gradient_norm,
                tokens_per_second=tokens / seconds if seconds else None,
                peak_memory_bytes=self.base.peak_memory_bytes(),
            )
        )
        progress.window_nats = progress.window_seconds = 0.0
        progress.window_target_tokens = 0
        self.lookout.report(loss, progress.optimizer_updates)
        self._alarm()

    def _validate(self) -> None:
        """Score the valid set and keep the adapter if it is the best so far."""
        if self.validator is None:
            return
        started = time.monotonic()
        scored = self.validator.score(self.engine)
        self.recorder.validated(time.monotonic() - started)
        broken = [row.row for row in scored if not math.isfinite(row.nats)]
        at = self.progress.iteration
        write_bytes(self.folder.validation(at), jsonl(row.to_json() for row in scored))
        if broken:
            self._record(MetricRow(kind="validation", nats_per_target_token=math.nan, rows=len(scored)))
            raise EngineError(
                f"validation after iteration {at}: the loss of valid rows {_some(broken)} is not a number. "
                f"{self._cure()}"
            )
        self._record(self._seen(Validation(at, tuple(scored))))
        if at > 0:
            self._judge(mean_loss(scored))
        self._alarm()

    def _seen(self, validation: Validation) -> MetricRow:
        """A validation as a metric row: the loss, its interval, and how it compares with the one before."""
        self.lookout.validate(validation, self.progress.optimizer_updates)
        estimate = held_out_loss(validation.rows)
        return MetricRow(
            kind="validation",
            nats_per_target_token=validation.loss,
            low=estimate.low,
            high=estimate.high,
            rows=len(validation.rows),
            text=trend(self.lookout),
        )

    def _alarm(self) -> None:
        """Record each alarm once."""
        for alarm in look(self.lookout):
            if alarm.code not in self.progress.alarms:
                self.progress.alarms = [*self.progress.alarms, alarm.code]
                self._record(MetricRow(kind="alarm", text=str(alarm)))

    def _judge(self, loss: float) -> None:
        """The lowest loss is the best; only a fall by more than min_improvement puts off the early stop."""
        progress, stopping = self.progress, self.plan.settings.early_stopping
        gain = stopping.min_improvement if stopping else 0.0
        if progress.best_loss is None or loss < progress.best_loss:
            progress.best_loss, progress.best_iteration = loss, progress.iteration
            self._keep_best(self.parameters.copy())
        if progress.gain_loss is None or loss < progress.gain_loss - gain:
            progress.gain_loss, progress.gain_iteration = loss, progress.iteration
            progress.validations_without_gain = 0
        else:
            progress.validations_without_gain += 1

    def _keep_best(self, parameters: Vector) -> None:
        self.best = parameters
        names = [slot.name for slot in self.engine.slots]
        save_snapshot(self.folder.best_snapshot, parameters, self.progress.best_iteration or 0, names)

    def _stop_reason(self) -> str:
        progress, stopping = self.progress, self.plan.settings.early_stopping
        if progress.iteration == self.plan.settings.iters:
            return ""
        if self.stop_requested():
            return f"stopped by the user after iteration {progress.iteration}"
        if stopping and progress.validations_without_gain >= stopping.patience:
            return (
                f"early stop after iteration {progress.iteration}: {stopping.patience} validations in a row without "
                f"improvement on the loss after iteration {progress.gain_iteration}"
            )
        return ""

    def _save(self) -> None:
        """A resumable checkpoint (one, replaced) and a snapshot of the adapter (all kept)."""
        pending = self.progress.pending_batches > 0
        gradient = self.engine.take_gradient() if pending else np.zeros(0, dtype=np.float32)
        if pending:
            self.engine.add_gradient(gradient)
        names = [slot.name for slot in self.engine.slots]
        save_snapshot(self.folder.snapshot(self.progress.iteration), self.parameters, self.progress.iteration, names)
        self._record(MetricRow(kind="checkpoint"), durable=True)
        save_checkpoint(
            self.folder.last_checkpoint,
            Checkpoint(
                progress=replace(self.progress, seconds=self.recorder.seconds()),
                parameters=self.parameters,
                optimizer=self.optimizer.state,
                gradient=gradient,
                best=self.best if self.best is not None else np.zeros(0, dtype=np.float32),
                random_state=self.engine.random_state(),
            ),
        )

    def _record(self, row: MetricRow, *, durable: bool = False) -> None:
        self.recorder.record(row, self.progress, durable=durable)

    def _end(self, status: Literal["finished", "interrupted"], reason: str) -> Ended:
        """Choose the adapter that ships: the best validated one, else the last."""
        progress = self.progress
        progress.seconds = self.recorder.seconds()
        if self.best is None or progress.best_iteration is None:
            why = "the last one: there was no validation to choose by"
            return Ended(status, reason, self.parameters, progress.iteration, why, None, progress)
        rows = self.validator.rows if self.validator else 0
        why = f"the lowest loss on the {rows} validation rows"
        best, untrained = progress.best_loss, self.lookout.first
        if best is not None and untrained is not None and untrained.loss < best:
            why += f" after training began, {best:.4f}: worse than the untrained model's {untrained.loss:.4f}"
        return Ended(status, reason, self.best, progress.best_iteration, why, progress.best_loss, progress)
