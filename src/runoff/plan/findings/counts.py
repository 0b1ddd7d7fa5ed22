"""Findings about the run's length and rhythm: what the numbers in the file come to. Must not: look at single rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from runoff.plan.findings.check import Seen, check
from runoff.plan.foreign.nouns import as_text
from runoff.plan.schedule import learning_rate
from runoff.words import count_of

if TYPE_CHECKING:
    from runoff.config import LrSchedule
    from runoff.plan.draft import Draft

__all__ = ["CHECKS"]

_LENGTH_ARGUMENT = {"cosine_decay": 1, "linear_schedule": 2}
"""Schedules that come to an end, and which of their arguments is the length in updates."""


@check("C201", "warning")
def few_updates(draft: Draft) -> Iterator[Seen]:
    """Fewer than 100 optimizer updates, or no more than a tenth of the iterations.

    An iteration reads rows; only an update changes the weights. Accumulation divides the number of updates, and an
    update of Adam moves a weight by about the learning rate, however many rows it averages. How far a weight can go is
    computed for a gradient that never changes its sign or size: the sum of rate x (1 - beta1^t) / sqrt(1 - beta2^t)
    (MLX's Adam, without bias correction), or of the rates with it.
    """
    counts, each = draft.pace, draft.settings.grad_accumulation_steps
    if counts.optimizer_updates < 100 or counts.optimizer_updates * 10 <= counts.iterations:
        yield Seen(
            draft.place("grad_accumulation_steps" if each > 1 else "iters"),
            f"{count_of(counts.iterations, 'iteration')} make "
            f"{count_of(counts.optimizer_updates, 'optimizer update')} of "
            f"{count_of(counts.effective_batch_rows, 'row')} each.",
            _reach(draft),
            _more_updates(counts.iterations, each),
        )


def _more_updates(iterations: int, each: int) -> str:
    """The largest accumulation that makes at least 100 updates and more than a tenth of the iterations."""
    most = min(iterations // 100, 9)
    if most:
        return f"grad_accumulation_steps: {most}"
    return f"iters: {100 * min(each, 9)}" + ("\ngrad_accumulation_steps: 9" if each > 9 else "")


def _reach(draft: Draft) -> str:
    """How far the updates can carry a weight."""
    settings, updates = draft.settings, draft.pace.optimizer_updates
    if settings.optimizer not in ("adam", "adamw"):
        return f"The learning rates of all updates add up to {draft.pace.learning_rate_sum:.3g}."
    given = settings.optimizer_config.get(settings.optimizer) or {}
    beta1, beta2 = given.get("betas", (0.9, 0.999))
    steps = (
        1.0 if given.get("bias_correction") else (1 - beta1**done) / math.sqrt(1 - beta2**done)
        for done in range(1, updates + 1)
    )
    reach = math.fsum(learning_rate(settings, done) * step for done, step in enumerate(steps))
    return f"A weight whose gradient never changes moves by {reach:.3g} in all of them together."


@check("C202", "note")
def iterations_against_epochs(draft: Draft) -> Iterator[Seen]:
    """iters is not a whole number of epochs, so some rows are seen once more than others.

    The numbers that would be 1, 2 and 3 epochs are in the finding; `epochs: 3` sets iters from the data.
    """
    counts = draft.length
    if draft.settings.epochs is None and counts.iterations % counts.iterations_per_epoch and counts.epochs > 1:
        per = counts.iterations_per_epoch
        yield Seen(
            draft.place("iters"),
            f"{counts.iterations:,} iterations are {counts.epochs:.2f} epochs; 1, 2 and 3 epochs are {per:,}, "
            f"{2 * per:,} "
            f"and {3 * per:,} iterations.",
            "Part of the rows is seen once more than the rest.",
            f"epochs: {round(counts.epochs)}",
        )


@check("C203", "warning")
def rows_never_trained_on(draft: Draft) -> Iterator[Seen]:
    """The run ends before its first epoch does, so some rows are never trained on."""
    counts, train = draft.length, draft.data.train
    trained = train.rows - len(train.rows_without_target)
    if counts.rows_seen < trained:
        yield Seen(
            draft.place("iters"),
            f"{trained - counts.rows_seen:,} of {trained:,} training rows are never seen: the run ends after "
            f"{counts.epochs:.2f} epochs.",
            "Which rows these are, the seed decides.",
            "epochs: 1",
        )


@check("C204", "note")
def last_update_smaller(draft: Draft) -> Iterator[Seen]:
    """iters is not a multiple of grad_accumulation_steps.

    Runoff makes a last, smaller update of what is left; mlx-lm drops it.
    """
    each, iters = draft.settings.grad_accumulation_steps, draft.pace.iterations
    left = iters % each
    if left and draft.settings.epochs is None:
        yield Seen(
            draft.place("grad_accumulation_steps"),
            f"{iters:,} iterations are {iters // each:,} updates of {each} iterations and a last one of {left}.",
            f"mlx-lm drops the gradients of the last {count_of(left, 'iteration')}; Runoff makes a smaller update of "
            f"them.",
            f"iters: {iters - left if iters > left else each}",
        )


@check("C205", "warning")
def decay_beyond_the_run(draft: Draft) -> Iterator[Seen]:
    """The schedule's decay is longer than the run has optimizer updates, so the rate never comes down.

    Its lengths count updates, not iterations: with accumulation the number of iterations is too large.
    """
    schedule, updates = draft.settings.lr_schedule, draft.pace.optimizer_updates
    length = _length(schedule)
    if schedule is None or length is None:
        return
    left = updates - (schedule.warmup + 1 if schedule.warmup else 0)
    if length > left > 0:
        yield Seen(
            draft.place("lr_schedule.arguments"),
            f"{schedule.name} takes {length:g} updates{_after(schedule)}, but the run has {updates}: the last "
            f"update's rate "
            f"is {draft.pace.last_learning_rate:.3g}.",
            "The decay never ends; its length counts optimizer updates, not iterations.",
            f"arguments: {as_text(_with_length(schedule, left))}",
        )


def _length(schedule: LrSchedule | None) -> float | None:
    at = _LENGTH_ARGUMENT.get(schedule.name) if schedule else None
    return schedule.arguments[at] if schedule and at is not None and at < len(schedule.arguments) else None


def _with_length(schedule: LrSchedule, length: int) -> list[float]:
    arguments = list(schedule.arguments)
    arguments[_LENGTH_ARGUMENT[schedule.name]] = length
    return arguments


def _after(schedule: LrSchedule) -> str:
    return f" after {schedule.warmup} of warm-up" if schedule.warmup else ""


@check("C206", "warning")
def warm_up_beyond_the_run(draft: Draft) -> Iterator[Seen]:
    """The warm-up is as long as the run or longer, so the learning rate never gets to where the schedule starts."""
    schedule, updates = draft.settings.lr_schedule, draft.pace.optimizer_updates
    if schedule is not None and schedule.warmup >= updates:
        yield Seen(
            draft.place("lr_schedule.warmup"),
            f"The warm-up takes {count_of(schedule.warmup, 'update')} and the run has {updates}: the last update's "
            f"rate is "
            f"{draft.pace.last_learning_rate:.3g}, not {schedule.arguments[0]:.3g}.",
            "The whole run is warm-up.",
            f"warmup: {updates // 10}",
        )


@check("C207", "note")
def first_update_at_rate_0(draft: Draft) -> Iterator[Seen]:
    """The first update has the learning rate 0, since a warm-up starts from warmup_init, which is 0 by default."""
    schedule = draft.settings.lr_schedule
    if schedule is not None and draft.pace.first_learning_rate == 0 and schedule.arguments[0] > 0 and schedule.warmup:
        yield Seen(
            draft.place("lr_schedule.warmup_init"),
            f"The first of {count_of(draft.pace.optimizer_updates, 'update')} has the learning rate 0.",
            f"Its {count_of(draft.pace.effective_batch_rows, 'row')} teach nothing.",
            f"warmup_init: {schedule.arguments[0] / (schedule.warmup + 1):.1e}",
        )


@check("C208", "note")
def no_checkpoint_before_the_end(draft: Draft) -> Iterator[Seen]:
    """save_every is no less than iters, so the only checkpoint is the last one."""
    every, iters = draft.settings.save_every, draft.pace.iterations
    if every >= iters:
        yield Seen(
            draft.place("save_every"),
            f"save_every is {every:,} and the run has {count_of(iters, 'iteration')}.",
            "If the machine stops on the way, all of it is lost.",
            f"save_every: {max(iters // 5, 1)}",
        )


@check("C209", "warning")
def cost_of_validation(draft: Draft) -> Iterator[Seen]:
    """Validation is more than a fifth of the run's arithmetic.

    A validation token costs a forward pass; a training token costs a backward pass to its inputs besides, about as much
    again, and once more with grad_checkpoint.
    """
    counts, data = draft.length, draft.data
    if data.valid is None or not data.valid.rows:
        return
    read = data.valid.tokens * counts.validation_rows / data.valid.rows * counts.validations
    trained = data.train.tokens * counts.epochs * (3 if draft.settings.grad_checkpoint else 2)
    share = read / (read + trained)
    if share > 0.2 and draft.settings.steps_per_eval < counts.iterations:  # else there is nothing left to make rarer
        every = draft.settings.steps_per_eval * math.ceil(4 * read / trained)
        yield Seen(
            draft.place("steps_per_eval"),
            f"{counts.validations} validations of {count_of(counts.validation_rows, 'row')} are about {share:.0%} of "
            f"the "
            "run's arithmetic.",
            "What is below the lowest adapted block is computed once and not counted here.",
            f"steps_per_eval: {min(every, counts.iterations)}",
        )


@check("C210", "warning")
def validation_on_a_part(draft: Draft) -> Iterator[Seen]:
    """val_batches leaves out a part of the valid set, and the loss on the rest carries a sampling error.

    Runoff draws the part once and keeps it, so a run's own curve is smooth; mlx-lm draws it anew each time. The
    standard error of the mean of n of N rows is sd x sqrt(1/n - 1/N).
    """
    valid, n = draft.data.valid, draft.length.validation_rows
    if valid is None:
        return
    whole = valid.rows - len(valid.rows_without_target)
    if 0 < n < whole:
        error = math.sqrt(1 / n - 1 / whole)
        yield Seen(
            draft.place("val_batches"),
            f"Each validation scores {n} of {whole} rows.",
            f"Its loss is off by {error:.2f} of the spread between rows (one standard error): {0.3 * error:.3f} nats "
            f"where "
            "rows differ by 0.3.",
            "val_batches: -1",
        )


@check("C211", "note")
def batch_larger_than_the_valid_set(draft: Draft) -> Iterator[Seen]:
    """The valid set has fewer rows than a batch.

    Runoff scores a partial batch; mlx-lm stops at its first validation.
    """
    valid, batch = draft.data.valid, draft.settings.batch_size
    if valid is not None and valid.rows < batch:
        yield Seen(
            valid.place,
            f"The valid set has {count_of(valid.rows, 'row')}, fewer than batch_size {batch}.",
            "Runoff scores a partial batch; mlx-lm stops with a ValueError at its first validation.",
            f"batch_size: {max(valid.rows, 1)}",
        )


@check("C212", "note")
def no_validation_on_the_way(draft: Draft) -> Iterator[Seen]:
    """steps_per_eval is no less than iters, so no checkpoint but the last can be the best one."""
    every, iters = draft.settings.steps_per_eval, draft.length.iterations
    if draft.length.validations and every >= iters and iters > 1:
        yield Seen(
            draft.place("steps_per_eval"),
            f"steps_per_eval is {every:,} and the run has {count_of(iters, 'iteration')}: it is validated before the "
            f"first "
            "and after the last.",
            "No adapter from the middle of the run can be chosen.",
            f"steps_per_eval: {max(iters // 8, 1)}",
        )


CHECKS = (
    few_updates,
    iterations_against_epochs,
    rows_never_trained_on,
    last_update_smaller,
    decay_beyond_the_run,
    warm_up_beyond_the_run,
    first_update_at_rate_0,
    no_checkpoint_before_the_end,
    cost_of_validation,
    validation_on_a_part,
    batch_larger_than_the_valid_set,
    no_validation_on_the_way,
)
